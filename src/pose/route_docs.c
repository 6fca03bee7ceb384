#include "pose/route_docs.h"

#include "base/mem.h"
#include "hs/status.h"
#include "service/request_options.h"
#include "service/route_docs.h"
#include "vision/yolo_pose.h"

/* ---- fields ---- */

static const struct hs_field image = {
    .name = "image",
    .type = HS_FIELD_PICTURE,
    .flags = HS_FIELD_REQUIRED,
    .help = "JPEG, PNG, WebP (the first frame of an animation) or uncompressed BMP, recognised by content",
};
static const struct hs_field images = {
    .name = "images",
    .type = HS_FIELD_PICTURES,
    .flags = HS_FIELD_REQUIRED,
    .help = "The pictures. In a form, each is a file part `image` or `images`",
};
const struct hs_field hs_pose_confidence_threshold = {
    .name = "confidence_threshold",
    .type = HS_FIELD_NUMBER,
    .max = 1,
    .setting = "inference.confidence_threshold",
    .help = "People with a higher score are returned",
};
const struct hs_field hs_pose_iou_threshold = {
    .name = "iou_threshold",
    .type = HS_FIELD_NUMBER,
    .max = 1,
    .setting = "inference.iou_threshold",
    .help = "If two boxes overlap more than this, only the better one is kept",
};
const struct hs_field hs_pose_max_detections = {
    .name = "max_detections",
    .type = HS_FIELD_INTEGER,
    .max = HS_YOLO_POSE_MAX_DETECTIONS,
    .setting = "inference.max_detections",
    .help = "The largest number of people in the response, best first, counted after overlapping boxes were removed; "
            "`truncated` is set if there are more",
};
const struct hs_field hs_pose_keypoint_threshold = {
    .name = "keypoint_threshold",
    .type = HS_FIELD_NUMBER,
    .max = 1,
    .setting = "pose.keypoint_threshold",
    .help = "An edge of the skeleton is listed if both its ends have at least this confidence",
};
const struct hs_field hs_pose_apply_exif = {
    .name = "apply_exif",
    .type = HS_FIELD_BOOLEAN,
    .setting = "image.apply_exif",
    .help = "Turn the picture upright by its EXIF orientation; coordinates then refer to the turned picture. For a PNG "
            "the orientation comes from the chunk eXIf, else from ImageMagick's raw profile, else from XMP",
};

#define DETECT_FIELDS                                                                                                  \
    &hs_pose_confidence_threshold, &hs_pose_iou_threshold, &hs_pose_max_detections, &hs_pose_keypoint_threshold,       \
        HS_REQUEST_OPTION_FIELDS, &hs_pose_apply_exif
const struct hs_field *const hs_pose_detect_fields[] = { &image, DETECT_FIELDS, NULL };
const struct hs_field *const hs_pose_batch_fields[] = { &images, DETECT_FIELDS, NULL };

/* ---- responses ---- */

static const struct hs_member box_members[] = {
    { .name = "x", .type = HS_MEMBER_INTEGER, .help = "Left" },
    { .name = "y", .type = HS_MEMBER_INTEGER, .help = "Top" },
    { .name = "width", .type = HS_MEMBER_INTEGER, .help = "Width" },
    { .name = "height", .type = HS_MEMBER_INTEGER, .help = "Height" },
};
static const struct hs_object_doc box_object = {
    .name = "Box",
    .help = "A box in whole pixels of the original picture from its top left, always inside the picture",
    HS_MEMBERS(box_members),
};

static const struct hs_member keypoint_members[] = {
    { .name = "name", .help = "The keypoint, such as `left_elbow`. Left and right are the person's own" },
    { .name = "x", .type = HS_MEMBER_INTEGER, .help = "In pixels of the original picture" },
    { .name = "y", .type = HS_MEMBER_INTEGER, .help = "In pixels of the original picture" },
    { .name = "confidence", .type = HS_MEMBER_NUMBER, .help = "0 to 1" },
};
static const struct hs_object_doc keypoint_object = {
    .name = "Keypoint",
    .help = "A keypoint of a person",
    HS_MEMBERS(keypoint_members),
};

static const struct hs_member edge_members[] = {
    { .name = "from", .help = "Name of the keypoint at one end" },
    { .name = "to", .help = "Name of the keypoint at the other end" },
    { .name = "from_index", .type = HS_MEMBER_INTEGER, .help = "Its index in `keypoints`, from 0" },
    { .name = "to_index", .type = HS_MEMBER_INTEGER, .help = "The other end's" },
};
static const struct hs_object_doc edge_object = {
    .name = "Edge",
    .help = "An edge of the skeleton",
    HS_MEMBERS(edge_members),
};

static const struct hs_member person_members[] = {
    { .name = "person_id",
      .type = HS_MEMBER_INTEGER,
      .help = "The index in this response; it does not identify a person across pictures" },
    { .name = "bbox",
      .type = HS_MEMBER_OBJECT,
      .object = &box_object,
      .help =
          "The box, in whole pixels of the original picture from its top left, always inside the picture; keypoints "
          "use the same coordinates" },
    { .name = "bbox_confidence", .type = HS_MEMBER_NUMBER, .help = "The score of the person, 0 to 1" },
    { .name = "keypoints",
      .type = HS_MEMBER_OBJECT,
      .flags = HS_MEMBER_ARRAY,
      .object = &keypoint_object,
      .help = "All keypoints of the model, whatever `keypoint_threshold` is" },
    { .name = "skeleton",
      .type = HS_MEMBER_OBJECT,
      .flags = HS_MEMBER_ARRAY | HS_MEMBER_OPTIONAL,
      .object = &edge_object,
      .help = "Edges between keypoints; absent if `pose.skeleton_connections` is off" },
    { .name = "class",
      .flags = HS_MEMBER_OPTIONAL,
      .help = "Only from a model with several classes (an imported one)" },
};
static const struct hs_object_doc person_object = {
    .name = "Person",
    .help = "A person in the picture",
    HS_MEMBERS(person_members),
};

static const struct hs_member size_members[] = {
    { .name = "width", .type = HS_MEMBER_INTEGER, .help = "In pixels" },
    { .name = "height", .type = HS_MEMBER_INTEGER, .help = "In pixels" },
};
static const struct hs_object_doc size_object = {
    .name = "ImageSize",
    .help = "The size of the original picture",
    HS_MEMBERS(size_members),
};

static const struct hs_member timing_members[] = {
    { .name = "decode", .type = HS_MEMBER_NUMBER, .help = "Read the picture" },
    { .name = "preprocess", .type = HS_MEMBER_NUMBER, .help = "Scale it to the input of the network" },
    { .name = "queue", .type = HS_MEMBER_NUMBER, .help = "Wait for the device" },
    { .name = "inference", .type = HS_MEMBER_NUMBER, .help = "Run the network" },
    { .name = "postprocess", .type = HS_MEMBER_NUMBER, .help = "Decode its outputs" },
    { .name = "total", .type = HS_MEMBER_NUMBER, .help = "All of them" },
};
static const struct hs_object_doc timings_object = {
    .name = "Timings",
    .help = "The stages of a request in milliseconds",
    HS_MEMBERS(timing_members),
};

static const struct hs_member answer_members[] = {
    { .name = "poses",
      .type = HS_MEMBER_OBJECT,
      .flags = HS_MEMBER_ARRAY,
      .object = &person_object,
      .help = "The people, by descending `bbox_confidence`" },
    { .name = "count", .type = HS_MEMBER_INTEGER, .help = "The number of people in `poses`" },
    { .name = "inference_time_ms", .type = HS_MEMBER_INTEGER, .help = "The time in the network, in whole ms" },
    { .name = "image_size",
      .type = HS_MEMBER_OBJECT,
      .object = &size_object,
      .help = "Width and height of the original picture" },
    { .name = "model", .help = "The model that was used" },
    { .name = "device", .help = "The device that ran the network: `cpu`, `hailo` or `sim`" },
    { .name = "truncated",
      .type = HS_MEMBER_BOOLEAN,
      .flags = HS_MEMBER_OPTIONAL,
      .help = "True if `max_detections` cut the list; else absent" },
    { .name = "found",
      .type = HS_MEMBER_INTEGER,
      .flags = HS_MEMBER_OPTIONAL,
      .help = "Only with `truncated`: the number of people detected (at most 1000)" },
    { .name = "degraded",
      .type = HS_MEMBER_BOOLEAN,
      .flags = HS_MEMBER_OPTIONAL,
      .help = "True if the processor replaced another device; else absent" },
    { .name = "timings_ms",
      .type = HS_MEMBER_OBJECT,
      .object = &timings_object,
      .help = "The stages of this request; `queue` is the wait for the device" },
    HS_WARNINGS_MEMBER,
};
static const struct hs_object_doc answer_object = {
    .name = "PoseAnswer",
    .help = "The people in a picture",
    HS_MEMBERS(answer_members),
};

static const struct hs_response_doc detect_responses[] = {
    { .status = 200, .object = &answer_object, .help = "The people in the picture; none is an empty list" },
    { .status = 200, .type = "image/jpeg", .help = "With `Accept: image/jpeg`: the picture with people drawn in" },
    { .status = 200, .type = "image/png", .help = "With `Accept: image/png`: the picture with people drawn in" },
};
static const int detect_errors[] = { HS_EMISSING, HS_EDECODE, HS_ENOTFOUND, HS_ENODEVICE, HS_ELOST, 0 };
const struct hs_route_doc hs_pose_doc_detect = {
    .id = "detect_people",
    .tag = "detection",
    .summary = "Detect people in a picture",
    .headers = hs_headers_timeout,
    HS_RESPONSES(detect_responses),
    .errors = detect_errors,
};

/* ---- batch ---- */

static const struct hs_member index_members[] = { HS_INDEX_MEMBERS };
static const struct hs_object_doc result_object = {
    .name = "BatchPoseAnswer",
    .help = "The people in one picture of a batch",
    .base = &answer_object,
    HS_MEMBERS(index_members),
};
static const struct hs_object_doc failed_object = {
    .name = "BatchError",
    .help = "A picture of a batch that failed",
    .base = &hs_object_error,
    HS_MEMBERS(index_members),
};
static const struct hs_member batch_members[] = {
    { .name = "results",
      .type = HS_MEMBER_OBJECT,
      .flags = HS_MEMBER_ARRAY,
      .object = &result_object,
      .other = &failed_object,
      .help = "A result for each picture, in their order: its people, or an `error`" },
};
static const struct hs_object_doc batch_object = {
    .name = "PoseBatch",
    .help = "The results of a batch",
    .base = &hs_object_batch_counts,
    HS_MEMBERS(batch_members),
};
static const struct hs_response_doc batch_responses[] = {
    { .status = 200, .object = &batch_object, .help = HS_BATCH_HELP },
    { .status = 200, .type = "application/x-ndjson", .object = &result_object, .help = HS_LINES_HELP },
};
const struct hs_route_doc hs_pose_doc_batch = {
    .id = "detect_people_batch",
    .tag = "detection",
    .summary = "Detect people in several pictures",
    .help = "Up to four pictures are processed at a time (more if the device takes several together). Requests with a "
            "single picture come first when both wait for the device",
    .headers = hs_headers_timeout,
    HS_RESPONSES(batch_responses),
    .errors = detect_errors,
};

/* ---- health ---- */

static const char *const ok[] = { "ok", NULL };
static const struct hs_member health_members[] = {
    { .name = "status", .values = ok, .help = "Always `ok`" },
    { .name = "model", .help = "The configured model" },
    { .name = "model_loaded", .type = HS_MEMBER_BOOLEAN, .help = "True if it is loaded" },
    { .name = "uptime_seconds", .type = HS_MEMBER_NUMBER, .help = "Seconds since the start" },
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
const struct hs_route_doc hs_pose_doc_health = {
    .id = "get_health",
    .tag = "service",
    .summary = "Check that the service runs",
    .help = "Answered on the network thread, so the request does not wait for pictures",
    HS_RESPONSES(health_responses),
};
