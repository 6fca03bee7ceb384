#include "vision/face_quality.h"

#include <math.h>

#include "vision/align.h"

enum { SIDE = HS_ALIGN_SIZE, DARK = 4, BRIGHT = 251 };

#define BLURRED_BELOW 100.0
#define NOSE_DEPTH 0.41f
#define NOSE_HEIGHT 0.495f
#define DEGREES (180 / 3.14159265358979f)

static int gray(const uint8_t *rgb)
{
    return (77 * rgb[0] + 150 * rgb[1] + 29 * rgb[2]) >> 8;
}

float hs_face_size(const struct hs_rect *box)
{
    float size = fminf(box->x2 - box->x1, box->y2 - box->y1);
    return size > 0 ? size : 0;
}

static void gray_row(const uint8_t *aligned, int y, int row[SIDE])
{
    for (int x = 0; x < SIDE; x++)
        row[x] = gray(aligned + 3 * (y * SIDE + x));
}

float hs_face_sharpness(const uint8_t *aligned)
{
    int rows[3][SIDE];
    int64_t sum = 0, squares = 0, count = (int64_t) (SIDE - 2) * (SIDE - 2);
    gray_row(aligned, 0, rows[0]);
    gray_row(aligned, 1, rows[1]);
    for (int y = 1; y < SIDE - 1; y++) {
        const int *above = rows[(y - 1) % 3], *row = rows[y % 3], *below = rows[(y + 1) % 3];
        gray_row(aligned, y + 1, rows[(y + 1) % 3]);
        for (int x = 1; x < SIDE - 1; x++) {
            int v = above[x] + below[x] + row[x - 1] + row[x + 1] - 4 * row[x];
            sum += v;
            squares += v * v;
        }
    }
    double mean = (double) sum / (double) count, variance = (double) squares / (double) count - mean * mean;
    return (float) (variance / (variance + BLURRED_BELOW));
}

bool hs_face_pose_estimate(const struct hs_point p[HS_FACE_LANDMARKS], struct hs_face_pose *ret_pose)
{
    const struct hs_point *left = &p[HS_FACE_LEFT_EYE], *right = &p[HS_FACE_RIGHT_EYE], *nose = &p[HS_FACE_NOSE];
    const struct hs_point *corner = &p[HS_FACE_LEFT_MOUTH], *other = &p[HS_FACE_RIGHT_MOUTH];
    float length = hypotf(right->x - left->x, right->y - left->y);
    if (!isfinite(length) || !(length > 0))
        return false;
    struct hs_point u = { (right->x - left->x) / length, (right->y - left->y) / length };
    struct hs_point eyes = { left->x / 2 + right->x / 2, left->y / 2 + right->y / 2 };
    /* Mouth and nose relative to the midpoint of the eyes; x is along u, y along v = (-u.y, u.x). */
    struct hs_point m = { corner->x / 2 + other->x / 2 - eyes.x, corner->y / 2 + other->y / 2 - eyes.y };
    struct hs_point n = { nose->x - eyes.x, nose->y - eyes.y };
    float height = m.y * u.x - m.x * u.y;
    float sideways = (n.x - m.x / 2) * u.x + (n.y - m.y / 2) * u.y, below = n.y * u.x - n.x * u.y;
    if (!isfinite(height) || !isfinite(sideways) || !isfinite(below))
        return false;
    ret_pose->roll = atan2f(u.y, u.x) * DEGREES;
    ret_pose->yaw = atan2f(sideways, NOSE_DEPTH * length) * DEGREES;
    ret_pose->pitch = atan2f(NOSE_HEIGHT * height - below, NOSE_DEPTH * height) * DEGREES;
    return true;
}

struct hs_face_exposure hs_face_exposure_measure(const uint8_t *aligned)
{
    int sum = 0, clipped = 0;
    for (int i = 0; i < SIDE * SIDE; i++) {
        int value = gray(aligned + 3 * i);
        sum += value;
        clipped += value <= DARK || value >= BRIGHT;
    }
    return (struct hs_face_exposure) { .mean = (float) sum / (255.0f * SIDE * SIDE),
                                       .clipped = (float) clipped / (SIDE * SIDE) };
}

bool hs_face_quality_measure(const struct hs_face *face, const uint8_t *aligned, struct hs_face_quality *ret_quality)
{
    struct hs_face_pose pose;
    if (!face->has_landmarks || !hs_face_pose_estimate(face->landmarks, &pose))
        return false;
    *ret_quality = (struct hs_face_quality) { .size = hs_face_size(&face->box),
                                              .sharpness = hs_face_sharpness(aligned),
                                              .pose = pose,
                                              .exposure = hs_face_exposure_measure(aligned) };
    return true;
}
