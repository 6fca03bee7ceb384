#include "auth/rate_limit.h"

#include <arpa/inet.h>
#include <math.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/clock.h"
#include "base/str.h"

enum { NONE = -1 };

/* In a list from the most recently used to the least, and in the chain of its slot. Indexes; NONE: end. */
struct bucket {
    uint64_t client;
    double tokens;
    int64_t at_ns;
    int next, chain_next, prev;
};

/* Half-empty chains: there are as many slots as buckets. */
struct hs_rate_table {
    uint8_t key[crypto_shorthash_KEYBYTES];
    size_t capacity, count;
    int first, last;
    struct bucket *buckets;
    int *slots;
};

struct hs_rate_table *hs_rate_table_create(size_t clients)
{
    struct hs_rate_table *table = calloc(1, sizeof(*table));
    if (!table)
        return NULL;
    table->buckets = calloc(clients, sizeof(*table->buckets));
    table->slots = calloc(clients, sizeof(*table->slots));
    if (!table->buckets || !table->slots) {
        hs_rate_table_destroy(table);
        return NULL;
    }
    randombytes_buf(table->key, sizeof(table->key));
    table->capacity = clients;
    table->first = table->last = NONE;
    for (size_t i = 0; i < clients; i++)
        table->slots[i] = NONE;
    return table;
}

void hs_rate_table_destroy(struct hs_rate_table *table)
{
    if (!table)
        return;
    free(table->buckets);
    free(table->slots);
    free(table);
}

struct hs_rate hs_rate_of(double per_second, int burst)
{
    double tokens = burst > 0 ? burst : ceil(per_second);
    return (struct hs_rate) { per_second, tokens > 1 ? tokens : 1 };
}

/* ---- The table ---- */

static int *slot_of(const struct hs_rate_table *table, uint64_t client)
{
    return &table->slots[client % table->capacity];
}

static void unlink_used(struct hs_rate_table *table, int index)
{
    const struct bucket *bucket = &table->buckets[index];
    *(bucket->prev == NONE ? &table->first : &table->buckets[bucket->prev].next) = bucket->next;
    *(bucket->next == NONE ? &table->last : &table->buckets[bucket->next].prev) = bucket->prev;
}

static void put_first(struct hs_rate_table *table, int index)
{
    struct bucket *bucket = &table->buckets[index];
    bucket->prev = NONE;
    bucket->next = table->first;
    *(table->first == NONE ? &table->last : &table->buckets[table->first].prev) = index;
    table->first = index;
}

static void unchain(struct hs_rate_table *table, int index)
{
    int *at = slot_of(table, table->buckets[index].client);
    while (*at != index)
        at = &table->buckets[*at].chain_next;
    *at = table->buckets[index].chain_next;
}

/* Returns an unused bucket, or that of the client which was used longest ago. */
static int free_bucket(struct hs_rate_table *table)
{
    if (table->count < table->capacity)
        return (int) table->count++;
    int index = table->last;
    unlink_used(table, index);
    unchain(table, index);
    return index;
}

static struct bucket *find(struct hs_rate_table *table, const char *client, double tokens, int64_t now_ns)
{
    uint64_t hash;
    uint8_t bytes[crypto_shorthash_BYTES];
    crypto_shorthash(bytes, (const unsigned char *) client, strlen(client), table->key);
    memcpy(&hash, bytes, sizeof(hash));
    int *slot = slot_of(table, hash), index = *slot;
    while (index != NONE && table->buckets[index].client != hash)
        index = table->buckets[index].chain_next;
    if (index != NONE) {
        unlink_used(table, index);
    } else {
        index = free_bucket(table);
        table->buckets[index] =
            (struct bucket) { .client = hash, .tokens = tokens, .at_ns = now_ns, .chain_next = *slot };
        *slot = index;
    }
    put_first(table, index);
    return &table->buckets[index];
}

/* ---- Buckets ---- */

struct hs_rate_state hs_rate_take(struct hs_rate_table *table, const char *client, struct hs_rate rate, int64_t now_ns)
{
    struct bucket *bucket = find(table, client, rate.burst, now_ns);
    double gained = rate.per_second * (double) (now_ns - bucket->at_ns) / (double) HS_NS_PER_S;
    bucket->tokens = fmin(bucket->tokens + fmax(gained, 0), rate.burst);
    bucket->at_ns = now_ns;
    bool allowed = bucket->tokens >= 1;
    bucket->tokens -= allowed;
    return (struct hs_rate_state) {
        .allowed = allowed,
        .left = bucket->tokens,
        .wait_s = bucket->tokens >= 1 ? 0 : (1 - bucket->tokens) / rate.per_second,
        .reset_s = (rate.burst - bucket->tokens) / rate.per_second,
    };
}

void hs_rate_client(const char *address, char ret_name[HS_RATE_CLIENT_SIZE])
{
    struct in6_addr six;
    hs_str_copy(ret_name, HS_RATE_CLIENT_SIZE, address);
    if (inet_pton(AF_INET6, address, &six) != 1)
        return;
    memset(six.s6_addr + 8, 0, 8);
    inet_ntop(AF_INET6, &six, ret_name, HS_RATE_CLIENT_SIZE);
}
