/* Token buckets for any number of clients in a bounded table. Not thread-safe.
 *
 * A bucket holds up to `burst` tokens and gains `rate` tokens per second; an action takes one. A client
 * is named by a text, which is stored only as a hash keyed with a random number, so that clients cannot
 * choose names that collide. If the table is full, the client that was used longest ago is forgotten; it
 * starts again with a full bucket. */
#ifndef HS_AUTH_RATE_LIMIT_H
#define HS_AUTH_RATE_LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HS_RATE_CLIENT_SIZE = 48 };

struct hs_rate_table;

/* Creates a table for `clients` clients, about 60 bytes each, which are allocated at once. NULL if out
 * of memory. */
struct hs_rate_table *hs_rate_table_create(size_t clients);
void hs_rate_table_destroy(struct hs_rate_table *table); /* NULL allowed */

struct hs_rate {
    double per_second; /* greater than 0 */
    double burst;      /* at least 1 */
};

/* Makes a rate from settings: a burst of 0 is one second's worth, and at least 1. */
struct hs_rate hs_rate_of(double per_second, int burst);

/* State of a client's bucket after an action. */
struct hs_rate_state {
    bool allowed;
    double left;    /* tokens in the bucket */
    double wait_s;  /* time until the next token, 0 if there is one */
    double reset_s; /* time until the bucket is full */
};

/* Takes a token if there is one. `rate` may differ from call to call. */
struct hs_rate_state hs_rate_take(struct hs_rate_table *table, const char *client, struct hs_rate rate, int64_t now_ns);

/* Writes the name of a client's address for these tables: an IPv6 address without its last 64 bits,
 * because one host has all of those; other texts unchanged. */
void hs_rate_client(const char *address, char ret_name[HS_RATE_CLIENT_SIZE]);

#endif
