/* Each output pixel is looked up backwards, so the picture is read only where the output needs it. Positions are
 * doubles; a picture's sides fit in 31 bits, and what is far outside is told before it becomes an integer. */
#include "image/warp.h"

#include <math.h>
#include <stdbool.h>

/* How the output moves through the decoded picture: output pixel (x, y) has its middle at
 * (u0 + x ux + y vx, v0 + x uy + y vy), pixels counted from the middle of the first one. */
struct path {
    double u0, v0;
    double ux, uy; /* one output pixel to the right */
    double vx, vy; /* one down */
};

/* Beyond MAX_SHRINK a picture of any size is gone. The points of one output pixel are bounded, because the matrix comes
 * from landmarks and those from a stranger's picture; MAX_POINTS squared is enough for any average. */
enum { MAX_SHRINK = 1 << 15, MAX_POINTS = 64 };

/* Points a side of an output pixel when areas are averaged: more than one a decoded pixel, so that none is missed, and
 * enough of them where the square is small. */
static int points_a_side(double width)
{
    return (int) fmin(ceil(width) + 2, MAX_POINTS);
}

static bool is_similarity(const double m[6])
{
    double scale = hypot(m[0], m[3]);
    for (int i = 0; i < 6; i++)
        if (!isfinite(m[i]))
            return false;
    return scale >= 1.0 / MAX_SHRINK && fabs(m[0] - m[4]) <= 1e-6 * scale && fabs(m[1] + m[3]) <= 1e-6 * scale;
}

/* The inverse of the matrix, in decoded pixels. */
static struct path path_of(const struct hs_image *image, const double m[6])
{
    double a = m[0], b = m[3], square = a * a + b * b;
    double ia = a / square, ib = -b / square;
    double x0 = -ia * m[2] + ib * m[5], y0 = -ib * m[2] - ia * m[5];
    double sx = (double) image->width / image->orig_width, sy = (double) image->height / image->orig_height;
    return (struct path) {
        .u0 = (x0 + 0.5) * sx - 0.5, .v0 = (y0 + 0.5) * sy - 0.5,
        .ux = ia * sx, .uy = ib * sy, .vx = -ib * sx, .vy = ia * sy,
    };
}

/* Adds `weight` times the pixel; one outside is black. */
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

static void sample_bilinear(const struct hs_image *image, double u, double v, uint8_t *dst)
{
    float sum[3] = { 0, 0, 0 };
    if (u > -1 && v > -1 && u < image->width && v < image->height) {
        int x = (int) floor(u), y = (int) floor(v);
        float fx = (float) (u - x), fy = (float) (v - y);
        add_pixel(image, x, y, (1 - fx) * (1 - fy), sum);
        add_pixel(image, x + 1, y, fx * (1 - fy), sum);
        add_pixel(image, x, y + 1, (1 - fx) * fy, sum);
        add_pixel(image, x + 1, y + 1, fx * fy, sum);
    }
    store(sum, 1, dst);
}

/* A row of n points from (u, v), (du, dv) apart, all inside the picture but for the rounding of the last one. */
static void add_inside(const struct hs_image *image, double u, double v, double du, double dv, int n, uint32_t sum[3])
{
    for (int i = 0; i < n; i++) {
        int x = (int) (u + i * du), y = (int) (v + i * dv);
        x = x < image->width ? x : image->width - 1;
        y = y < image->height ? y : image->height - 1;
        const uint8_t *p = image->pixels + (size_t) y * image->stride + (size_t) x * 3;
        for (int c = 0; c < 3; c++)
            sum[c] += p[c];
    }
}

static bool is_inside(const struct hs_image *image, double u, double v)
{
    return u >= 0 && v >= 0 && u < image->width && v < image->height;
}

static void add_crossing(const struct hs_image *image, double u, double v, double du, double dv, int n, uint32_t sum[3])
{
    for (int i = 0; i < n; i++)
        if (is_inside(image, u + i * du, v + i * dv))
            add_inside(image, u + i * du, v + i * dv, 0, 0, 1, sum);
}

/* The mean of n x n pixels under the square around (u, v), whose sides are those of the path. */
static void sample_area(const struct hs_image *image, const struct path *path, int n, double u, double v, uint8_t *dst)
{
    double ux = path->ux / n, uy = path->uy / n, vx = path->vx / n, vy = path->vy / n, middle = (n - 1) / 2.0;
    float mean[3];
    uint64_t total[3] = { 0, 0, 0 };
    for (int j = 0; j < n; j++) {
        uint32_t sum[3] = { 0, 0, 0 };
        /* From here on pixels are counted from their corners. */
        double x = u + 0.5 - middle * ux + (j - middle) * vx, y = v + 0.5 - middle * uy + (j - middle) * vy;
        if (is_inside(image, x, y) && is_inside(image, x + (n - 1) * ux, y + (n - 1) * uy))
            add_inside(image, x, y, ux, uy, n, sum);
        else
            add_crossing(image, x, y, ux, uy, n, sum);
        for (int c = 0; c < 3; c++)
            total[c] += sum[c];
    }
    for (int c = 0; c < 3; c++)
        mean[c] = (float) ((double) total[c] / ((double) n * n));
    store(mean, 1, dst);
}

int hs_warp_similarity(const struct hs_image *image, const double matrix[6], int out_w, int out_h, uint8_t *dst,
                       struct hs_error *err)
{
    if (!is_similarity(matrix))
        return hs_error_set(err, HS_EINVAL, "the matrix is no similarity that keeps the picture visible");
    struct path path = path_of(image, matrix);
    double width = fmax(hypot(path.ux, path.uy), hypot(path.vx, path.vy));
    int n = width > 2 ? points_a_side(width) : 0;
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
