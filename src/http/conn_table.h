/* The open connections, what each is doing since when, and cutting those that are too slow. */
#ifndef HS_HTTP_CONN_TABLE_H
#define HS_HTTP_CONN_TABLE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "http/listen.h"
#include "http/server.h"

struct hs_http_request;

enum hs_conn_phase {
    HS_CONN_FRESH,   /* connected, no request line yet */
    HS_CONN_IDLE,    /* between requests */
    HS_CONN_HEADERS, /* after the request line */
    HS_CONN_BODY,
    HS_CONN_WORKING, /* the request is in the queue or with a worker; the socket is not read */
    HS_CONN_SENDING,
    HS_CONN_CUT, /* shut down by us; only the close is missing */
};

/* `fd` and `remote` never change. The rest is guarded by the table's lock. */
struct hs_conn {
    struct hs_conn *prev, *next;
    int fd;
    char remote[HS_ADDRESS_SIZE];
    enum hs_conn_phase phase;
    int64_t phase_since_ns, last_data_ns;
    uint64_t work_id; /* of the request in work; never used again */
    bool streaming;   /* the request in work is being answered already, in whatever phase that is */
    struct hs_http_request *request;
};

/* Both are called with the table's lock held. */
struct hs_conn_events {
    /* Cancels a request in work, which stays alive during the call; false if it was cancelled before. */
    bool (*cancel)(struct hs_http_request *req);
    /* Appends the whole answer to a request that did not arrive in time. */
    int (*write_timeout)(const struct hs_http_options *options, const char *remote, struct hs_buf *out);
};

struct hs_conn_table {
    const struct hs_http_options *options;
    const struct hs_conn_events *events;
    pthread_mutex_t lock; /* guards what follows; locks of a request may be taken inside it, not around it */
    struct hs_conn *head;
    size_t count;
    uint64_t next_work_id, cancelled, timed_out;
};

/* Borrows options and events. */
void hs_conn_table_init(struct hs_conn_table *table, const struct hs_http_options *options,
                        const struct hs_conn_events *events);
void hs_conn_table_finish(struct hs_conn_table *table); /* must be empty */

/* NULL without memory. */
struct hs_conn *hs_conn_add(struct hs_conn_table *table, int fd, const struct sockaddr *peer);

/* Before the socket is closed: the table does not touch it afterwards. */
void hs_conn_remove(struct hs_conn_table *table, struct hs_conn *conn);

/* A cut connection stays cut: returns false for it. */
bool hs_conn_enter(struct hs_conn_table *table, struct hs_conn *conn, enum hs_conn_phase phase);

/* Bytes of a body came. */
void hs_conn_touch(struct hs_conn_table *table, struct hs_conn *conn);

void hs_conn_set_request(struct hs_conn_table *table, struct hs_conn *conn, struct hs_http_request *req);

/* Enters WORKING and returns the id for hs_conn_cancel. */
uint64_t hs_conn_work(struct hs_conn_table *table, struct hs_conn *conn);

/* The request in work begins to answer: it can be cancelled until set_request, also while bytes are sent. */
void hs_conn_begin_stream(struct hs_conn_table *table, struct hs_conn *conn);

/* Cancels the request that has this id, if it is still in work; 0: every request in work. */
void hs_conn_cancel(struct hs_conn_table *table, uint64_t work_id);

/* Cuts every connection whose phase lasts too long; one that waits for the rest of a request gets a 408 first. Also
 * cuts those whose client left in the middle of a request and, if connections_max is reached, the longest idle one. */
void hs_conn_cut_slow(struct hs_conn_table *table);

/* Sends bytes as far as the socket takes them at once, and shuts the connection down for sending. */
void hs_conn_send_last(struct hs_conn_table *table, struct hs_conn *conn, const void *data, size_t len);

#endif
