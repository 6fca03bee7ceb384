#include "http/completion_queue.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "http/request_internal.h"

int hs_completion_queue_init(struct hs_completion_queue *queue, struct hs_error *err)
{
    *queue = (struct hs_completion_queue) { .event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
    if (queue->event_fd < 0)
        return hs_error_set(err, HS_EIO, "cannot create an event descriptor: %s", strerror(errno));
    pthread_mutex_init(&queue->lock, NULL);
    return 0;
}

void hs_completion_queue_finish(struct hs_completion_queue *queue)
{
    if (queue->event_fd <= 0)
        return;
    close(queue->event_fd);
    pthread_mutex_destroy(&queue->lock);
    queue->event_fd = -1;
}

void hs_completion_queue_post(struct hs_completion_queue *queue, struct hs_http_request *req, bool finished)
{
    pthread_mutex_lock(&queue->lock);
    bool wake = !queue->first;
    req->finished |= finished;
    if (!req->posted) {
        req->posted = true;
        req->next = NULL;
        *(queue->last ? &queue->last->next : &queue->first) = req;
        queue->last = req;
    }
    pthread_mutex_unlock(&queue->lock);
    if (wake)
        eventfd_write(queue->event_fd, 1);
}

void hs_completion_queue_command(struct hs_completion_queue *queue, bool cancel_all, bool stop)
{
    pthread_mutex_lock(&queue->lock);
    queue->cancel_all |= cancel_all;
    queue->stop |= stop;
    pthread_mutex_unlock(&queue->lock);
    eventfd_write(queue->event_fd, 1);
}

struct hs_completion hs_completion_queue_take(struct hs_completion_queue *queue)
{
    struct hs_completion taken = { NULL, false };
    pthread_mutex_lock(&queue->lock);
    struct hs_http_request *req = queue->first;
    if (req) {
        queue->first = req->next;
        if (!queue->first)
            queue->last = NULL;
        req->posted = false;
        taken = (struct hs_completion) { req, req->finished };
    }
    pthread_mutex_unlock(&queue->lock);
    return taken;
}

void hs_completion_queue_take_commands(struct hs_completion_queue *queue, bool *ret_cancel_all, bool *ret_stop)
{
    eventfd_t count;
    eventfd_read(queue->event_fd, &count);
    pthread_mutex_lock(&queue->lock);
    *ret_cancel_all = queue->cancel_all;
    *ret_stop = queue->stop;
    queue->cancel_all = false;
    pthread_mutex_unlock(&queue->lock);
}
