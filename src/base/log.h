/* Logs to stderr, one line per message, as text or as JSON; in systemd's journal with the line's level. The code that
 * handles an error logs it, once; library code returns errors instead. Never log the name of a person. Any thread. */
#ifndef HS_BASE_LOG_H
#define HS_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum hs_log_level { HS_LOG_DEBUG, HS_LOG_INFO, HS_LOG_WARNING, HS_LOG_ERROR };
enum hs_log_format { HS_LOG_TEXT, HS_LOG_JSON };

/* `program` names the program in each line; it is borrowed until the process ends. Before the first call the values are
 * "hailo", INFO and text. */
void hs_log_setup(const char *program, enum hs_log_level level, enum hs_log_format format);
enum hs_log_format hs_log_get_format(void);

/* Returns "<3>" for HS_LOG_ERROR and so on if stderr was the journal at hs_log_setup, which removes this beginning of a
 * line and stores the level; else "". For lines that are written to stderr without this log. */
const char *hs_log_journal_prefix(enum hs_log_level level);

enum hs_log_field_kind { HS_LOG_STRING, HS_LOG_INTEGER, HS_LOG_DECIMAL };

/* A value of a line that programs read. Borrowed during the call. Make it with the macros below. */
struct hs_log_field {
    const char *key; /* lower-case letters and '_'; not time, level, program or msg */
    enum hs_log_field_kind kind;
    bool in_message; /* the message has the value, too; left out of a text line */
    union {
        const char *string; /* NULL: null in JSON, "-" in a text line; cut after 256 bytes */
        int64_t integer;
        double decimal; /* finite; written with one decimal place */
    } value;
};

#define HS_LOG_FIELD_STRING(name, text) { .key = (name), .kind = HS_LOG_STRING, .value.string = (text) }
#define HS_LOG_FIELD_INTEGER(name, number) { .key = (name), .kind = HS_LOG_INTEGER, .value.integer = (number) }
#define HS_LOG_FIELD_DECIMAL(name, number) { .key = (name), .kind = HS_LOG_DECIMAL, .value.decimal = (number) }

/* Writes a text line as "2026-01-31 12:00:00,123 [hailo-pose] INFO: message key=value", in local time. Writes a JSON
 * line as {"time", "level", "program", "msg", and the fields}, in UTC. Escapes control characters. Allocates nothing,
 * so a lack of memory loses no line. Cuts a message that is too long, and leaves out fields that do not fit. */
void hs_log_fields(enum hs_log_level level, const struct hs_log_field *fields, size_t count, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The same without fields. */
void hs_log(enum hs_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Writes a line for scripts to stdout, at every level: in the text format only the message, without its fields. */
void hs_log_announce(const struct hs_log_field *fields, size_t count, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define hs_log_debug(...) hs_log(HS_LOG_DEBUG, __VA_ARGS__)
#define hs_log_info(...) hs_log(HS_LOG_INFO, __VA_ARGS__)
#define hs_log_warning(...) hs_log(HS_LOG_WARNING, __VA_ARGS__)
#define hs_log_error(...) hs_log(HS_LOG_ERROR, __VA_ARGS__)

#endif
