#include "base/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"

/* A line is at most PIPE_BUF, so that lines of several processes in one pipe do not mix. */
enum { PREFIX_LEN = 3, LINE_SIZE = 4096 - PREFIX_LEN, MESSAGE_SIZE = 2560, FIELDS_SIZE = 1280, VALUE_SIZE = 264 };

static _Atomic(const char *) program_name = "hailo";
static _Atomic enum hs_log_level min_level = HS_LOG_INFO;
static _Atomic enum hs_log_format line_format = HS_LOG_TEXT;

static atomic_bool to_journal; /* stderr is a stream of the journal */

static const char *const level_names[] = { "DEBUG", "INFO", "WARNING", "ERROR" };

/* The journal reads the level from this prefix (sd-daemon(3)) and removes it. */
static const char *const journal_prefixes[] = { "<7>", "<6>", "<4>", "<3>" };

/* JOURNAL_STREAM has device and inode of the stream (systemd.exec(5)). Without this check, a service whose output is
 * redirected to a file would write the prefix there. */
static bool is_journal(int fd)
{
    const char *stream = getenv("JOURNAL_STREAM");
    char own[64];
    struct stat st;
    if (!stream || fstat(fd, &st) < 0)
        return false;
    snprintf(own, sizeof(own), "%ju:%ju", (uintmax_t) st.st_dev, (uintmax_t) st.st_ino);
    return strcmp(stream, own) == 0;
}

void hs_log_setup(const char *program, enum hs_log_level level, enum hs_log_format format)
{
    atomic_store(&to_journal, is_journal(STDERR_FILENO));
    atomic_store(&program_name, program);
    atomic_store(&min_level, level);
    atomic_store(&line_format, format);
}

enum hs_log_format hs_log_get_format(void)
{
    return atomic_load(&line_format);
}

const char *hs_log_journal_prefix(enum hs_log_level level)
{
    return atomic_load(&to_journal) ? journal_prefixes[level] : "";
}

/* Copies text with control characters and bytes that are not UTF-8 escaped; if quoted, as in JSON, and also quotes and
 * backslashes. */
static void escape(char *dst, size_t size, const char *text, bool quoted)
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
        } else if (quoted && (c == '"' || c == '\\')) {
            dst[at++] = '\\';
            dst[at++] = (char) c;
        } else if (n == 1 && c >= 0x20 && c != 0x7f) {
            dst[at++] = (char) c;
        } else {
            at += (size_t) snprintf(dst + at, size - at, quoted ? "\\u%04x" : "\\x%02x", c);
        }
        text += n ? n : 1;
        left -= n ? n : 1;
    }
    dst[at] = '\0';
}

/* Quotes a string in a text line only if it would be read as something else. */
static void write_value(const struct hs_log_field *field, bool json, char ret_text[VALUE_SIZE + 2])
{
    const char *text = field->value.string;
    char safe[VALUE_SIZE];
    if (field->kind == HS_LOG_INTEGER) {
        snprintf(ret_text, VALUE_SIZE, "%" PRId64, field->value.integer);
    } else if (field->kind == HS_LOG_DECIMAL) {
        snprintf(ret_text, VALUE_SIZE, "%.1f", field->value.decimal);
    } else if (!text) {
        snprintf(ret_text, VALUE_SIZE, "%s", json ? "null" : "-");
    } else {
        bool quoted = json || !text[0] || strpbrk(text, " \"=\\");
        escape(safe, sizeof(safe), text, quoted);
        snprintf(ret_text, VALUE_SIZE + 2, quoted ? "\"%s\"" : "%s", safe);
    }
}

static void write_fields(const struct hs_log_field *fields, size_t count, bool json, char ret_text[FIELDS_SIZE])
{
    size_t len = 0;
    ret_text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        char value[VALUE_SIZE + 2];
        if (fields[i].in_message && !json)
            continue;
        write_value(&fields[i], json, value);
        if (hs_str_format(ret_text + len, FIELDS_SIZE - len, json ? ", \"%s\": %s" : " %s=%s", fields[i].key, value))
            len += strlen(ret_text + len);
        else
            ret_text[len] = '\0';
    }
}

/* Returns the length. */
__attribute__((format(printf, 5, 0))) static size_t write_line(char ret_line[LINE_SIZE], enum hs_log_level level,
                                                               const struct hs_log_field *fields, size_t count,
                                                               const char *format, va_list args)
{
    char message[MESSAGE_SIZE], safe[MESSAGE_SIZE], more[FIELDS_SIZE], when[32];
    const char *program = atomic_load(&program_name);
    bool json = hs_log_get_format() == HS_LOG_JSON;
    struct timespec now;
    struct tm parts;
    vsnprintf(message, sizeof(message), format, args);
    escape(safe, sizeof(safe), message, json);
    write_fields(fields, count, json, more);
    clock_gettime(CLOCK_REALTIME, &now);
    int ms = (int) (now.tv_nsec / 1000000), len;
    if (json) {
        gmtime_r(&now.tv_sec, &parts);
        strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &parts);
        len = snprintf(ret_line, LINE_SIZE,
                       "{\"time\": \"%s.%03dZ\", \"level\": \"%s\", \"program\": \"%s\", \"msg\": \"%s\"%s}\n", when,
                       ms, level_names[level], program, safe, more);
    } else {
        localtime_r(&now.tv_sec, &parts);
        strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &parts);
        len =
            snprintf(ret_line, LINE_SIZE, "%s,%03d [%s] %s: %s%s\n", when, ms, program, level_names[level], safe, more);
    }
    return len > 0 ? strlen(ret_line) : 0;
}

__attribute__((format(printf, 4, 0))) static void log_line(enum hs_log_level level, const struct hs_log_field *fields,
                                                           size_t count, const char *format, va_list args)
{
    char line[PREFIX_LEN + LINE_SIZE];
    if (level < atomic_load(&min_level))
        return;
    const char *prefix = hs_log_journal_prefix(level);
    size_t len = strlen(prefix);
    memcpy(line, prefix, len);
    len += write_line(line + len, level, fields, count, format, args);
    /* One write per line, so that lines of several threads do not mix. A full or closed stderr cannot be reported. */
    if (write(STDERR_FILENO, line, len) < 0)
        return;
}

void hs_log_fields(enum hs_log_level level, const struct hs_log_field *fields, size_t count, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    log_line(level, fields, count, format, args);
    va_end(args);
}

void hs_log(enum hs_log_level level, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    log_line(level, NULL, 0, format, args);
    va_end(args);
}

void hs_log_announce(const struct hs_log_field *fields, size_t count, const char *format, ...)
{
    char line[LINE_SIZE];
    va_list args;
    va_start(args, format);
    if (hs_log_get_format() == HS_LOG_JSON) {
        write_line(line, HS_LOG_INFO, fields, count, format, args);
        fputs(line, stdout);
    } else {
        vprintf(format, args);
        putchar('\n');
    }
    va_end(args);
    fflush(stdout);
}
