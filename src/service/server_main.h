/* Prints the reason why a service cannot start, in two lines on stderr:
 *
 *     Error: Address already in use (port 11436)
 *     → Solution: Change port in config or stop conflicting service
 *
 * If the log's format is JSON, logs the error with the field "solution". Both at every level. */
#ifndef HS_SERVICE_SERVER_MAIN_H
#define HS_SERVICE_SERVER_MAIN_H

void hs_startup_error(const char *what, const char *solution);

/* Does the same for a model file. Prints nothing if the name is "". */
void hs_startup_report_model(const char *file);

/* Logs the processes that have a Hailo device open. */
void hs_startup_log_holders(void);

#endif
