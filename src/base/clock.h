/* Time: monotonic nanoseconds for durations and deadlines, wall time for people. */
#ifndef HS_BASE_CLOCK_H
#define HS_BASE_CLOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define HS_NS_PER_MS INT64_C(1000000)
#define HS_NS_PER_S INT64_C(1000000000)
/* A deadline that is never reached. */
#define HS_NO_DEADLINE INT64_MAX

int64_t hs_clock_now_ns(void); /* CLOCK_MONOTONIC */
int64_t hs_clock_wall_s(void); /* seconds since 1970 UTC */

enum hs_time_format {
    HS_TIME_RFC3339, /* 2026-01-31T09:05:00Z */
    HS_TIME_SQL,     /* 2026-01-31 09:05:00, as datetime() of SQLite */
    HS_TIME_STAMP,   /* 20260131-090500, for names of files */
    HS_TIME_MINUTES, /* 2026-01-31 09:05 UTC, for people */
};

enum { HS_TIME_SIZE = 32 }; /* large enough for all formats */

/* Writes a UTC time, in seconds since 1970. Returns false and writes "" if the year or the text does not fit. Any
 * thread. */
bool hs_clock_format_utc(int64_t time_s, enum hs_time_format format, char *dst, size_t size);

/* Returns now + ms; HS_NO_DEADLINE if ms is negative or the sum overflows. */
int64_t hs_deadline_in_ms(int64_t ms);

/* Condition variables that wait on the monotonic clock; hs_cond_init initialises them.
 * hs_cond_wait_until returns HS_ETIMEOUT once the deadline has passed, else 0 (spurious wake-ups included). */
int hs_cond_init(pthread_cond_t *cond);
int hs_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t deadline_ns);

static inline double hs_ns_to_ms(int64_t ns)
{
    return (double) ns / 1e6;
}

/* Returns the milliseconds since *at and sets *at to now. */
static inline double hs_clock_lap_ms(int64_t *at)
{
    int64_t now = hs_clock_now_ns();
    double ms = hs_ns_to_ms(now - *at);
    *at = now;
    return ms;
}

#endif
