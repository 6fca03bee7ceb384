/* Logs to stderr, one line per message, as text or as JSON. The code that handles an error logs it, once; library code
 * returns errors instead. Any thread. */
#ifndef HS_BASE_LOG_H
#define HS_BASE_LOG_H

enum hs_log_level { HS_LOG_DEBUG, HS_LOG_INFO, HS_LOG_WARNING, HS_LOG_ERROR };
enum hs_log_format { HS_LOG_TEXT, HS_LOG_JSON };

/* `program` names the service in each line; it is borrowed until the process ends. Before the first call the values are
 * "hailo", INFO and text. */
void hs_log_setup(const char *program, enum hs_log_level level, enum hs_log_format format);

/* Writes a text line as "2026-01-31 12:00:00,123 [hailo-pose] INFO: message". Escapes control characters in the
 * message. */
void hs_log(enum hs_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define hs_log_debug(...) hs_log(HS_LOG_DEBUG, __VA_ARGS__)
#define hs_log_info(...) hs_log(HS_LOG_INFO, __VA_ARGS__)
#define hs_log_warning(...) hs_log(HS_LOG_WARNING, __VA_ARGS__)
#define hs_log_error(...) hs_log(HS_LOG_ERROR, __VA_ARGS__)

#endif
