/* Kinds of models: their tasks and output formats. */
#ifndef HS_CONVERT_MODEL_KIND_H
#define HS_CONVERT_MODEL_KIND_H

enum {
    HS_MODEL_MAX_INPUT = 8192, /* pixels, either side */
    HS_MODEL_MAX_KEYPOINTS = 256,
    HS_MODEL_MAX_CLASSES = 1000,
    HS_MODEL_FACE_SIDE = 112, /* pixels: side of the aligned face that every face-embedding model takes */
    HS_MODEL_MAX_EMBEDDING = 4096,
};

enum hs_task { HS_TASK_POSE, HS_TASK_FACE_DETECTION, HS_TASK_FACE_EMBEDDING };

/* Output formats. YOLO_POSE_RAW: a box, a class and a keypoint tensor for each of three strides
 * (nine tensors). YOLO_POSE_DECODED: one matrix [4 + classes + keypoints * dims, cells]. SCRFD:
 * scores, boxes and, in most models, five points for each of the strides 8, 16 and 32 (six or nine
 * tensors), two anchors per cell. RETINAFACE: boxes, scores of background and face, and five
 * points, relative to priors of 16 to 512 pixels. ARCFACE: one vector, not normalised. */
enum hs_decode {
    HS_DECODE_YOLO_POSE_RAW,
    HS_DECODE_YOLO_POSE_DECODED,
    HS_DECODE_SCRFD,
    HS_DECODE_RETINAFACE,
    HS_DECODE_ARCFACE,
};

/* LOGITS: class outputs need a sigmoid (RETINAFACE: a softmax over two). */
enum hs_scores { HS_SCORES_LOGITS, HS_SCORES_PROBABILITIES };

#endif
