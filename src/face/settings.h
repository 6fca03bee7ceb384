/* All settings of hailo-face. */
#ifndef HS_FACE_SETTINGS_H
#define HS_FACE_SETTINGS_H

#include "config/common.h"

struct hs_face_section {
    char *detection_model, *recognition_model; /* name of a pack, or "auto" */
    double detection_threshold, detection_iou;
    double recognition_threshold; /* -1: the default of the model's embedding space */
    double min_margin;
    bool tiny_faces, large_faces;
    int max_faces;
    int embedding_dimension; /* checked against the model */
};

/* Settings of the predecessor service, accepted for compatibility; all except `debug` are ignored. */
struct hs_face_legacy_settings {
    bool debug; /* pretty-printed responses */
    int device, batch_size, device_timeout_ms;
    char *database_path;
};

struct hs_database_section {
    bool enabled;
    char *db_file;
    bool backup_enabled;
    char *backup_path;
    int keep_backups;
    int max_embeddings_per_identity;
    double backup_interval; /* seconds; 0: only at the start */
    int enrolment;          /* enum hs_enrol_gate */
    double retention;       /* seconds; 0: without limit */
    bool audit;
    int audit_keep;       /* entries */
    char *encryption_key; /* as the source of hs_credential_read; "": none */
    bool core_dumps;
};

/* The values for hs_face_schema; see hs_settings_values. */
struct hs_face_settings {
    HS_COMMON_SECTIONS /* without model.name; inference has only device and memory */
        struct hs_face_section face_recognition;
    struct hs_database_section database;
    struct hs_face_legacy_settings legacy;
};

extern const struct hs_schema hs_face_schema;

#endif
