#include "base/clock.h"

#include <errno.h>

#include "hs/status.h"

int64_t hs_clock_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * HS_NS_PER_S + now.tv_nsec;
}

int64_t hs_clock_wall_s(void)
{
    return (int64_t) time(NULL);
}

/* strftime gets literal formats, so that the compiler checks them. */
static size_t format_time(const struct tm *tm, enum hs_time_format format, char *dst, size_t size)
{
    switch (format) {
    case HS_TIME_RFC3339:
        return strftime(dst, size, "%Y-%m-%dT%H:%M:%SZ", tm);
    case HS_TIME_SQL:
        return strftime(dst, size, "%Y-%m-%d %H:%M:%S", tm);
    case HS_TIME_STAMP:
        return strftime(dst, size, "%Y%m%d-%H%M%S", tm);
    case HS_TIME_MINUTES:
        return strftime(dst, size, "%Y-%m-%d %H:%M UTC", tm);
    }
    return 0;
}

bool hs_clock_format_utc(int64_t time_s, enum hs_time_format format, char *dst, size_t size)
{
    time_t time = (time_t) time_s;
    struct tm tm;
    if (gmtime_r(&time, &tm) && format_time(&tm, format, dst, size) > 0)
        return true;
    dst[0] = '\0';
    return false;
}

int64_t hs_deadline_in_ms(int64_t ms)
{
    int64_t ns, deadline;
    if (ms < 0 || __builtin_mul_overflow(ms, HS_NS_PER_MS, &ns) ||
        __builtin_add_overflow(hs_clock_now_ns(), ns, &deadline))
        return HS_NO_DEADLINE;
    return deadline;
}

int hs_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attr;
    if (pthread_condattr_init(&attr) != 0)
        return HS_ENOMEM;
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    int r = pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
    return r == 0 ? 0 : HS_ENOMEM;
}

int hs_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t deadline_ns)
{
    if (deadline_ns == HS_NO_DEADLINE) {
        pthread_cond_wait(cond, mutex);
        return 0;
    }
    struct timespec at = { .tv_sec = deadline_ns / HS_NS_PER_S, .tv_nsec = deadline_ns % HS_NS_PER_S };
    return pthread_cond_timedwait(cond, mutex, &at) == ETIMEDOUT ? HS_ETIMEOUT : 0;
}
