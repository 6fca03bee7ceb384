/* A web server for one file, with faults on demand. Set its fields while it is stopped; it keeps
 * its port when it is started again. */
#ifndef HS_TESTS_HTTP_STUB_H
#define HS_TESTS_HTTP_STUB_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_stub {
    const void *body;
    size_t len;
    const char *etag;     /* with quotes; NULL: none */
    int status;           /* 0: 200 or 206; else this status, without a body */
    const char *location; /* Location header of a redirect */
    bool no_ranges;       /* answers a range request with the whole file */
    bool ignores_if_range;
    bool no_length;     /* sends no Content-Length; the end of the connection is the end of the file */
    size_t range_error; /* starts a range this many bytes too early */
    size_t announce;    /* Content-Length to send; 0: the right one */
    size_t send_max;    /* bytes of a body per response; 0: all */
    size_t piece;       /* sends a body in pieces of this size with a pause after each; 0: at once */
    int pause_ms;
    int answers; /* closes all connections after this many responses; 0: no limit; negative: from the start */
    bool stalls; /* stops sending instead of closing the connection */

    /* recorded while the server runs; read them after it has stopped */
    int requests;
    char range[64], if_range[64]; /* of the last request; "" if it had none */

    int port, listener;
    pthread_t thread;
};

void http_stub_start(struct http_stub *stub);
void http_stub_stop(struct http_stub *stub);

#endif
