#include "vision/align.h"

#include <math.h>

/* In square pixels; and the smallest share of the template's spread that a fit must explain. */
#define SMALLEST_SPREAD 1e-4
#define SMALLEST_SHARE 0.01
#define DEGREES (180 / 3.14159265358979323846)

const struct hs_point hs_align_template[HS_FACE_LANDMARKS] = {
    { 38.2946f, 51.6963f }, { 73.5318f, 51.5014f }, { 56.0252f, 71.7366f },
    { 41.5493f, 92.3655f }, { 70.7299f, 92.2041f },
};

struct centre {
    double x, y;
};

static struct centre centre_of(const struct hs_point *points)
{
    struct centre c = { 0, 0 };
    for (int i = 0; i < HS_FACE_LANDMARKS; i++) {
        c.x += (double) points[i].x / HS_FACE_LANDMARKS;
        c.y += (double) points[i].y / HS_FACE_LANDMARKS;
    }
    return c;
}

/* Fills m with the similarity that has rotation and scale a, b and maps `from` to `to`. */
static void fill_matrix(double m[6], double a, double b, struct centre from, struct centre to)
{
    m[0] = a;
    m[1] = -b;
    m[2] = to.x - a * from.x + b * from.y;
    m[3] = b;
    m[4] = a;
    m[5] = to.y - b * from.x - a * from.y;
}

int hs_align_face(const struct hs_point landmarks[HS_FACE_LANDMARKS], struct hs_alignment *ret, struct hs_error *err)
{
    for (int i = 0; i < HS_FACE_LANDMARKS; i++)
        if (!isfinite(landmarks[i].x) || !isfinite(landmarks[i].y))
            return hs_error_set(err, HS_EINVAL, "a landmark of the face is not finite");
    struct centre cp = centre_of(landmarks), cq = centre_of(hs_align_template);
    double pp = 0, qq = 0, dot = 0, cross = 0; /* sums of p . p, q . q, p . q and p x q */
    for (int i = 0; i < HS_FACE_LANDMARKS; i++) {
        double px = (double) landmarks[i].x - cp.x, py = (double) landmarks[i].y - cp.y;
        double qx = (double) hs_align_template[i].x - cq.x, qy = (double) hs_align_template[i].y - cq.y;
        pp += px * px + py * py;
        qq += qx * qx + qy * qy;
        dot += px * qx + py * qy;
        cross += px * qy - py * qx;
    }
    if (!(pp >= SMALLEST_SPREAD * HS_FACE_LANDMARKS))
        return hs_error_set(err, HS_EINVAL, "the landmarks of the face coincide");
    double a = dot / pp, b = cross / pp, square = a * a + b * b;
    double explained = square * pp / qq;
    if (!(explained >= SMALLEST_SHARE))
        return hs_error_set(err, HS_EINVAL, "the landmarks do not have the shape of a face");
    fill_matrix(ret->matrix, a, b, cp, cq);
    fill_matrix(ret->inverse, a / square, -b / square, cq, cp);
    ret->scale = sqrt(square);
    ret->angle_deg = atan2(-b, a) * DEGREES;
    ret->rms_error = sqrt(fmax(0, qq * (1 - explained)) / HS_FACE_LANDMARKS);
    return 0;
}
