#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"

enum { LINE_SIZE = 4096, MESSAGE_SIZE = 3072 };

static _Atomic(const char *) program_name = "hailo";
static _Atomic enum hs_log_level least_level = HS_LOG_INFO;
static _Atomic enum hs_log_format line_format = HS_LOG_TEXT;

static const char *const level_names[] = { "DEBUG", "INFO", "WARNING", "ERROR" };

void hs_log_setup(const char *program, enum hs_log_level level, enum hs_log_format format)
{
    atomic_store(&program_name, program);
    atomic_store(&least_level, level);
    atomic_store(&line_format, format);
}

/* Copies text with control characters and bytes that are not UTF-8 escaped; for JSON also quotes and backslashes. */
static void escape(char *dst, size_t size, const char *text, bool json)
{
    size_t at = 0, left = strlen(text);
    while (left > 0) {
        unsigned char c = (unsigned char) *text;
        size_t n = hs_utf8_sequence(text, left);
        if (at + 8 > size)
            break;
        if (n > 1) {
            memcpy(dst + at, text, n);
            at += n;
        } else if (json && (c == '"' || c == '\\')) {
            dst[at++] = '\\';
            dst[at++] = (char) c;
        } else if (n == 1 && c >= 0x20 && c != 0x7f) {
            dst[at++] = (char) c;
        } else {
            at += (size_t) snprintf(dst + at, size - at, json ? "\\u%04x" : "\\x%02x", c);
        }
        text += n ? n : 1;
        left -= n ? n : 1;
    }
    dst[at] = '\0';
}

void hs_log(enum hs_log_level level, const char *format, ...)
{
    if (level < atomic_load(&least_level))
        return;
    char message[MESSAGE_SIZE], safe[MESSAGE_SIZE], when[32], line[LINE_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);

    struct timespec now;
    struct tm parts;
    clock_gettime(CLOCK_REALTIME, &now);
    int ms = (int) (now.tv_nsec / 1000000);
    bool json = atomic_load(&line_format) == HS_LOG_JSON;
    escape(safe, sizeof(safe), message, json);
    int len;
    if (json) {
        gmtime_r(&now.tv_sec, &parts);
        strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &parts);
        len = snprintf(line, sizeof(line),
                       "{\"time\": \"%s.%03dZ\", \"service\": \"%s\", \"level\": \"%s\", \"message\": \"%s\"}\n", when,
                       ms, atomic_load(&program_name), level_names[level], safe);
    } else {
        localtime_r(&now.tv_sec, &parts);
        strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &parts);
        len = snprintf(line, sizeof(line), "%s,%03d [%s] %s: %s\n", when, ms, atomic_load(&program_name),
                       level_names[level], safe);
    }
    /* One write per line, so that lines of several threads do not mix. A full or closed stderr cannot be reported. */
    if (len > 0 && write(STDERR_FILENO, line, (size_t) len) < 0)
        return;
}
