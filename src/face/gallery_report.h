/* Which model the gallery is searched with, and sentences about the faces in it that cannot match. */
#ifndef HS_FACE_GALLERY_REPORT_H
#define HS_FACE_GALLERY_REPORT_H

#include "face/settings.h"
#include "gallery/survey.h"

struct hs_store;

/* The name of the embedding model that the settings mean. With `auto`, a gallery that has vectors decides: those of
 * another embedding space would not be found any more. Valid as long as the store and the settings are. */
const char *hs_face_choose_embedder(const struct hs_store *store, const struct hs_face_settings *settings);

struct hs_face_gallery_model {
    char name[HS_GALLERY_SPACE_MAX + 1], space[HS_GALLERY_SPACE_MAX + 1];
    size_t dimension;
};

/* The model that the service would search the gallery with. Loads nothing. HS_ENOTFOUND: there is no such model. */
int hs_face_gallery_model(const struct hs_face_settings *settings, struct hs_face_gallery_model *ret_model,
                          struct hs_error *err);

/* The model of that name, or one of that space, whether it is pulled or not. HS_ENOTFOUND names those there are. */
int hs_face_model_of_space(const struct hs_face_settings *settings, const char *name,
                           struct hs_face_gallery_model *ret_model, struct hs_error *err);

enum { HS_FACE_REPORT_LINES = HS_GALLERY_USABLE + 1, HS_FACE_REPORT_LINE_SIZE = 240 };

/* A sentence for each kind of face that cannot match a vector of that model, with what helps. Returns how many lines.
 */
size_t hs_face_report_unusable(const struct hs_gallery_usability *usability, const char *model, size_t dimension,
                               char ret_lines[HS_FACE_REPORT_LINES][HS_FACE_REPORT_LINE_SIZE]);

/* The same about names and metadata that this program would not have stored. Without the names, so that a log may have
 * the lines. */
size_t hs_face_report_records(const struct hs_gallery_survey *survey,
                              char ret_lines[HS_FACE_REPORT_LINES][HS_FACE_REPORT_LINE_SIZE]);

/* "1 face", "2 faces"; "1 person", "2 people". */
const char *hs_face_count_faces(int64_t count, char ret_text[40]);
const char *hs_face_count_people(int64_t count, char ret_text[40]);

#endif
