/* Measures the face search in galleries of random unit vectors: bench_search [--threads N] [--k N] [COUNT…]
 * Prints beside each time that of a plain read of the same bytes, the limit set by memory. Changes are measured
 * in CPU time. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/clock.h"
#include "base/str.h"
#include "gallery/search.h"
#include "gallery/search_kernel.h"

enum { DIMENSION = 512, VECTORS_EACH = 4, QUERIES = 256, MAX_K = 64, HUGE_PAGE = 2 << 20 };

static uint64_t random_state = 7;

static uint64_t random_bits(void)
{
    uint64_t h = random_state += UINT64_C(0x9e3779b97f4a7c15);
    h = (h ^ h >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    h = (h ^ h >> 27) * UINT64_C(0x94d049bb133111eb);
    return h ^ h >> 31;
}

static void normalize(float *v)
{
    double norm = sqrt(hs_search_score(v, v, DIMENSION));
    for (size_t i = 0; i < DIMENSION; i++)
        v[i] = (float) (v[i] / norm);
}

/* The sum of eight bytes is close enough to a normal distribution. */
static void random_unit(float *v)
{
    for (size_t i = 0; i < DIMENSION; i++) {
        uint64_t bits = random_bits();
        int sum = 0;
        for (int k = 0; k < 8; k++)
            sum += (int) (bits >> (8 * k) & 255);
        v[i] = (float) sum - 1020;
    }
    normalize(v);
}

struct gallery {
    float *vectors;
    size_t count, fetched;
};

static int fetch_vector(void *ctx, int64_t id, float *dst, struct hs_error *err)
{
    struct gallery *gallery = ctx;
    (void) err;
    gallery->fetched++;
    memcpy(dst, gallery->vectors + (size_t) id * DIMENSION, DIMENSION * sizeof(*dst));
    return 0;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *) a, y = *(const double *) b;
    return (x > y) - (x < y);
}

static double median(double *times, size_t count)
{
    qsort(times, count, sizeof(*times), compare);
    return times[count / 2];
}

static volatile uint64_t sink;

typedef uint64_t wide __attribute__((vector_size(64)));

static double read_ms(const wide *words, size_t count)
{
    int64_t begin = hs_clock_now_ns();
    wide even = { 0 }, odd = { 0 };
    for (size_t i = 0; i + 2 <= count; i += 2) {
        even ^= words[i];
        odd ^= words[i + 1];
    }
    even ^= odd;
    for (size_t k = 0; k < 8; k++)
        sink ^= even[k];
    return hs_ns_to_ms(hs_clock_now_ns() - begin);
}

/* Times queries with a cosine of about 0.6 to a vector of the gallery, alternating with plain reads. */
static int time_queries(struct hs_search *search, struct gallery *gallery, size_t k, double above)
{
    size_t rounds = gallery->count >= 500000 ? 21 : gallery->count >= 50000 ? 101 : QUERIES * 8;
    double *times = calloc(rounds, sizeof(*times)), *reads = calloc(rounds, sizeof(*reads));
    float *queries = calloc((size_t) QUERIES * DIMENSION, sizeof(*queries));
    struct hs_search_hit hits[MAX_K];
    size_t count, right = 0;
    struct hs_error err;
    int r = times && reads && queries ? 0 : HS_ENOMEM;
    gallery->fetched = 0;
    for (size_t i = 0; r == 0 && i < rounds; i++) {
        float *q = queries + i % QUERIES * DIMENSION;
        size_t at = random_bits() % gallery->count;
        random_unit(q);
        for (size_t d = 0; d < DIMENSION; d++)
            q[d] = 0.6f * gallery->vectors[at * DIMENSION + d] + 0.8f * q[d];
        normalize(q);
        reads[i] = read_ms((const wide *) (const void *) gallery->vectors, gallery->count * DIMENSION / sizeof(wide));
        int64_t begin = hs_clock_now_ns();
        r = hs_search_identities(search, q, k, above, hits, &count, &err);
        times[i] = hs_ns_to_ms(hs_clock_now_ns() - begin);
        right += r == 0 && count > 0 && hits[0].id == (int64_t) at;
    }
    if (r == 0) {
        double ms = median(times, rounds), limit = median(reads, rounds);
        printf("  above %5.2f: %9.4f ms (best %9.4f)  %9.1f queries/s  plain read %9.4f ms  ratio %5.2f"
               "  fetched %5.1f  right %zu/%zu\n",
               above, ms, times[0], 1000 / ms, limit, ms / limit, (double) gallery->fetched / (double) rounds, right,
               rounds);
    }
    free(times);
    free(reads);
    free(queries);
    return r;
}

/* CPU time of this thread, so that interruptions by other programs do not affect the slowest sample. */
static double cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double) t.tv_sec * 1e3 + (double) t.tv_nsec / 1e6;
}

/* Adds identities with one vector each beyond the reserved capacity, so that the index has to grow, and removes
 * them. */
static int time_growth(struct hs_search *search, const struct gallery *gallery, struct hs_error *err)
{
    enum { MORE = 10000 };
    double worst_add = 0, worst_remove = 0;
    for (size_t i = 0; i < MORE; i++) {
        const float *vector = gallery->vectors + i % gallery->count * DIMENSION;
        double begin = cpu_ms();
        int r = hs_search_add(search, (int64_t) (gallery->count + i), (int64_t) (gallery->count + i), vector, err);
        worst_add = fmax(worst_add, cpu_ms() - begin);
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < MORE; i++) {
        double begin = cpu_ms();
        hs_search_remove_identity(search, (int64_t) (gallery->count + i));
        worst_remove = fmax(worst_remove, cpu_ms() - begin);
    }
    printf("  %d more: slowest add %.4f ms, slowest removal %.4f ms\n", MORE, worst_add, worst_remove);
    return 0;
}

/* Removes identities of up to four vectors and adds them again. Prints the median and the slowest time of each. */
static int time_changes(struct hs_search *search, const struct gallery *gallery, struct hs_error *err)
{
    enum { CHANGES = 1000 };
    double adds[CHANGES], removals[CHANGES];
    for (size_t i = 0; i < CHANGES; i++) {
        int64_t identity = (int64_t) (random_bits() % gallery->count / VECTORS_EACH);
        double begin = cpu_ms();
        int64_t removed = (int64_t) hs_search_remove_identity(search, identity);
        removals[i] = cpu_ms() - begin;
        begin = cpu_ms();
        for (int64_t id = identity * VECTORS_EACH; id < identity * VECTORS_EACH + removed; id++) {
            int r = hs_search_add(search, id, identity, gallery->vectors + (size_t) id * DIMENSION, err);
            if (r < 0)
                return r;
        }
        adds[i] = (cpu_ms() - begin) / (double) removed;
    }
    double add = median(adds, CHANGES), removal = median(removals, CHANGES);
    printf("  add %.4f ms (slowest %.4f)  remove an identity %.4f ms (slowest %.4f)\n", add, adds[CHANGES - 1], removal,
           removals[CHANGES - 1]);
    return 0;
}

static int bench(size_t count, int threads, size_t k)
{
    struct gallery gallery = { .count = count };
    struct hs_search *search = NULL;
    struct hs_error err;
    gallery.vectors = aligned_alloc(HUGE_PAGE, (count * DIMENSION * sizeof(float) / HUGE_PAGE + 1) * HUGE_PAGE);
    if (gallery.vectors) /* same as the index, so that the plain read is not slower */
        madvise(gallery.vectors, count * DIMENSION * sizeof(float), MADV_HUGEPAGE);
    int r = gallery.vectors ? hs_search_create(DIMENSION, threads, fetch_vector, &gallery, &search, &err) : HS_ENOMEM;
    if (r == 0)
        r = hs_search_reserve(search, count, &err);
    for (size_t i = 0; r == 0 && i < count; i++) {
        random_unit(gallery.vectors + i * DIMENSION);
        r = hs_search_add(search, (int64_t) i, (int64_t) i / VECTORS_EACH, gallery.vectors + i * DIMENSION, &err);
    }
    if (r == 0) {
        size_t bytes = hs_search_memory(search);
        printf("%zu vectors, %d thread(s), best %zu: %.1f MB, %.3f of float32\n", count, threads, k,
               (double) bytes / 1e6, (double) bytes / (double) (count * DIMENSION * 4));
        r = time_changes(search, &gallery, &err);
        if (r == 0)
            r = time_queries(search, &gallery, k, -INFINITY);
        if (r == 0)
            r = time_queries(search, &gallery, k, 0.5);
        if (r == 0)
            r = time_growth(search, &gallery, &err);
    }
    hs_search_destroy(search);
    free(gallery.vectors);
    return r;
}

int main(int argc, char **argv)
{
    static const int64_t usual[] = { 1000, 100000, 1000000 };
    int64_t value, threads = 1, k = 5;
    int r = 0, given = 0;
    printf("kernel %s, %d dimensions\n", hs_search_kernel_best()->name, DIMENSION);
    for (int i = 1; i < argc && r == 0; i++) {
        int64_t *option = strcmp(argv[i], "--threads") == 0 ? &threads : strcmp(argv[i], "--k") == 0 ? &k : NULL;
        if (option)
            i++;
        if (i == argc || !hs_str_to_int64(argv[i], &value) || value < 1 || (option && value > MAX_K)) {
            fprintf(stderr, "bench_search [--threads N] [--k N] [COUNT...], all from 1; options up to %d\n", MAX_K);
            return 2;
        }
        if (option) {
            *option = value;
        } else {
            given = 1;
            r = bench((size_t) value, (int) threads, (size_t) k);
        }
    }
    for (size_t i = 0; !given && r == 0 && i < 3; i++)
        r = bench((size_t) usual[i], (int) threads, (size_t) k);
    if (r < 0)
        fprintf(stderr, "failed: %s\n", hs_status_name(r));
    return r < 0;
}
