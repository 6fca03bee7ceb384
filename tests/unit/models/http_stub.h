/* A web server of one file that can be told to misbehave. Its fields are set while it is stopped; it keeps its port
 * from one start to the next. */
#ifndef HS_TESTS_HTTP_STUB_H
#define HS_TESTS_HTTP_STUB_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_stub {
    const void *body;
    size_t len;
    const char *etag;     /* with its quotes; NULL: none */
    int status;           /* 0: 200 or 206; else this, without a body */
    const char *location; /* of a redirect */
    bool no_ranges;       /* answers a range with the whole file */
    bool ignores_if_range;
    bool no_length;     /* the end of the connection is the end of the file */
    size_t range_error; /* so many bytes before those that were asked for */
    size_t announce;    /* the Content-Length that it claims; 0: the right one */
    size_t send_max;    /* of a body in one answer; 0: all */
    size_t piece;       /* a body is sent in pieces of so many bytes with a pause after each; 0: at once */
    int pause_ms;
    int answers; /* after so many it only hangs up; 0: no end; negative: at once */
    bool stalls; /* instead of hanging up it says no more */

    /* what it saw, to be read when it is stopped */
    int requests;
    char range[64], if_range[64]; /* of the last request; "" where it had none */

    int port, listener;
    pthread_t thread;
};

void http_stub_start(struct http_stub *stub);
void http_stub_stop(struct http_stub *stub);

#endif
