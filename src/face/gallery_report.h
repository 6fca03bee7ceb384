/* Selects the model that searches the gallery, and reports faces in the gallery that cannot match. */
#ifndef HS_FACE_GALLERY_REPORT_H
#define HS_FACE_GALLERY_REPORT_H

#include "face/settings.h"
#include "gallery/audit.h"

struct hs_store;

/* Returns the name of the configured embedding model. With `auto`, a gallery with embeddings
 * decides, because faces of another space would no longer be found. Valid as long as the store and
 * the settings. */
const char *hs_face_choose_embedder(const struct hs_store *store, const struct hs_face_settings *settings);

struct hs_face_gallery_model {
    char name[HS_GALLERY_SPACE_MAX + 1], space[HS_GALLERY_SPACE_MAX + 1];
    size_t dimension;
};

/* Returns the model with which the service would search the gallery. Loads nothing. HS_ENOTFOUND:
 * the model does not exist. */
int hs_face_gallery_model(const struct hs_face_settings *settings, struct hs_face_gallery_model *ret_model,
                          struct hs_error *err);

/* Returns the model called `name`, or a model of the space `name`, even if it is not pulled.
 * HS_ENOTFOUND: the message lists the known ones. */
int hs_face_model_of_space(const struct hs_face_settings *settings, const char *name,
                           struct hs_face_gallery_model *ret_model, struct hs_error *err);

enum { HS_FACE_REPORT_LINES = HS_GALLERY_USABLE + 1, HS_FACE_REPORT_LINE_SIZE = 240 };

/* Writes a line for each kind of face that cannot match an embedding of that model, with the
 * remedy. Returns the number of lines. */
size_t hs_face_report_unusable(const struct hs_gallery_usability *usability, const char *model, size_t dimension,
                               char ret_lines[HS_FACE_REPORT_LINES][HS_FACE_REPORT_LINE_SIZE]);

/* Writes such lines about names and metadata that this program would not have stored. The lines are
 * for logs, so they do not contain the names. */
size_t hs_face_report_records(const struct hs_gallery_audit *audit,
                              char ret_lines[HS_FACE_REPORT_LINES][HS_FACE_REPORT_LINE_SIZE]);

/* Return "1 face", "2 faces"; "1 person", "2 people". */
const char *hs_face_count_faces(int64_t count, char ret_text[40]);
const char *hs_face_count_people(int64_t count, char ret_text[40]);

#endif
