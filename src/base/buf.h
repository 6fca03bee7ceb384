/* A growing byte buffer with a fixed maximum size. */
#ifndef HS_BASE_BUF_H
#define HS_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hs/status.h"

/* `data` is NULL until bytes are appended. `len` <= `max` always. Not thread-safe.
 *
 * Errors are sticky: after a failure every function that adds bytes does nothing and returns that first error, so a
 * caller may ignore the results and check hs_buf_error once at the end. The bytes before the failure stay. */
struct hs_buf {
    uint8_t *data;
    size_t len, capacity, max;
    int error; /* 0, or the first failure */
    bool wipe; /* set after hs_buf_init: memory is overwritten before it is freed; for face embeddings and API keys */
};

/* Allocates nothing. */
void hs_buf_init(struct hs_buf *buf, size_t max);

/* Frees the bytes and leaves an empty buffer with the same maximum, `wipe` as it was, and no error. */
void hs_buf_finish(struct hs_buf *buf);

/* Empties the buffer and clears its error; keeps the memory for the next bytes. */
void hs_buf_clear(struct hs_buf *buf);

static inline int hs_buf_error(const struct hs_buf *buf)
{
    return buf->error;
}

/* Makes room for `more` bytes after len. HS_ETOOLARGE past the maximum; HS_ENOMEM. */
int hs_buf_reserve(struct hs_buf *buf, size_t more);
int hs_buf_append(struct hs_buf *buf, const void *data, size_t len);
int hs_buf_append_str(struct hs_buf *buf, const char *text);
int hs_buf_printf(struct hs_buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Adds a NUL byte that len does not count, and returns the content as text; after an error the bytes before it. NULL
 * if memory for the NUL cannot be allocated. */
const char *hs_buf_str(struct hs_buf *buf);

/* Returns the bytes, which the caller frees with free(). The buffer is then as after hs_buf_finish. */
uint8_t *hs_buf_take(struct hs_buf *buf, size_t *ret_len);

#endif
