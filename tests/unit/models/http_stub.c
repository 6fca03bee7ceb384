#include "http_stub.h"

#include "../unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/str.h"

static void find_header(const char *head, const char *name, char *dst, size_t size)
{
    dst[0] = '\0';
    for (const char *line = head; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncasecmp(line, name, strlen(name)) != 0 || line[strlen(name)] != ':')
            continue;
        const char *value = line + strlen(name) + 1;
        value += strspn(value, " ");
        hs_str_copy_n(dst, size, value, strcspn(value, "\r\n"));
        return;
    }
}

static bool read_head(int fd, char *head, size_t size)
{
    size_t len = 0;
    while (len < size - 1) {
        ssize_t n = recv(fd, head + len, size - 1 - len, 0);
        if (n <= 0)
            return false;
        len += (size_t) n;
        head[len] = '\0';
        if (strstr(head, "\r\n\r\n"))
            return true;
    }
    return false;
}

/* Returns false if the client has closed the connection. */
static bool send_all(int fd, const void *data, size_t len)
{
    for (const char *at = data; len > 0;) {
        ssize_t n = send(fd, at, len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        at += n;
        len -= (size_t) n;
    }
    return true;
}

static void send_body(const struct http_stub *stub, int fd, const void *data, size_t len)
{
    size_t piece = stub->piece && stub->piece < len ? stub->piece : len;
    for (const char *at = data; len > 0 && send_all(fd, at, piece < len ? piece : len);) {
        at += piece;
        len -= piece < len ? piece : len;
        usleep((useconds_t) stub->pause_ms * 1000);
    }
}

static void wait_for_end(int fd)
{
    char byte;
    while (recv(fd, &byte, 1, 0) > 0)
        ;
}

static void answer(struct http_stub *stub, int fd)
{
    char head[1024], range_line[100] = "", length_line[60] = "";
    size_t start = 0;
    bool same = !stub->if_range[0] || stub->ignores_if_range || (stub->etag && strcmp(stub->etag, stub->if_range) == 0);
    bool partial = stub->range[0] && !stub->no_ranges && same;
    if (partial)
        start = (size_t) strtoull(stub->range + strlen("bytes="), NULL, 10);
    int status = stub->status ? stub->status : !partial ? 200 : start >= stub->len ? 416 : 206;
    bool body = status == 200 || status == 206;
    start -= status == 206 ? stub->range_error : 0;
    size_t left = body ? stub->len - start : 0;
    if (status == 206)
        snprintf(range_line, sizeof(range_line), "Content-Range: bytes %zu-%zu/%zu\r\n", start, stub->len - 1,
                 stub->len);
    if (!stub->no_length)
        snprintf(length_line, sizeof(length_line), "Content-Length: %zu\r\n", stub->announce ? stub->announce : left);
    int len = snprintf(head, sizeof(head), "HTTP/1.1 %d Said\r\n%s%s%s%s%s%s%s%sConnection: close\r\n\r\n", status,
                       length_line, range_line, stub->etag ? "ETag: " : "", stub->etag ? stub->etag : "",
                       stub->etag ? "\r\n" : "", stub->location ? "Location: " : "",
                       stub->location ? stub->location : "", stub->location ? "\r\n" : "");
    send_all(fd, head, (size_t) len);
    bool cut = stub->send_max && stub->send_max < left;
    if (left)
        send_body(stub, fd, (const char *) stub->body + start, cut ? stub->send_max : left);
    if (cut && stub->stalls)
        wait_for_end(fd);
}

static void *serve(void *arg)
{
    struct http_stub *stub = arg;
    char head[4096];
    for (;;) {
        int fd = accept(stub->listener, NULL, NULL);
        if (fd < 0)
            return NULL;
        if (read_head(fd, head, sizeof(head))) {
            stub->requests++;
            find_header(head, "Range", stub->range, sizeof(stub->range));
            find_header(head, "If-Range", stub->if_range, sizeof(stub->if_range));
            if (stub->answers == 0 || stub->requests <= stub->answers)
                answer(stub, fd);
            else if (stub->stalls)
                wait_for_end(fd);
        }
        close(fd);
    }
}

void http_stub_start(struct http_stub *stub)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t) stub->port) };
    socklen_t size = sizeof(address);
    int one = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    stub->requests = 0;
    stub->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(stub->listener >= 0);
    setsockopt(stub->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    assert_int_equal(bind(stub->listener, (struct sockaddr *) &address, sizeof(address)), 0);
    assert_int_equal(listen(stub->listener, 8), 0);
    assert_int_equal(getsockname(stub->listener, (struct sockaddr *) &address, &size), 0);
    stub->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&stub->thread, NULL, serve, stub), 0);
}

void http_stub_stop(struct http_stub *stub)
{
    shutdown(stub->listener, SHUT_RDWR);
    pthread_join(stub->thread, NULL);
    close(stub->listener);
}
