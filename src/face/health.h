/* The gallery in /health, /health/ready and /metrics. Nothing here blocks, so the network thread
 * may call it. */
#ifndef HS_FACE_HEALTH_H
#define HS_FACE_HEALTH_H

#include <jansson.h>

#include "face/app.h"

/* Returns the state of the gallery; NULL if it is not configured. `state` is the first of these that
 * applies:
 *   "failed"    the gallery could not be read, so recognition fails; or its file is gone, so changes fail
 *   "loading"   the gallery is being read
 *   "restored"  the file was damaged at the start, and a backup replaced it
 *   "emptied"   the file was damaged at the start, and no good backup existed
 *   "degraded"  the last backup failed, or there are people whose faces all cannot match (reasons in `unusable`)
 *   "ok" */
json_t *hs_face_health_database(const struct hs_face_app *app);

/* Writes the gallery's part of /metrics: hs_app.metrics. */
struct hs_metrics_writer;
void hs_face_put_metrics(const void *state, struct hs_metrics_writer *writer);

/* Returns the reason why the gallery is not ready: "gallery_loading" or "gallery_failed"; NULL if
 * it is ready or not configured. ret_detail is the error message, or "". */
const char *hs_face_health_gallery_reason(const struct hs_face_app *app, char ret_detail[HS_ERROR_MESSAGE_SIZE]);

#endif
