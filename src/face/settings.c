#include "face/settings.h"

#include "face/enrol.h"

static const struct hs_setting face_rows[] = {
    { .name = "face_recognition.detection_model", .type = HS_SETTING_TEXT,
      .offset = offsetof(struct hs_face_section, detection_model), .min = 1, .max = 255, .fallback = "auto",
      .help = "Model that finds faces; auto: the best one that this machine can run and has" },
    { .name = "face_recognition.recognition_model", .type = HS_SETTING_TEXT,
      .offset = offsetof(struct hs_face_section, recognition_model), .min = 1, .max = 255, .fallback = "auto",
      .help = "Model that turns a face into a vector; auto: the best one that this machine can run and has" },
    { .name = "face_recognition.detection_threshold", .type = HS_SETTING_DOUBLE,
      .offset = offsetof(struct hs_face_section, detection_threshold), .min = 0, .max = 1, .fallback = "0.6",
      .help = "Least score of a face" },
    { .name = "face_recognition.detection_iou", .type = HS_SETTING_DOUBLE,
      .offset = offsetof(struct hs_face_section, detection_iou), .min = 0, .max = 1, .fallback = "0.4",
      .help = "Overlap from which two boxes count as the same face" },
    { .name = "face_recognition.recognition_threshold", .type = HS_SETTING_DOUBLE, .flags = HS_SETTING_AUTO,
      .offset = offsetof(struct hs_face_section, recognition_threshold), .min = 0, .max = 1, .fallback = "0.5",
      .help = "Cosine above which two faces are one person; auto: what the recognition model recommends" },
    { .name = "face_recognition.min_margin", .type = HS_SETTING_DOUBLE,
      .offset = offsetof(struct hs_face_section, min_margin), .min = 0, .max = 1, .fallback = "0",
      .help = "How much better than the second best name the best one must be, else the answer is Unknown" },
    { .name = "face_recognition.tiny_faces", .type = HS_SETTING_BOOL,
      .offset = offsetof(struct hs_face_section, tiny_faces), .fallback = "false",
      .help = "Look a second time, at twice the size, for the tiny faces of a crowd; a request may say otherwise" },
    { .name = "face_recognition.max_faces", .type = HS_SETTING_INT,
      .offset = offsetof(struct hs_face_section, max_faces), .min = 1, .max = 1000, .fallback = "10",
      .help = "Most faces in an answer, the best ones by score" },
    { .name = "face_recognition.embedding_dimension", .type = HS_SETTING_INT,
      .offset = offsetof(struct hs_face_section, embedding_dimension), .min = 1, .max = 4096, .fallback = "512",
      .unit = "numbers", .help = "Length of a vector, which must be the recognition model's" },
};

#define OLDER(row, kind, field)                                                                                        \
    .name = row, .type = HS_SETTING_##kind, .offset = offsetof(struct hs_face_older_settings, field)
#define UNUSED(row, kind, field) OLDER(row, kind, field), .flags = HS_SETTING_UNUSED

/* In two tables, because rows of a section stand together. */
static const struct hs_setting older_server_rows[] = {
    { OLDER("server.debug", BOOL, debug), .fallback = "false",
      .help = "Answers with a line for each value, for people; nothing else is different" },
};

static const struct hs_setting older_face_rows[] = {
    { UNUSED("face_recognition.device", INT, device), .min = 0, .max = 255, .fallback = "0",
      .help = "Not used: inference.device and inference.device_id choose the device" },
    { UNUSED("face_recognition.batch_size", INT, batch_size), .min = 1, .max = 1024, .fallback = "1",
      .help = "Not used: how many faces go through the network at once is up to the service" },
    { UNUSED("face_recognition.device_timeout_ms", INT, device_timeout_ms), .min = 0, .max = 86400000,
      .fallback = "5000", .unit = "ms",
      .help = "Not used: device.timeout and performance.request_timeout say how long things may take" },
    { UNUSED("face_recognition.database_path", TEXT, database_path), .max = 4095,
      .fallback = "/var/lib/hailo-face/database", .help = "Not used: database.db_file names the gallery" },
};

static const struct hs_setting database_rows[] = {
    { .name = "database.enabled", .type = HS_SETTING_BOOL, .offset = offsetof(struct hs_database_section, enabled),
      .fallback = "true", .help = "Keep a gallery of identities; false: requests that need it are answered 503" },
    { .name = "database.db_file", .type = HS_SETTING_TEXT, .offset = offsetof(struct hs_database_section, db_file),
      .min = 1, .max = 4095, .fallback = "/var/lib/hailo-face/faces.db", .help = "The gallery's file" },
    { .name = "database.backup_enabled", .type = HS_SETTING_BOOL,
      .offset = offsetof(struct hs_database_section, backup_enabled), .fallback = "true",
      .help = "Back the gallery up at each start" },
    { .name = "database.backup_path", .type = HS_SETTING_TEXT,
      .offset = offsetof(struct hs_database_section, backup_path), .min = 1, .max = 4095,
      .fallback = "/var/lib/hailo-face/backups", .help = "Folder of the gallery's backups" },
    { .name = "database.keep_backups", .type = HS_SETTING_INT,
      .offset = offsetof(struct hs_database_section, keep_backups), .min = 1, .max = 1000, .fallback = "7",
      .unit = "files", .help = "Backups that are kept, the newest ones" },
    { .name = "database.max_embeddings_per_identity", .type = HS_SETTING_INT,
      .offset = offsetof(struct hs_database_section, max_embeddings_per_identity), .min = 0, .max = 10000,
      .fallback = "10", .unit = "vectors",
      .help = "Most vectors of one identity, the most different ones; 0: no limit" },
    { .name = "database.backup_interval", .type = HS_SETTING_SECONDS,
      .offset = offsetof(struct hs_database_section, backup_interval), .min = 0, .max = 31536000, .fallback = "24h",
      .unit = "seconds",
      .help = "How often the gallery is backed up while the service runs, where it changed; 0: at each start only" },
    { .name = "database.enrolment", .type = HS_SETTING_CHOICE,
      .offset = offsetof(struct hs_database_section, enrolment), .choices = hs_enrol_gates, .fallback = "off",
      .help = "What a picture must be like for a face of it to be added; off: any face will do" },
};

static const struct hs_setting_group groups[] = {
    HS_GROUP(hs_server_rows, struct hs_face_settings, server),
    HS_GROUP(older_server_rows, struct hs_face_settings, older),
    /* Without model.name, the first row: here two models have names of their own. */
    { .rows = hs_model_rows + 1, .count = HS_ARRAY_LEN(hs_model_rows) - 1,
      .offset = offsetof(struct hs_face_settings, model) },
    HS_GROUP(face_rows, struct hs_face_settings, face_recognition),
    HS_GROUP(older_face_rows, struct hs_face_settings, older),
    HS_GROUP(database_rows, struct hs_face_settings, database),
    HS_GROUP(hs_inference_rows, struct hs_face_settings, inference),
    HS_GROUP(hs_device_rows, struct hs_face_settings, device),
    HS_GROUP(hs_performance_rows, struct hs_face_settings, performance),
    HS_GROUP(hs_image_rows, struct hs_face_settings, image),
    HS_GROUP(hs_logging_rows, struct hs_face_settings, logging),
    HS_GROUP(hs_resource_rows, struct hs_face_settings, resource_limits),
};

static const struct hs_setting_default defaults[] = {
    { "server.port", "5002" },
    { "resource_limits.memory_max", "3G" },
};

static const char *const required[] = { "server", NULL };

const struct hs_schema hs_face_schema = {
    .program = "hailo-face",
    .path = "/etc/hailo/hailo-face.yaml",
    .settings_size = sizeof(struct hs_face_settings),
    .groups = groups,
    .group_count = HS_ARRAY_LEN(groups),
    .defaults = defaults,
    .default_count = HS_ARRAY_LEN(defaults),
    .required = required,
};
