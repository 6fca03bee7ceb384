#include "gallery/diversity_prune.h"

#include <sodium.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "hs/status.h"

struct hs_prune_item {
    int64_t id;
    char *space;
    float *values;
    size_t dimension;
    double score;
    /* Index of the most similar item in the same space; updated when items are added or dropped. */
    size_t nearest;
    float similarity;
    bool alone; /* no other item in the same space */
};

void hs_prune_init(struct hs_prune *prune, size_t max)
{
    *prune = (struct hs_prune) { .max = max };
}

static void finish_one(struct hs_prune_item *one)
{
    free(one->space);
    if (one->values)
        sodium_memzero(one->values, one->dimension * sizeof(float));
    free(one->values);
}

void hs_prune_finish(struct hs_prune *prune)
{
    for (size_t i = 0; i < prune->count; i++)
        finish_one(&prune->items[i]);
    free(prune->items);
    free(prune->dropped);
}

static bool same_space(const struct hs_prune_item *a, const struct hs_prune_item *b)
{
    return strcmp(a->space, b->space) == 0;
}

/* Returns the cosine similarity; 2 for an item that cannot be compared, so that it is dropped first. */
static float similarity(const struct hs_prune_item *a, const struct hs_prune_item *b)
{
    if (a->dimension == 0 || b->dimension == 0)
        return 2;
    if (a->dimension != b->dimension)
        return -1;
    float sum = 0;
    for (size_t i = 0; i < a->dimension; i++)
        sum += a->values[i] * b->values[i];
    return sum;
}

static void offer(struct hs_prune_item *one, size_t other, float value)
{
    if (!one->alone && value <= one->similarity)
        return;
    one->alone = false;
    one->nearest = other;
    one->similarity = value;
}

/* Recomputes the nearest neighbour of one item. */
static void find_nearest(struct hs_prune *prune, size_t at)
{
    struct hs_prune_item *one = &prune->items[at];
    one->alone = true;
    for (size_t i = 0; i < prune->count; i++)
        if (i != at && same_space(one, &prune->items[i]))
            offer(one, i, similarity(one, &prune->items[i]));
}

static bool is_worse(const struct hs_prune_item *a, const struct hs_prune_item *b)
{
    if ((a->dimension == 0) != (b->dimension == 0))
        return a->dimension == 0;
    if (a->score < b->score || a->score > b->score)
        return a->score < b->score;
    return a->id < b->id;
}

/* Returns the worse one of the most similar pair in the space of the last item. */
static size_t choose(const struct hs_prune *prune)
{
    const struct hs_prune_item *last = &prune->items[prune->count - 1];
    size_t best = prune->count - 1;
    for (size_t i = 0; i < prune->count; i++) {
        const struct hs_prune_item *one = &prune->items[i];
        if (same_space(one, last) && one->similarity > prune->items[best].similarity)
            best = i;
    }
    size_t nearest = prune->items[best].nearest;
    return prune->items[best].alone || is_worse(&prune->items[best], &prune->items[nearest]) ? best : nearest;
}

static void drop(struct hs_prune *prune, size_t at)
{
    prune->dropped[prune->dropped_count++] = prune->items[at].id;
    finish_one(&prune->items[at]);
    prune->count--;
    memmove(&prune->items[at], &prune->items[at + 1], (prune->count - at) * sizeof(*prune->items));
    for (size_t i = 0; i < prune->count; i++) {
        struct hs_prune_item *one = &prune->items[i];
        if (one->alone || one->nearest == at)
            find_nearest(prune, i);
        else if (one->nearest > at)
            one->nearest--;
    }
}

int hs_prune_add(struct hs_prune *prune, int64_t id, const char *space, const float *values, size_t dimension,
                 double score)
{
    if (!HS_ARRAY_RESERVE(prune->items, prune->capacity, prune->count + 1) ||
        !HS_ARRAY_RESERVE(prune->dropped, prune->dropped_capacity, prune->dropped_count + 1))
        return HS_ENOMEM;
    struct hs_prune_item one = { .id = id, .dimension = dimension, .score = score, .alone = true };
    one.space = strdup(space);
    one.values = malloc(dimension * sizeof(float) + 1);
    if (!one.space || !one.values) {
        finish_one(&one);
        return HS_ENOMEM;
    }
    if (dimension > 0)
        memcpy(one.values, values, dimension * sizeof(float));
    size_t at = prune->count, in_space = 1;
    prune->items[prune->count++] = one;
    for (size_t i = 0; i < at; i++) {
        if (!same_space(&prune->items[i], &one))
            continue;
        in_space++;
        float value = similarity(&prune->items[i], &one);
        offer(&prune->items[i], at, value);
        offer(&prune->items[at], i, value);
    }
    if (in_space > prune->max)
        drop(prune, choose(prune));
    return 0;
}
