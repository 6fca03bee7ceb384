/* The open connections and the thread that watches them: it cuts those that are too slow, cancels requests whose client
 * has left, and reads what a refused client still sends, so that this client gets to read its answer. */
#ifndef HS_HTTP_CONN_TABLE_H
#define HS_HTTP_CONN_TABLE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hs/status.h"

enum { HS_ADDRESS_SIZE = 64, HS_CONN_LINGER_MAX = 64 };

struct hs_http_options;
struct hs_http_request;
struct sockaddr;

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

/* A duplicate of a socket that is read until its peer closes or a limit is reached. */
struct hs_lingering {
    int fd; /* -1: free */
    int64_t until_ns;
    size_t left;
};

struct hs_conn_table {
    const struct hs_http_options *options;
    int epoll_fd, stop_fd;
    pthread_t watcher;
    bool watching;
    pthread_mutex_t lock; /* guards what follows; locks of a request may be taken inside it, not around it */
    struct hs_conn *head;
    size_t count;
    uint64_t next_work_id, cancelled, timed_out;
    pthread_mutex_t linger_lock; /* guards what follows */
    struct hs_lingering lingering[HS_CONN_LINGER_MAX];
};

/* Borrows options. */
void hs_conn_table_init(struct hs_conn_table *table, const struct hs_http_options *options);
int hs_conn_table_watch(struct hs_conn_table *table, struct hs_error *err); /* starts the thread */
void hs_conn_table_finish(struct hs_conn_table *table);                     /* ends it; the table must be empty */

/* NULL without memory. */
struct hs_conn *hs_conn_add(struct hs_conn_table *table, int fd, const struct sockaddr *peer);

/* Before the socket is closed: the table does not touch it afterwards. */
void hs_conn_remove(struct hs_conn_table *table, struct hs_conn *conn);

/* A cut connection stays cut: returns false for it. */
bool hs_conn_enter(struct hs_conn_table *table, struct hs_conn *conn, enum hs_conn_phase phase);

/* Bytes of a body came. */
void hs_conn_touch(struct hs_conn_table *table, struct hs_conn *conn);

void hs_conn_set_request(struct hs_conn_table *table, struct hs_conn *conn, struct hs_http_request *req);

/* Enters WORKING: from here until hs_conn_unwatch the request is cancelled if the client closes or half-closes. */
void hs_conn_work(struct hs_conn_table *table, struct hs_conn *conn);
void hs_conn_unwatch(struct hs_conn_table *table, struct hs_conn *conn);

/* The request in work begins to answer: it can be cancelled until set_request, also while bytes are sent. */
void hs_conn_begin_stream(struct hs_conn_table *table, struct hs_conn *conn);

/* Cancels the request that has this id, if it is still in work; 0: every request in work. One that still waits for a
 * worker waits no longer. */
void hs_conn_cancel(struct hs_conn_table *table, uint64_t work_id);

/* Sends bytes as far as the socket takes them at once, and shuts the connection down for sending. */
void hs_conn_send_last(struct hs_conn_table *table, struct hs_conn *conn, const void *data, size_t len);

/* Reads and drops what the client still sends, for some seconds. The socket itself may be closed at once. */
void hs_conn_linger(struct hs_conn_table *table, const struct hs_conn *conn);

#endif
