#include "face/route_docs.h"

#include "base/mem.h"
#include "face/enrol.h"
#include "face/response_json.h"
#include "gallery/gallery.h"
#include "hs/status.h"
#include "service/request_options.h"
#include "service/route_docs.h"
#include "vision/face_heads.h"

/* ---- fields ---- */

static const struct hs_field image = {
    .name = "image",
    .type = HS_FIELD_PICTURE,
    .flags = HS_FIELD_REQUIRED,
    .help = "JPEG, PNG, WebP (the first frame of an animation) or uncompressed BMP, recognised by content",
};
static const struct hs_field image2 = {
    .name = "image2",
    .type = HS_FIELD_PICTURE,
    .flags = HS_FIELD_REQUIRED,
    .help = "The second picture",
};
static const struct hs_field images = {
    .name = "images",
    .type = HS_FIELD_PICTURES,
    .flags = HS_FIELD_REQUIRED,
    .help = "The pictures. In a form, each is a file part `image` or `images`",
};
const struct hs_field hs_face_field_recognition_model = {
    .name = "recognition_model",
    .type = HS_FIELD_TEXT,
    .help = "The embedding model, a name from `/v1/models`, if `model` names the detector; by default the configured "
            "one. On routes that use the gallery it must have the same embedding space as the configured one",
};
const struct hs_field hs_face_field_return_landmarks = {
    .name = "return_landmarks",
    .type = HS_FIELD_BOOLEAN,
    .default_val = "false",
    .help = "Also return landmarks",
};
const struct hs_field hs_face_field_max_faces = {
    .name = "max_faces",
    .type = HS_FIELD_INTEGER,
    .min = 1,
    .max = HS_FACE_MAX_FACES,
    .setting = "face_recognition.max_faces",
    .help = "The largest number of faces in the response, best scores first. If there are more, the response has "
            "`truncated` (true) and `found` (their number)",
};
const struct hs_field hs_face_field_tiny_faces = {
    .name = "tiny_faces",
    .type = HS_FIELD_BOOLEAN,
    .setting = "face_recognition.tiny_faces",
    .help = "Search a second time at twice the size, for the faces of a crowd: up to four more runs of the detector",
};
const struct hs_field hs_face_field_large_faces = {
    .name = "large_faces",
    .type = HS_FIELD_BOOLEAN,
    .setting = "face_recognition.large_faces",
    .help = "Search a second time at less than half the size, for faces that fill the picture",
};
const struct hs_field hs_face_field_bbox = {
    .name = "bbox",
    .type = HS_FIELD_BOX,
    .help = "The face that fits this box [x, y, width, height] best is used; it must overlap the picture. By default "
            "the face with the highest score, but large faces come first",
};
const struct hs_field hs_face_field_threshold = {
    .name = "threshold",
    .type = HS_FIELD_NUMBER,
    .flags = HS_FIELD_AUTO,
    .max = 1,
    .setting = "face_recognition.recognition_threshold",
    .help = "A face is known if its cosine to the best embedding of a name is *above* this; `auto`: the model's "
            "recommendation",
};
const struct hs_field hs_face_field_min_margin = {
    .name = "min_margin",
    .type = HS_FIELD_NUMBER,
    .max = 1,
    .setting = "face_recognition.min_margin",
    .help = "The smallest lead of the best name over the second best; with less, the face is `Unknown`",
};
const struct hs_field hs_face_field_candidates = {
    .name = "candidates",
    .type = HS_FIELD_INTEGER,
    .max = HS_FACE_CANDIDATES_MAX,
    .default_val = "0",
    .help = "The number of best names to list for each face",
};
const struct hs_field hs_face_field_name = {
    .name = "name",
    .type = HS_FIELD_TEXT,
    .flags = HS_FIELD_REQUIRED,
    .min = 1,
    .max = HS_GALLERY_NAME_MAX,
    .help = "The identity, 1 to 255 bytes",
};
static const struct hs_field new_name = {
    .name = "name",
    .type = HS_FIELD_TEXT,
    .flags = HS_FIELD_ONE_OF,
    .min = 1,
    .max = HS_GALLERY_NAME_MAX,
    .help = "Renames the identity",
};
const struct hs_field hs_face_field_metadata = {
    .name = "metadata",
    .type = HS_FIELD_OBJECT,
    .help = "Replaces the identity's metadata; at most 4,096 bytes as text and 32 levels",
};
#define EXPIRES_HELP                                                                                                   \
    "The service erases the identity at this time: `2027-01-31`, `2027-01-31T12:00:00Z`; `never`; or `default`, by "   \
    "the setting `database.retention`"
const struct hs_field hs_face_field_expires_at = {
    .name = "expires_at",
    .type = HS_FIELD_TEXT,
    .help = EXPIRES_HELP,
};
static const struct hs_field new_expires_at = {
    .name = "expires_at",
    .type = HS_FIELD_TEXT,
    .flags = HS_FIELD_ONE_OF,
    .help = EXPIRES_HELP,
};
static const struct hs_field new_metadata = {
    .name = "metadata",
    .type = HS_FIELD_OBJECT,
    .flags = HS_FIELD_ONE_OF | HS_FIELD_NULL,
    .help = "Replaces the identity's metadata; null removes it. At most 4,096 bytes as text and 32 levels",
};
const struct hs_field hs_face_field_gate = {
    .name = "gate",
    .type = HS_FIELD_CHOICE,
    .choices = hs_enrol_gates,
    .setting = "database.enrolment",
    .help = "The requirements for the picture",
};
const struct hs_field hs_face_field_dry_run = {
    .name = "dry_run",
    .type = HS_FIELD_BOOLEAN,
    .default_val = "false",
    .help = "Report the result and store nothing",
};
const struct hs_field hs_face_field_purge_backups = {
    .name = "purge_backups",
    .type = HS_FIELD_BOOLEAN,
    .default_val = "false",
    .help = "Also delete the backups that hold the person, after a new one was made; for the administrator only",
};
const struct hs_field hs_face_query_vector = {
    .name = "vector",
    .type = HS_FIELD_BOOLEAN,
    .default_val = "false",
    .help = "Also return the numbers of the embedding",
};
const struct hs_field hs_face_query_limit = {
    .name = "limit",
    .type = HS_FIELD_INTEGER,
    .min = 1,
    .help = "The largest number of identities in the response; by default all",
};
const struct hs_field hs_face_query_page = {
    .name = "limit",
    .type = HS_FIELD_INTEGER,
    .min = 1,
    .max = 1000,
    .default_val = "100",
    .help = "The largest number of identities in the response",
};
const struct hs_field hs_face_query_cursor = {
    .name = "cursor",
    .type = HS_FIELD_TEXT,
    .help = "The `next_cursor` of the last response; the response continues after that name",
};
const struct hs_field hs_face_header_key = {
    .name = "Idempotency-Key",
    .type = HS_FIELD_TEXT,
    .min = 1,
    .max = 255,
    .pattern = "^[!-~]([ -~]*[!-~])?$", /* a header has no spaces at its ends */
    .help = "Printable ASCII. The same request with the same key within 24 hours is answered without another addition",
};
static const struct hs_field path_name = {
    .name = "name",
    .type = HS_FIELD_TEXT,
    .flags = HS_FIELD_REQUIRED,
    .min = 1,
    .help = "The identity; percent-encoded, including a slash (`%2F`)",
};
static const struct hs_field path_id = {
    .name = "id",
    .type = HS_FIELD_INTEGER,
    .flags = HS_FIELD_REQUIRED,
    .min = 1,
    .help = "The embedding",
};

#define MODELS HS_REQUEST_OPTION_FIELDS, &hs_face_field_recognition_model
#define SEARCH &hs_face_field_max_faces, &hs_face_field_tiny_faces, &hs_face_field_large_faces
#define RECOGNIZE &hs_face_field_threshold, &hs_face_field_min_margin, &hs_face_field_candidates, SEARCH, MODELS
const struct hs_field *const hs_face_detect_fields[] = { &image, &hs_face_field_return_landmarks, SEARCH, MODELS,
                                                         NULL };
const struct hs_field *const hs_face_detect_batch_fields[] = { &images, &hs_face_field_return_landmarks, SEARCH, MODELS,
                                                               NULL };
const struct hs_field *const hs_face_embed_fields[] = { &image, &hs_face_field_bbox, MODELS, NULL };
const struct hs_field *const hs_face_recognize_fields[] = { &image, RECOGNIZE, NULL };
const struct hs_field *const hs_face_recognize_batch_fields[] = { &images, RECOGNIZE, NULL };
const struct hs_field *const hs_face_compare_fields[] = { &image, &image2, MODELS, NULL };
const struct hs_field *const hs_face_add_fields[] = { &hs_face_field_name,
                                                      &image,
                                                      &hs_face_field_bbox,
                                                      &hs_face_field_metadata,
                                                      &hs_face_field_expires_at,
                                                      &hs_face_field_gate,
                                                      &hs_face_field_dry_run,
                                                      MODELS,
                                                      NULL };
const struct hs_field *const hs_face_verify_fields[] = { &hs_face_field_name, &image, &hs_face_field_bbox, MODELS,
                                                         NULL };
const struct hs_field *const hs_face_remove_fields[] = { &hs_face_field_name, &hs_face_field_purge_backups, NULL };
const struct hs_field *const hs_face_update_fields[] = { &new_name, &new_metadata, &new_expires_at, NULL };

static const struct hs_field *const of_identity[] = { &path_name, NULL };
static const struct hs_field *const of_embedding[] = { &path_name, &path_id, NULL };
static const struct hs_field *const purge_query[] = { &hs_face_field_purge_backups, NULL };
static const struct hs_field *const vector_query[] = { &hs_face_query_vector, NULL };
static const struct hs_field *const list_query[] = { &hs_face_query_limit, &hs_face_query_cursor, NULL };
static const struct hs_field *const page_query[] = { &hs_face_query_page, &hs_face_query_cursor, NULL };
static const struct hs_field *const add_headers[] = { &hs_face_header_key, &hs_field_timeout_header, NULL };

/* ---- objects of faces ---- */

static const struct hs_member quality_members[] = {
    { .name = "size", .type = HS_MEMBER_NUMBER, .help = "The shorter side of the box, in pixels" },
    { .name = "sharpness", .type = HS_MEMBER_NUMBER, .help = "0 to 1" },
    { .name = "yaw", .type = HS_MEMBER_NUMBER, .help = "Degrees" },
    { .name = "pitch", .type = HS_MEMBER_NUMBER, .help = "Degrees" },
    { .name = "roll", .type = HS_MEMBER_NUMBER, .help = "Degrees" },
    { .name = "exposure", .type = HS_MEMBER_NUMBER, .help = "Mean brightness, 0 to 1" },
    { .name = "clipped", .type = HS_MEMBER_NUMBER, .help = "Share of pixels that are black or white" },
};
static const struct hs_object_doc quality = {
    .name = "Quality",
    .help = "The quality of a face",
    HS_MEMBERS(quality_members),
};

#define BOX { .name = "bbox", .type = HS_MEMBER_BOX, .help = "[x, y, width, height] in pixels of the original picture" }
#define QUALITY(more)                                                                                                  \
    { .name = "quality",                                                                                               \
      .type = HS_MEMBER_OBJECT,                                                                                        \
      .flags = HS_MEMBER_NULL | (more),                                                                                \
      .object = &quality,                                                                                              \
      .help = "Size, sharpness, pose and exposure; null if it was not measured" }
#define SPACE { .name = "embedding_space", .help = "The space of the embedding" }
#define DEVICE                                                                                                         \
    { .name = "device", .help = "The device that ran the networks: `cpu`, `hailo` or `sim`" },                         \
        { .name = "degraded",                                                                                          \
          .type = HS_MEMBER_BOOLEAN,                                                                                   \
          .flags = HS_MEMBER_OPTIONAL,                                                                                 \
          .help = "True if the processor replaced another device; else absent" }
#define FACES(object_)                                                                                                 \
    { .name = "faces",                                                                                                 \
      .type = HS_MEMBER_OBJECT,                                                                                        \
      .flags = HS_MEMBER_ARRAY,                                                                                        \
      .object = &(object_),                                                                                            \
      .help = "The faces, by descending score" },                                                                      \
        { .name = "count", .type = HS_MEMBER_INTEGER, .help = "The number of `faces`" },                               \
        { .name = "inference_time_ms", .type = HS_MEMBER_NUMBER, .help = "The time in the networks" },                 \
        { .name = "truncated",                                                                                         \
          .type = HS_MEMBER_BOOLEAN,                                                                                   \
          .flags = HS_MEMBER_OPTIONAL,                                                                                 \
          .help = "True if `max_faces` cut the list; else absent" },                                                   \
        { .name = "found",                                                                                             \
          .type = HS_MEMBER_INTEGER,                                                                                   \
          .flags = HS_MEMBER_OPTIONAL,                                                                                 \
          .help = "Only with `truncated`: the number of faces found" }

static const struct hs_member face_members[] = {
    BOX,
    { .name = "confidence", .type = HS_MEMBER_NUMBER, .help = "The score of the detector, 0 to 1" },
    { .name = "landmarks",
      .type = HS_MEMBER_POINT,
      .flags = HS_MEMBER_ARRAY | HS_MEMBER_NULL,
      .help = "Five points [x, y]: the eyes, the nose and the corners of the mouth, the left ones first as seen in the "
              "picture; null unless requested" },
};
static const struct hs_object_doc face = {
    .name = "Face",
    .help = "A face in the picture",
    HS_MEMBERS(face_members),
};
static const struct hs_member detect_members[] = { FACES(face), DEVICE, HS_WARNINGS_MEMBER };
static const struct hs_object_doc detect_object = {
    .name = "FaceAnswer",
    .help = "The faces in a picture",
    HS_MEMBERS(detect_members),
};

static const struct hs_member candidate_members[] = {
    { .name = "identity", .help = "The name" },
    { .name = "score", .type = HS_MEMBER_NUMBER, .help = "The cosine to its best embedding" },
};
static const struct hs_object_doc candidate = {
    .name = "Candidate",
    .help = "A name that may match",
    HS_MEMBERS(candidate_members),
};
static const struct hs_member known_members[] = {
    BOX,
    { .name = "detection_confidence", .type = HS_MEMBER_NUMBER, .help = "The score of the detector, 0 to 1" },
    { .name = "identity", .help = "The name, or `Unknown`" },
    { .name = "match_score",
      .type = HS_MEMBER_NUMBER,
      .help = "The cosine to the best embedding of that name; 0 for `Unknown`" },
    SPACE,
    QUALITY(0),
    { .name = "margin",
      .type = HS_MEMBER_NUMBER,
      .flags = HS_MEMBER_OPTIONAL,
      .help = "The lead over the second best name; only for a known face, and if there is a second name" },
    { .name = "candidates",
      .type = HS_MEMBER_OBJECT,
      .flags = HS_MEMBER_ARRAY | HS_MEMBER_OPTIONAL,
      .object = &candidate,
      .help = "If requested: the best names, above the threshold or not" },
};
static const struct hs_object_doc known_face = {
    .name = "RecognizedFace",
    .help = "A face in the picture, and who it is",
    HS_MEMBERS(known_members),
};
static const struct hs_member recognize_members[] = { FACES(known_face), DEVICE, HS_WARNINGS_MEMBER };
static const struct hs_object_doc recognize_object = {
    .name = "RecognizeAnswer",
    .help = "The faces in a picture, and who they are",
    HS_MEMBERS(recognize_members),
};

/* ---- pictures ---- */

static const int picture_errors[] = { HS_EMISSING, HS_EDECODE, HS_ENOTFOUND, HS_ENODEVICE, HS_ELOST, 0 };

static const struct hs_response_doc detect_responses[] = {
    { .status = 200, .object = &detect_object, .help = "The faces in the picture; none is an empty list" },
};
const struct hs_route_doc hs_face_doc_detect = {
    .id = "detect_faces",
    .tag = "detection",
    .summary = "Find faces in a picture",
    .headers = hs_headers_timeout,
    HS_RESPONSES(detect_responses),
    .errors = picture_errors,
};

static const struct hs_response_doc recognize_responses[] = {
    { .status = 200, .object = &recognize_object, .help = "The faces in the picture; none is an empty list" },
};
const struct hs_route_doc hs_face_doc_recognize = {
    .id = "recognize_faces",
    .tag = "recognition",
    .summary = "Find faces and name the people",
    .headers = hs_headers_timeout,
    HS_RESPONSES(recognize_responses),
    .errors = picture_errors,
};

static const struct hs_member index_members[] = { HS_INDEX_MEMBERS };
static const struct hs_object_doc failed_object = {
    .name = "BatchError",
    .help = "A picture of a batch that failed",
    .base = &hs_object_error_text,
    HS_MEMBERS(index_members),
};
#define RESULTS(object_)                                                                                               \
    { .name = "results",                                                                                               \
      .type = HS_MEMBER_OBJECT,                                                                                        \
      .flags = HS_MEMBER_ARRAY,                                                                                        \
      .object = &(object_),                                                                                            \
      .other = &failed_object,                                                                                         \
      .help = "A result for each picture, in their order: its faces, or an `error`" }

static const struct hs_object_doc detect_result = {
    .name = "BatchFaceAnswer",
    .help = "The faces in one picture of a batch",
    .base = &detect_object,
    HS_MEMBERS(index_members),
};
static const struct hs_member detect_batch_members[] = { RESULTS(detect_result) };
static const struct hs_object_doc detect_batch = {
    .name = "FaceBatch",
    .help = "The results of a batch",
    .base = &hs_object_batch_counts,
    HS_MEMBERS(detect_batch_members),
};
static const struct hs_response_doc detect_batch_responses[] = {
    { .status = 200, .object = &detect_batch, .help = HS_BATCH_HELP },
    { .status = 200, .type = "application/x-ndjson", .object = &detect_result, .help = HS_LINES_HELP },
};
const struct hs_route_doc hs_face_doc_detect_batch = {
    .id = "detect_faces_batch",
    .tag = "detection",
    .summary = "Find faces in several pictures",
    .headers = hs_headers_timeout,
    HS_RESPONSES(detect_batch_responses),
    .errors = picture_errors,
};

static const struct hs_object_doc recognize_result = {
    .name = "BatchRecognizeAnswer",
    .help = "The faces in one picture of a batch, and who they are",
    .base = &recognize_object,
    HS_MEMBERS(index_members),
};
static const struct hs_member recognize_batch_members[] = { RESULTS(recognize_result) };
static const struct hs_object_doc recognize_batch = {
    .name = "RecognizeBatch",
    .help = "The results of a batch",
    .base = &hs_object_batch_counts,
    HS_MEMBERS(recognize_batch_members),
};
static const struct hs_response_doc recognize_batch_responses[] = {
    { .status = 200, .object = &recognize_batch, .help = HS_BATCH_HELP },
    { .status = 200, .type = "application/x-ndjson", .object = &recognize_result, .help = HS_LINES_HELP },
};
const struct hs_route_doc hs_face_doc_recognize_batch = {
    .id = "recognize_faces_batch",
    .tag = "recognition",
    .summary = "Find faces in several pictures and name the people",
    .headers = hs_headers_timeout,
    HS_RESPONSES(recognize_batch_responses),
    .errors = picture_errors,
};

static const struct hs_member embed_members[] = {
    { .name = "embedding",
      .type = HS_MEMBER_NUMBER,
      .flags = HS_MEMBER_ARRAY,
      .help = "The embedding, a vector of length 1" },
    { .name = "dimension", .type = HS_MEMBER_INTEGER, .help = "How many numbers it has" },
    BOX,
    SPACE,
    QUALITY(0),
    DEVICE,
    HS_WARNINGS_MEMBER,
};
static const struct hs_object_doc embed_object = {
    .name = "EmbedAnswer",
    .help = "The embedding of a face",
    HS_MEMBERS(embed_members),
};
static const struct hs_response_doc embed_responses[] = {
    { .status = 200, .object = &embed_object, .help = "The embedding of the face" },
};
const struct hs_route_doc hs_face_doc_embed = {
    .id = "embed_face",
    .tag = "recognition",
    .summary = "Compute the embedding of a face",
    .headers = hs_headers_timeout,
    HS_RESPONSES(embed_responses),
    .errors = picture_errors,
};

static const struct hs_member compare_members[] = {
    { .name = "same", .type = HS_MEMBER_BOOLEAN, .help = "True if `score` is above `threshold`" },
    { .name = "score", .type = HS_MEMBER_NUMBER, .help = "The cosine of the two embeddings" },
    { .name = "threshold", .type = HS_MEMBER_NUMBER, .help = "The threshold of the embedding model" },
    BOX,
    { .name = "bbox2", .type = HS_MEMBER_BOX, .help = "The face in `image2`" },
    SPACE,
    DEVICE,
    HS_WARNINGS_MEMBER,
};
static const struct hs_object_doc compare_object = {
    .name = "CompareAnswer",
    .help = "The comparison of two faces",
    HS_MEMBERS(compare_members),
};
static const struct hs_response_doc compare_responses[] = {
    { .status = 200, .object = &compare_object, .help = "The comparison of the best face of each picture" },
};
const struct hs_route_doc hs_face_doc_compare = {
    .id = "compare_faces",
    .tag = "recognition",
    .summary = "Compare the faces of two pictures",
    .headers = hs_headers_timeout,
    HS_RESPONSES(compare_responses),
    .errors = picture_errors,
};

/* ---- enrolment ---- */

static const struct hs_member reason_members[] = {
    { .name = "code", .help = "The kind of reason, such as `blurred`" },
    { .name = "measure", .help = "The measured quantity" },
    { .name = "value", .type = HS_MEMBER_NUMBER, .help = "Its value" },
    { .name = "limit", .type = HS_MEMBER_NUMBER, .help = "Its limit" },
    { .name = "identity", .flags = HS_MEMBER_OPTIONAL, .help = "The identity that the face resembles" },
};
static const struct hs_object_doc reason = {
    .name = "Reason",
    .help = "A reason to refuse a picture",
    HS_MEMBERS(reason_members),
};
static const struct hs_member enrolled_members[] = {
    BOX,
    { .name = "confidence", .type = HS_MEMBER_NUMBER, .help = "The score of the detector, 0 to 1" },
    QUALITY(0),
    { .name = "faces_found", .type = HS_MEMBER_INTEGER, .help = "The number of faces in the picture" },
    { .name = "index",
      .type = HS_MEMBER_INTEGER,
      .help = "The position of this one among them by score, in the order of `detect`" },
};
static const struct hs_object_doc enrolled_face = {
    .name = "EnrolledFace",
    .help = "The face that was used",
    HS_MEMBERS(enrolled_members),
};
#define ENROLLED                                                                                                       \
    { .name = "face",                                                                                                  \
      .type = HS_MEMBER_OBJECT,                                                                                        \
      .flags = HS_MEMBER_OPTIONAL,                                                                                     \
      .object = &enrolled_face,                                                                                        \
      .help = "The face that was used" }

static const struct hs_member add_members[] = {
    { .name = "message", .help = "`Identity '…' added successfully`" },
    { .name = "name", .help = "The identity" },
    { .name = "embedding_id", .type = HS_MEMBER_INTEGER, .help = "The id of the new embedding" },
    { .name = "identity_created", .type = HS_MEMBER_BOOLEAN, .help = "True if the identity is new" },
    { .name = "embedding_dropped",
      .type = HS_MEMBER_INTEGER,
      .flags = HS_MEMBER_OPTIONAL,
      .help = "The id of an embedding that was removed because the name was full "
              "(`database.max_embeddings_per_identity`)" },
    ENROLLED,
    HS_WARNINGS_MEMBER,
};
static const struct hs_object_doc add_object = {
    .name = "AddAnswer",
    .help = "An embedding that was added",
    HS_MEMBERS(add_members),
};
static const struct hs_member dry_run_members[] = {
    { .name = "dry_run", .type = HS_MEMBER_BOOLEAN, .help = "True" },
    { .name = "would_add", .type = HS_MEMBER_BOOLEAN, .help = "False if the gate refuses the picture" },
    { .name = "name", .help = "The identity" },
    { .name = "gate", .values = hs_enrol_gates, .help = "The gate" },
    { .name = "identity_exists", .type = HS_MEMBER_BOOLEAN, .help = "True if the identity has embeddings already" },
    { .name = "embedding_count", .type = HS_MEMBER_INTEGER, .help = "How many" },
    { .name = "reasons",
      .type = HS_MEMBER_OBJECT,
      .flags = HS_MEMBER_ARRAY,
      .object = &reason,
      .help = "All reasons to refuse the picture" },
    { .name = "bbox", .type = HS_MEMBER_BOX, .flags = HS_MEMBER_OPTIONAL, .help = "The box of the face" },
    { .name = "confidence", .type = HS_MEMBER_NUMBER, .flags = HS_MEMBER_OPTIONAL, .help = "Its score" },
    QUALITY(HS_MEMBER_OPTIONAL),
    ENROLLED,
    HS_WARNINGS_MEMBER,
};
static const struct hs_object_doc dry_run_object = {
    .name = "DryRunAnswer",
    .help = "The effect that an addition would have",
    HS_MEMBERS(dry_run_members),
};
static const struct hs_member refused_members[] = {
    { .name = "gate", .flags = HS_MEMBER_OPTIONAL, .values = hs_enrol_gates, .help = "The gate" },
    { .name = "reasons",
      .type = HS_MEMBER_OBJECT,
      .flags = HS_MEMBER_ARRAY | HS_MEMBER_OPTIONAL,
      .object = &reason,
      .help = "All reasons" },
    HS_WARNINGS_MEMBER,
};
static const struct hs_object_doc refused_object = {
    .name = "Refusal",
    .help = "An addition that the gate refused; or an `Idempotency-Key` of another request, with `error` only",
    .base = &hs_object_error_text,
    HS_MEMBERS(refused_members),
};
static const struct hs_response_doc add_responses[] = {
    { .status = 200, .object = &add_object, .help = "The embedding was added" },
    { .status = 200, .object = &dry_run_object, .help = "With `dry_run`: the effect that the addition would have" },
};
static const int add_errors[] = {
    HS_EMISSING, HS_EDECODE, HS_ENOTFOUND, HS_ECONFLICT, HS_ENODEVICE, HS_ELOST, HS_EIO, 0
};
static const struct hs_link_doc add_links[] = {
    { .id = "get_identity", .parameter = "name", .member = "/name" },
    { .id = "update_identity", .parameter = "name", .member = "/name" },
    { .id = "delete_identity", .parameter = "name", .member = "/name" },
    { .id = "list_embeddings", .parameter = "name", .member = "/name" },
};
const struct hs_route_doc hs_face_doc_add = {
    .id = "add_face",
    .tag = "gallery",
    .summary = "Add a face to an identity",
    .help = "Stores one more embedding for a name, and creates the identity if it is new",
    .headers = add_headers,
    HS_RESPONSES(add_responses),
    HS_LINKS(add_links),
    .errors = add_errors,
    .refusal = &refused_object,
};

static const struct hs_member verify_members[] = {
    { .name = "name", .help = "The identity" },
    { .name = "verified", .type = HS_MEMBER_BOOLEAN, .help = "True if `score` is above `threshold`" },
    { .name = "score", .type = HS_MEMBER_NUMBER, .help = "The cosine to the best embedding of that name" },
    { .name = "threshold", .type = HS_MEMBER_NUMBER, .help = "The recognition threshold" },
    BOX,
    HS_WARNINGS_MEMBER,
};
static const struct hs_object_doc verify_object = {
    .name = "VerifyAnswer",
    .help = "The comparison of a face with one identity",
    HS_MEMBERS(verify_members),
};
static const struct hs_response_doc verify_responses[] = {
    { .status = 200, .object = &verify_object, .help = "The comparison" },
};
const struct hs_route_doc hs_face_doc_verify = {
    .id = "verify_face",
    .tag = "recognition",
    .summary = "Compare a face with one identity",
    .headers = hs_headers_timeout,
    HS_RESPONSES(verify_responses),
    .errors = picture_errors,
};

/* ---- identities ---- */

#define IDENTITY                                                                                                       \
    { .name = "name", .help = "The identity" },                                                                        \
        { .name = "embedding_count", .type = HS_MEMBER_INTEGER, .help = "How many embeddings it has" },                \
        { .name = "created_at", .help = "`YYYY-MM-DD HH:MM:SS`, UTC" },                                                \
        { .name = "expires_at",                                                                                        \
          .flags = HS_MEMBER_OPTIONAL,                                                                                 \
          .help = "The time at which it is erased, or `never`; absent: by the setting `database.retention`" },         \
        { .name = "metadata",                                                                                          \
          .type = HS_MEMBER_OBJECT,                                                                                    \
          .flags = HS_MEMBER_OPTIONAL,                                                                                 \
          .help = "The client's own data, if there are any" },                                                         \
        { .name = "metadata_error",                                                                                    \
          .flags = HS_MEMBER_OPTIONAL,                                                                                 \
          .help = "Replaces `metadata` that another program wrote and that cannot be shown: the reason" }
static const struct hs_member identity_members[] = { IDENTITY };
static const struct hs_object_doc identity_object = {
    .name = "Identity",
    .help = "A person in the gallery",
    HS_MEMBERS(identity_members),
};

#define LIST(object_)                                                                                                  \
    { .name = "identities",                                                                                            \
      .type = HS_MEMBER_OBJECT,                                                                                        \
      .flags = HS_MEMBER_ARRAY,                                                                                        \
      .object = &(object_),                                                                                            \
      .help = "The identities, by name" },                                                                             \
        { .name = "count", .type = HS_MEMBER_INTEGER, .help = "The number of `identities`" },                          \
        { .name = "next_cursor",                                                                                       \
          .flags = HS_MEMBER_OPTIONAL,                                                                                 \
          .help = "If there are more: the `cursor` of the next page" }
static const struct hs_member list_members[] = { LIST(identity_object), HS_WARNINGS_MEMBER };
static const struct hs_object_doc list_object = {
    .name = "IdentityList",
    .help = "Identities",
    HS_MEMBERS(list_members),
};
static const struct hs_response_doc list_responses[] = {
    { .status = 200, .object = &list_object, .help = "The identities" },
};
static const int gallery_errors[] = { HS_EIO, 0 };
const struct hs_route_doc hs_face_doc_list = {
    .id = "list_all_identities",
    .tag = "gallery",
    .summary = "List identities",
    .help = "Without `limit` the response has all identities; prefer `/v1/database/identities`",
    .query = list_query,
    HS_RESPONSES(list_responses),
    .errors = gallery_errors,
};

static const struct hs_member item_members[] = {
    { .name = "updated_at", .help = "The last change of the identity: `YYYY-MM-DD HH:MM:SS`, UTC" },
};
static const struct hs_object_doc item_object = {
    .name = "ListedIdentity",
    .help = "A person in the gallery, and the time of its last change",
    .base = &identity_object,
    HS_MEMBERS(item_members),
};
static const struct hs_member page_members[] = {
    LIST(item_object),
    { .name = "total", .type = HS_MEMBER_INTEGER, .help = "The number of identities in the gallery" },
    HS_WARNINGS_MEMBER,
};
static const struct hs_object_doc page_object = {
    .name = "IdentityPage",
    .help = "A page of identities",
    HS_MEMBERS(page_members),
};
static const struct hs_response_doc page_responses[] = {
    { .status = 200, .object = &page_object, .help = "The identities, by name, without vectors" },
};
const struct hs_route_doc hs_face_doc_identities = {
    .id = "list_identities",
    .tag = "gallery",
    .summary = "List identities page by page",
    .query = page_query,
    HS_RESPONSES(page_responses),
    .errors = gallery_errors,
};

static const struct hs_member embedding_members[] = {
    { .name = "id", .type = HS_MEMBER_INTEGER, .help = "The embedding" },
    { .name = "space", .help = "Its space" },
    { .name = "model", .flags = HS_MEMBER_OPTIONAL, .help = "The model that computed it" },
    { .name = "quality", .type = HS_MEMBER_OBJECT, .flags = HS_MEMBER_OPTIONAL, .help = "The quality of the face" },
    { .name = "source_sha256", .flags = HS_MEMBER_OPTIONAL, .help = "Checksum of the picture" },
    { .name = "created_at", .help = "`YYYY-MM-DD HH:MM:SS`, UTC" },
    { .name = "dimension", .type = HS_MEMBER_INTEGER, .help = "How many numbers it has" },
};
static const struct hs_object_doc embedding_object = {
    .name = "Embedding",
    .help = "An embedding of an identity, without its numbers",
    HS_MEMBERS(embedding_members),
};
static const struct hs_member person_members[] = {
    { .name = "embeddings",
      .type = HS_MEMBER_OBJECT,
      .flags = HS_MEMBER_ARRAY,
      .object = &embedding_object,
      .help = "Its embeddings, without their numbers" },
    HS_WARNINGS_MEMBER,
};
static const struct hs_object_doc person_object = {
    .name = "Person",
    .help = "A person in the gallery, with its embeddings",
    .base = &identity_object,
    HS_MEMBERS(person_members),
};
static const struct hs_response_doc person_responses[] = {
    { .status = 200, .object = &person_object, .help = "The identity" },
};
static const int identity_errors[] = { HS_ENOTFOUND, HS_EIO, 0 };
const struct hs_route_doc hs_face_doc_get_identity = {
    .id = "get_identity",
    .tag = "gallery",
    .summary = "Show an identity",
    .path = of_identity,
    HS_RESPONSES(person_responses),
    .errors = identity_errors,
};

static const int update_errors[] = { HS_ENOTFOUND, HS_ECONFLICT, HS_EIO, 0 };
const struct hs_route_doc hs_face_doc_put_identity = {
    .id = "update_identity",
    .tag = "gallery",
    .summary = "Rename an identity, or change its metadata or its time of expiry",
    .help = "All fields change or none",
    .path = of_identity,
    HS_RESPONSES(person_responses),
    .errors = update_errors,
};

#define ERASED                                                                                                         \
    { .name = "message", .help = "The result in words" }, { .name = "name", .help = "The identity" },                  \
        { .name = "embeddings_erased",                                                                                 \
          .type = HS_MEMBER_INTEGER,                                                                                   \
          .help = "The number of embeddings that were erased" },                                                       \
        { .name = "erasure_pending",                                                                                   \
          .type = HS_MEMBER_BOOLEAN,                                                                                   \
          .help = "True if the erased data are still in the file's log" },                                             \
        { .name = "older_backups",                                                                                     \
          .flags = HS_MEMBER_ARRAY,                                                                                    \
          .help = "Backups that still hold the person (names of files in the backup folder)" },                        \
        { .name = "purged_backups",                                                                                    \
          .flags = HS_MEMBER_ARRAY | HS_MEMBER_OPTIONAL,                                                               \
          .help = "With `purge_backups`: the backups that were deleted" },                                             \
        { .name = "backup", .flags = HS_MEMBER_OPTIONAL, .help = "With `purge_backups`: the new backup" },             \
        { .name = "purge_error",                                                                                       \
          .flags = HS_MEMBER_OPTIONAL,                                                                                 \
          .help = "If the backups could not be deleted: the reason; the identity is removed all the same" },           \
        HS_WARNINGS_MEMBER
static const struct hs_member removed_members[] = { ERASED };
static const struct hs_object_doc removed_object = {
    .name = "RemoveAnswer",
    .help = "The result of a removal",
    HS_MEMBERS(removed_members),
};
static const struct hs_response_doc removed_responses[] = {
    { .status = 200, .object = &removed_object, .help = "The identity was removed" },
};
static const int remove_errors[] = { HS_EMISSING, HS_ENOTFOUND, HS_EIO, 0 };
const struct hs_route_doc hs_face_doc_remove = {
    .id = "remove_identity",
    .tag = "gallery",
    .summary = "Remove an identity",
    .query = purge_query,
    HS_RESPONSES(removed_responses),
    .errors = remove_errors,
};
const struct hs_route_doc hs_face_doc_delete_identity = {
    .id = "delete_identity",
    .tag = "gallery",
    .summary = "Remove an identity",
    .path = of_identity,
    .query = purge_query,
    HS_RESPONSES(removed_responses),
    .errors = identity_errors,
};

/* ---- embeddings ---- */

static const struct hs_member embeddings_members[] = {
    { .name = "name", .help = "The identity" },
    { .name = "embeddings",
      .type = HS_MEMBER_OBJECT,
      .flags = HS_MEMBER_ARRAY,
      .object = &embedding_object,
      .help = "Its embeddings, without their numbers" },
    { .name = "count", .type = HS_MEMBER_INTEGER, .help = "The number of `embeddings`" },
    HS_WARNINGS_MEMBER,
};
static const struct hs_object_doc embeddings_object = {
    .name = "EmbeddingList",
    .help = "The embeddings of an identity",
    HS_MEMBERS(embeddings_members),
};
static const struct hs_response_doc embeddings_responses[] = {
    { .status = 200, .object = &embeddings_object, .help = "The embeddings" },
};
const struct hs_route_doc hs_face_doc_embeddings = {
    .id = "list_embeddings",
    .tag = "gallery",
    .summary = "List the embeddings of an identity",
    .path = of_identity,
    HS_RESPONSES(embeddings_responses),
    .errors = identity_errors,
};

static const struct hs_member vector_members[] = {
    { .name = "name", .help = "The identity" },
    { .name = "embedding",
      .type = HS_MEMBER_NUMBER,
      .flags = HS_MEMBER_ARRAY | HS_MEMBER_OPTIONAL,
      .help = "With `vector`: the numbers" },
    HS_WARNINGS_MEMBER,
};
static const struct hs_object_doc vector_object = {
    .name = "NamedEmbedding",
    .help = "An embedding",
    .base = &embedding_object,
    HS_MEMBERS(vector_members),
};
static const struct hs_response_doc vector_responses[] = {
    { .status = 200, .object = &vector_object, .help = "The embedding" },
};
static const struct hs_link_doc embedding_links[] = {
    { .id = "delete_embedding", .parameter = "name", .member = "/name", .parameter2 = "id", .member2 = "/id" },
};
const struct hs_route_doc hs_face_doc_get_embedding = {
    .id = "get_embedding",
    .tag = "gallery",
    .summary = "Show an embedding",
    .path = of_embedding,
    .query = vector_query,
    HS_RESPONSES(vector_responses),
    HS_LINKS(embedding_links),
    .errors = identity_errors,
};

static const struct hs_member left_members[] = {
    { .name = "id", .type = HS_MEMBER_INTEGER, .help = "The embedding" },
    { .name = "embedding_count", .type = HS_MEMBER_INTEGER, .help = "How many embeddings the identity has left" },
};
static const struct hs_object_doc left_object = {
    .name = "RemoveEmbeddingAnswer",
    .help = "The result of a removal",
    .base = &removed_object,
    HS_MEMBERS(left_members),
};
static const struct hs_response_doc left_responses[] = {
    { .status = 200, .object = &left_object, .help = "The embedding was removed" },
};
const struct hs_route_doc hs_face_doc_delete_embedding = {
    .id = "delete_embedding",
    .tag = "gallery",
    .summary = "Remove an embedding",
    .help = "An identity without embeddings stays",
    .path = of_embedding,
    .query = purge_query,
    HS_RESPONSES(left_responses),
    .errors = identity_errors,
};

/* ---- health ---- */

static const struct hs_member unusable_members[] = {
    { .name = "embeddings", .type = HS_MEMBER_INTEGER, .help = "How many embeddings cannot match" },
    { .name = "identities", .type = HS_MEMBER_INTEGER, .help = "How many identities have no other" },
    { .name = "unknown_space", .type = HS_MEMBER_INTEGER, .flags = HS_MEMBER_OPTIONAL, .help = "By reason" },
    { .name = "other_space", .type = HS_MEMBER_INTEGER, .flags = HS_MEMBER_OPTIONAL, .help = "By reason" },
    { .name = "other_size", .type = HS_MEMBER_INTEGER, .flags = HS_MEMBER_OPTIONAL, .help = "By reason" },
    { .name = "damaged", .type = HS_MEMBER_INTEGER, .flags = HS_MEMBER_OPTIONAL, .help = "By reason" },
};
static const struct hs_object_doc unusable_object = {
    .name = "Unusable",
    .help = "Embeddings that cannot match",
    HS_MEMBERS(unusable_members),
};
static const char *const database_states[] = {
    "failed", "loading", "restored", "emptied", "degraded", "ok", NULL,
};
static const struct hs_member database_members[] = {
    { .name = "state",
      .values = database_states,
      .help =
          "The first of these that applies: `failed` (it cannot be read, its file is gone, or the last change could "
          "not be written), `loading`, `restored` (from a backup at this start), `emptied` (damaged at this start, "
          "without a good backup), `degraded` (the last backup failed, or a person has no face that can match), "
          "`ok`" },
    { .name = "identities", .type = HS_MEMBER_INTEGER, .help = "Their number" },
    { .name = "embeddings", .type = HS_MEMBER_INTEGER, .help = "Their number" },
    { .name = "erasure_pending",
      .type = HS_MEMBER_BOOLEAN,
      .help = "True if something that was erased is not yet gone from the file" },
    { .name = "last_backup_at", .flags = HS_MEMBER_NULL, .help = "The time of the last backup" },
    { .name = "last_backup_error", .flags = HS_MEMBER_OPTIONAL, .help = "Why it failed" },
    { .name = "error", .flags = HS_MEMBER_OPTIONAL, .help = "Why the gallery cannot be used" },
    { .name = "set_aside", .flags = HS_MEMBER_OPTIONAL, .help = "The damaged file that was set aside at this start" },
    { .name = "restored_from", .flags = HS_MEMBER_OPTIONAL, .help = "The backup that replaced it" },
    { .name = "unusable",
      .type = HS_MEMBER_OBJECT,
      .flags = HS_MEMBER_OPTIONAL,
      .object = &unusable_object,
      .help = "Only if some embeddings cannot match" },
    { .name = "migrated_from",
      .type = HS_MEMBER_INTEGER,
      .flags = HS_MEMBER_OPTIONAL,
      .help = "The version of the file before this start" },
};
static const struct hs_object_doc database_object = {
    .name = "Database",
    .help = "The state of the gallery",
    HS_MEMBERS(database_members),
};
static const char *const healthy[] = { "healthy", NULL };
static const struct hs_member health_members[] = {
    { .name = "status", .values = healthy, .help = "Always `healthy`" },
    { .name = "service", .help = "Always `hailo-face`" },
    { .name = "model_loaded", .type = HS_MEMBER_BOOLEAN, .help = "True if both models are loaded" },
    { .name = "detection_model", .help = "The configured detector" },
    { .name = "recognition_model", .help = "The configured embedding model" },
    { .name = "database_enabled", .type = HS_MEMBER_BOOLEAN, .help = "True if the service has a gallery" },
    SPACE,
    { .name = "database",
      .type = HS_MEMBER_OBJECT,
      .flags = HS_MEMBER_OPTIONAL,
      .object = &database_object,
      .help = "The gallery" },
    HS_DEVICE_MEMBERS,
};
static const struct hs_object_doc health_object = {
    .name = "Health",
    .help = "The state of the service",
    HS_MEMBERS(health_members),
};
static const struct hs_response_doc health_responses[] = {
    { .status = 200, .object = &health_object, .help = "The process runs" },
    HS_HEALTH_WITHOUT_KEY,
};
const struct hs_route_doc hs_face_doc_health = {
    .id = "get_health",
    .tag = "service",
    .summary = "Check that the service runs",
    HS_RESPONSES(health_responses),
};
