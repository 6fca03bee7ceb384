/* Why a service cannot start, in two lines on stderr whatever the log's level and format:
 *
 *     Error: Address already in use (port 11436)
 *     → Solution: Change port in config or stop conflicting service
 */
#ifndef HS_SERVICE_SERVER_MAIN_H
#define HS_SERVICE_SERVER_MAIN_H

void hs_startup_error(const char *what, const char *solution);

/* For a model file; prints nothing if the name is "". */
void hs_startup_report_model(const char *file);

/* Logs which processes have a Hailo open. */
void hs_startup_log_holders(void);

#endif
