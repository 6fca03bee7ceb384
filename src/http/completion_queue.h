/* Passes requests from the workers to the network thread: their response is ready, or a stream has
 * bytes to send. The same event also delivers the commands of the thread that owns the server. */
#ifndef HS_HTTP_COMPLETION_QUEUE_H
#define HS_HTTP_COMPLETION_QUEUE_H

#include <pthread.h>
#include <stdbool.h>

#include "hs/status.h"

struct hs_http_request;

struct hs_completion_queue {
    int event_fd;         /* readable if the queue has an entry or a command */
    pthread_mutex_t lock; /* guards the fields below, and `posted`, `finished` and `next` of queued requests */
    struct hs_http_request *first, *last;
    bool cancel_all, stop;
};

/* Fails with HS_EIO if it cannot create the event. */
int hs_completion_queue_init(struct hs_completion_queue *queue, struct hs_error *err);
void hs_completion_queue_finish(struct hs_completion_queue *queue); /* also accepts an all-zero queue */

/* Queues a request. `finished`: the worker no longer uses the request. Any thread. */
void hs_completion_queue_post(struct hs_completion_queue *queue, struct hs_http_request *req, bool finished);

/* Sends a command to the network thread. `cancel_all`: cancel every running request. `stop`: end
 * the loop. Any thread. */
void hs_completion_queue_command(struct hs_completion_queue *queue, bool cancel_all, bool stop);

struct hs_completion {
    struct hs_http_request *req; /* NULL: the queue is empty */
    bool finished;
};

/* Remove the first request; read and reset the commands, except stop. Network thread only. */
struct hs_completion hs_completion_queue_take(struct hs_completion_queue *queue);
void hs_completion_queue_take_commands(struct hs_completion_queue *queue, bool *ret_cancel_all, bool *ret_stop);

#endif
