#include "base/buf.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void hs_buf_init(struct hs_buf *buf, size_t max)
{
    *buf = (struct hs_buf) { .max = max };
}

void hs_buf_finish(struct hs_buf *buf)
{
    if (buf->wipe)
        hs_mem_free_wiped(buf->data, buf->capacity);
    else
        free(buf->data);
    *buf = (struct hs_buf) { .max = buf->max, .wipe = buf->wipe };
}

void hs_buf_clear(struct hs_buf *buf)
{
    buf->len = 0;
    buf->error = 0;
}

/* Grows the allocation to at least `need` bytes; doubles it as long as that stays within the maximum. */
static bool grow(struct hs_buf *buf, size_t need)
{
    if (need <= buf->capacity)
        return true;
    size_t capacity = buf->capacity ? buf->capacity : 256;
    while (capacity < need && capacity <= buf->max / 2)
        capacity *= 2;
    if (capacity < need)
        capacity = need;
    uint8_t *data = buf->wipe ? malloc(capacity) : realloc(buf->data, capacity);
    if (!data)
        return false;
    if (buf->wipe && buf->data) {
        memcpy(data, buf->data, buf->len);
        hs_mem_free_wiped(buf->data, buf->capacity);
    }
    buf->data = data;
    buf->capacity = capacity;
    return true;
}

int hs_buf_reserve(struct hs_buf *buf, size_t more)
{
    size_t need;
    if (buf->error)
        return buf->error;
    if (!hs_size_add(buf->len, more, &need) || need > buf->max)
        buf->error = HS_ETOOLARGE;
    else if (!grow(buf, need))
        buf->error = HS_ENOMEM;
    return buf->error;
}

int hs_buf_append(struct hs_buf *buf, const void *data, size_t len)
{
    if (len == 0)
        return buf->error;
    if (hs_buf_reserve(buf, len) < 0)
        return buf->error;
    memcpy(buf->data + buf->len, data, len);
    buf->len += len;
    return 0;
}

int hs_buf_append_str(struct hs_buf *buf, const char *text)
{
    return hs_buf_append(buf, text, strlen(text));
}

int hs_buf_printf(struct hs_buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len < 0 && !buf->error)
        buf->error = HS_EINVAL;
    if (buf->error || hs_buf_reserve(buf, (size_t) len) < 0)
        return buf->error;
    if (!grow(buf, buf->len + (size_t) len + 1)) /* plus the NUL, which len does not count */
        return buf->error = HS_ENOMEM;
    va_start(args, format);
    vsnprintf((char *) buf->data + buf->len, (size_t) len + 1, format, args);
    va_end(args);
    buf->len += (size_t) len;
    return 0;
}

const char *hs_buf_str(struct hs_buf *buf)
{
    if (!grow(buf, buf->len + 1))
        return NULL;
    buf->data[buf->len] = '\0';
    return (const char *) buf->data;
}

uint8_t *hs_buf_take(struct hs_buf *buf, size_t *ret_len)
{
    uint8_t *data = buf->data;
    *ret_len = buf->len;
    buf->data = NULL;
    hs_buf_finish(buf);
    return data;
}
