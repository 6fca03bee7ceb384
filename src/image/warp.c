/* Each output pixel is mapped back to the source, so only the needed pixels are read. Positions are
 * doubles. The sides of an image fit in 31 bits, and positions far outside are rejected before they
 * become integers. */
#include "image/warp.h"

#include <math.h>
#include <stdbool.h>

/* Path of the output through the decoded image: the centre of output pixel (x, y) is at
 * (u0 + x ux + y vx, v0 + x uy + y vy), relative to the centre of the first decoded pixel. */
struct path {
    double u0, v0;
    double ux, uy; /* step for one output pixel to the right */
    double vx, vy; /* step for one down */
};

/* At more than MAX_SHRINK nothing of an image is left. MAX_SAMPLES bounds the samples of an output
 * pixel, because the matrix comes from landmarks in an untrusted image; MAX_SAMPLES squared is enough
 * for any average. */
enum { MAX_SHRINK = 1 << 15, MAX_SAMPLES = 16 };

static bool is_similarity(const double m[6])
{
    double scale = hypot(m[0], m[3]);
    for (int i = 0; i < 6; i++)
        if (!isfinite(m[i]))
            return false;
    return scale >= 1.0 / MAX_SHRINK && fabs(m[0] - m[4]) <= 1e-6 * scale && fabs(m[1] + m[3]) <= 1e-6 * scale;
}

/* Inverts the matrix and scales it to decoded pixels. */
static struct path path_of(const struct hs_image *image, const double m[6])
{
    double a = m[0], b = m[3], square = a * a + b * b;
    double ia = a / square, ib = -b / square;
    double x0 = -ia * m[2] + ib * m[5], y0 = -ib * m[2] - ia * m[5];
    double sx = (double) image->width / image->orig_width, sy = (double) image->height / image->orig_height;
    return (struct path) {
        .u0 = (x0 + 0.5) * sx - 0.5,
        .v0 = (y0 + 0.5) * sy - 0.5,
        .ux = ia * sx,
        .uy = ib * sy,
        .vx = -ib * sx,
        .vy = ia * sy,
    };
}

/* Adds `weight` times the pixel; pixels outside are black. */
static void add_pixel(const struct hs_image *image, int x, int y, float weight, float sum[3])
{
    if (x < 0 || y < 0 || x >= image->width || y >= image->height)
        return;
    const uint8_t *p = image->pixels + (size_t) y * image->stride + (size_t) x * 3;
    for (int c = 0; c < 3; c++)
        sum[c] += weight * p[c];
}

static void store(const float sum[3], float scale, uint8_t *dst)
{
    for (int c = 0; c < 3; c++)
        dst[c] = (uint8_t) (sum[c] * scale + 0.5f);
}

/* A sample covers parts of four pixels, with the upper left one at (x, y). `right` and `below` are the
 * shares of the right column and the lower row. */
struct sample {
    int x, y;
    float right, below;
};

/* Returns the sample for the square of `side` pixels, at most 1, around (u, v). Coordinates are
 * relative to the upper left corner of the first pixel and are not negative. */
static struct sample sample_of(double u, double v, double side)
{
    double left = u - side / 2, top = v - side / 2;
    int x = (int) left, y = (int) top;
    float right = (float) ((left - x + side - 1) / side), below = (float) ((top - y + side - 1) / side);
    return (struct sample) { x, y, right > 0 ? right : 0, below > 0 ? below : 0 };
}

/* All four pixels must be inside the image. */
static void add_inside(const struct hs_image *image, const struct sample *s, float sum[3])
{
    const uint8_t *p = image->pixels + (size_t) s->y * image->stride + (size_t) s->x * 3, *q = p + image->stride;
    float a = (1 - s->right) * (1 - s->below), b = s->right * (1 - s->below);
    float c = (1 - s->right) * s->below, d = s->right * s->below;
    for (int i = 0; i < 3; i++)
        sum[i] += a * p[i] + b * p[i + 3] + c * q[i] + d * q[i + 3];
}

static void add_crossing(const struct hs_image *image, const struct sample *s, float sum[3])
{
    add_pixel(image, s->x, s->y, (1 - s->right) * (1 - s->below), sum);
    add_pixel(image, s->x + 1, s->y, s->right * (1 - s->below), sum);
    add_pixel(image, s->x, s->y + 1, (1 - s->right) * s->below, sum);
    add_pixel(image, s->x + 1, s->y + 1, s->right * s->below, sum);
}

static void sample_bilinear(const struct hs_image *image, double u, double v, uint8_t *dst)
{
    float sum[3] = { 0, 0, 0 };
    if (u > -1 && v > -1 && u < image->width && v < image->height) {
        int x = (int) floor(u), y = (int) floor(v);
        add_crossing(image, &(struct sample) { x, y, (float) (u - x), (float) (v - y) }, sum);
    }
    store(sum, 1, dst);
}

/* Averages n x n samples of the square around (u, v), with the sides of the path. Samples extend less
 * than two pixels beyond the square. */
static void sample_area(const struct hs_image *image, const struct path *path, int n, double u, double v, uint8_t *dst)
{
    double ux = path->ux / n, uy = path->uy / n, vx = path->vx / n, vy = path->vy / n, middle = (n - 1) / 2.0;
    double side = fmin(hypot(ux, uy), 1), reach_x = fabs(path->ux) + fabs(path->vx) + 2;
    double reach_y = fabs(path->uy) + fabs(path->vy) + 2, x = u + 0.5, y = v + 0.5;
    bool inside = x - reach_x >= 0 && y - reach_y >= 0 && x + reach_x < image->width && y + reach_y < image->height;
    float sum[3] = { 0, 0, 0 };
    x -= middle * (ux + vx);
    y -= middle * (uy + vy);
    for (int j = 0; j < n; j++) {
        for (int i = 0; i < n; i++) {
            double at_x = x + i * ux + j * vx, at_y = y + i * uy + j * vy;
            if (inside) {
                struct sample s = sample_of(at_x, at_y, side);
                add_inside(image, &s, sum);
            } else if (at_x > -1 && at_y > -1 && at_x < image->width + 1.0 && at_y < image->height + 1.0) {
                /* The offset makes coordinates positive, so that conversion to int rounds down. */
                struct sample s = sample_of(at_x + 2, at_y + 2, side);
                s.x -= 2;
                s.y -= 2;
                add_crossing(image, &s, sum);
            }
        }
    }
    store(sum, 1.0f / (float) (n * n), dst);
}

int hs_warp_similarity(const struct hs_image *image, const double matrix[6], int out_w, int out_h, uint8_t *dst,
                       struct hs_error *err)
{
    if (!is_similarity(matrix))
        return hs_error_set(err, HS_EINVAL, "the matrix is not a similarity transform with a usable scale");
    struct path path = path_of(image, matrix);
    double width = fmax(hypot(path.ux, path.uy), hypot(path.vx, path.vy));
    /* Samples per side of an output pixel for averaging, or 0 for bilinear. A sample is itself the
     * average of a small upright square, so one sample for each decoded pixel leaves no gap: the mean
     * deviation from the exact average is below 0.03 gray levels, plus rounding to whole levels. */
    int n = width > 2 ? (int) fmin(ceil(width), MAX_SAMPLES) : 0;
    for (int y = 0; y < out_h; y++) {
        for (int x = 0; x < out_w; x++, dst += 3) {
            double u = path.u0 + x * path.ux + y * path.vx, v = path.v0 + x * path.uy + y * path.vy;
            if (n)
                sample_area(image, &path, n, u, v, dst);
            else
                sample_bilinear(image, u, v, dst);
        }
    }
    return 0;
}
