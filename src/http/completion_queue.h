/* Requests that a worker hands to the network thread: their answer is ready, or a stream has bytes to send. Waking the
 * thread also serves the commands of the thread that owns the server. */
#ifndef HS_HTTP_COMPLETION_QUEUE_H
#define HS_HTTP_COMPLETION_QUEUE_H

#include <pthread.h>
#include <stdbool.h>

#include "hs/status.h"

struct hs_http_request;

struct hs_completion_queue {
    int event_fd;         /* readable if there is something to take */
    pthread_mutex_t lock; /* guards what follows, and `posted`, `finished` and `next` of the requests in it */
    struct hs_http_request *first, *last;
    bool cancel_all, stop;
};

/* HS_EIO. */
int hs_completion_queue_init(struct hs_completion_queue *queue, struct hs_error *err);
void hs_completion_queue_finish(struct hs_completion_queue *queue); /* also one that is all zeros */

/* `finished`: the worker does not touch the request any more. Any thread. */
void hs_completion_queue_post(struct hs_completion_queue *queue, struct hs_http_request *req, bool finished);

/* Any thread. `cancel_all`: cancel every request in work. `stop`: end the loop. */
void hs_completion_queue_command(struct hs_completion_queue *queue, bool cancel_all, bool stop);

struct hs_completion {
    struct hs_http_request *req; /* NULL: the queue is empty */
    bool finished;
};

/* For the network thread. */
struct hs_completion hs_completion_queue_take(struct hs_completion_queue *queue);
void hs_completion_queue_take_commands(struct hs_completion_queue *queue, bool *ret_cancel_all, bool *ret_stop);

#endif
