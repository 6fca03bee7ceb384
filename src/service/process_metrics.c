#include "service/process_metrics.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"

enum { LINE_SIZE = 1024, PATH_SIZE = 2 * LINE_SIZE };

/* Numbers of fields in /proc/self/stat, see proc_pid_stat(5). */
enum { FIELD_AFTER_NAME = 3, FIELD_THREADS = 20, FIELD_START_TICKS = 22, FIELD_VIRTUAL_BYTES, FIELD_RESIDENT_PAGES };

struct process_stat {
    double values[FIELD_RESIDENT_PAGES + 1]; /* by field number; only numbers are filled */
};

static bool read_line(const char *path, char ret_line[LINE_SIZE])
{
    FILE *file = fopen(path, "re");
    bool read = file && fgets(ret_line, LINE_SIZE, file);
    if (file)
        fclose(file);
    return read;
}

static bool read_stat(struct process_stat *ret_stat)
{
    char line[LINE_SIZE], *rest = NULL;
    char *end = read_line("/proc/self/stat", line) ? strrchr(line, ')') : NULL; /* the name may contain spaces */
    *ret_stat = (struct process_stat) { 0 };
    if (!end)
        return false;
    char *word = strtok_r(end + 1, " ", &rest);
    for (int field = FIELD_AFTER_NAME; word && field <= FIELD_RESIDENT_PAGES; field++) {
        hs_str_to_double(word, &ret_stat->values[field]);
        word = strtok_r(NULL, " ", &rest);
    }
    return ret_stat->values[FIELD_THREADS] > 0;
}

/* ---- Start ---- */

static double start_s;
static pthread_once_t start_once = PTHREAD_ONCE_INIT;

static double seconds_of(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

/* Read once, because a change of the wall clock must not look like a restart. */
static void read_start(void)
{
    struct process_stat stat;
    start_s = seconds_of(CLOCK_REALTIME);
    if (read_stat(&stat))
        start_s -= seconds_of(CLOCK_BOOTTIME) - stat.values[FIELD_START_TICKS] / (double) sysconf(_SC_CLK_TCK);
}

double hs_process_start_s(void)
{
    pthread_once(&start_once, read_start);
    return start_s;
}

/* ---- Memory limit ---- */

/* A limit of this many bytes or more stands for none in version 1. */
#define GROUP_V1_NONE 0x1p60

/* Finds the line of the control group in /proc/self/cgroup: "0::PATH", or "N:…memory…:PATH" in version 1. */
static bool find_group(const char *root, char ret_path[LINE_SIZE], bool *ret_first_version)
{
    char name[PATH_SIZE], line[LINE_SIZE];
    bool found = false;
    hs_str_format(name, sizeof(name), "%s/proc/self/cgroup", root);
    FILE *file = fopen(name, "re");
    while (file && fgets(line, sizeof(line), file)) {
        char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path)
            continue;
        *path++ = '\0';
        path[strcspn(path, "\n")] = '\0';
        bool memory = strstr(controllers + 1, "memory") != NULL;
        if (!memory && (found || controllers[1] != '\0'))
            continue;
        hs_str_copy(ret_path, LINE_SIZE, path);
        *ret_first_version = memory;
        found = true;
    }
    if (file)
        fclose(file);
    return found;
}

double hs_process_memory_limit(const char *root)
{
    char group[LINE_SIZE], name[PATH_SIZE], line[LINE_SIZE];
    bool first_version;
    if (!find_group(root, group, &first_version))
        return 0;
    hs_str_format(name, sizeof(name),
                  first_version ? "%s/sys/fs/cgroup/memory%s/memory.limit_in_bytes" : "%s/sys/fs/cgroup%s/memory.max",
                  root, group);
    double limit = 0;
    if (read_line(name, line)) {
        line[strcspn(line, "\n")] = '\0';
        hs_str_to_double(line, &limit); /* leaves 0 for "max" */
    }
    return limit < GROUP_V1_NONE ? limit : 0;
}

/* ---- Descriptors ---- */

static double count_descriptors(void)
{
    struct stat st;
    /* Linux 6.2 and later give the number as the size of the folder, so that 10,000 connections need not be listed. */
    if (stat("/proc/self/fd", &st) == 0 && st.st_size > 0)
        return (double) st.st_size;
    DIR *folder = opendir("/proc/self/fd");
    if (!folder)
        return 0;
    double count = -1; /* without the descriptor of the folder */
    for (const struct dirent *entry; (entry = readdir(folder));)
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count;
}

/* ---- Writing ---- */

void hs_process_put_metrics(struct hs_metrics_writer *writer)
{
    static const struct hs_metric
        cpu = { "process_cpu_seconds_total", "User and system processor time.", HS_METRIC_COUNTER, true },
        start = { "process_start_time_seconds", "Start of the process since 1970.", HS_METRIC_GAUGE, false },
        open_fds = { "process_open_fds", "Open file descriptors.", HS_METRIC_GAUGE, false },
        max_fds = { "process_max_fds", "Limit of open file descriptors.", HS_METRIC_GAUGE, false },
        threads = { "process_threads", "Threads of the process.", HS_METRIC_GAUGE, false },
        resident = { "process_resident_memory_bytes", "Resident memory.", HS_METRIC_GAUGE, false },
        virtual = { "process_virtual_memory_bytes", "Virtual memory.", HS_METRIC_GAUGE, false };
    struct process_stat stat;
    struct rlimit files;
    hs_metrics_put_single(writer, &cpu, seconds_of(CLOCK_PROCESS_CPUTIME_ID));
    hs_metrics_put_single(writer, &start, hs_process_start_s());
    hs_metrics_put_single(writer, &open_fds, count_descriptors());
    if (getrlimit(RLIMIT_NOFILE, &files) == 0)
        hs_metrics_put_single(writer, &max_fds, (double) files.rlim_cur);
    if (!read_stat(&stat))
        return;
    hs_metrics_put_single(writer, &threads, stat.values[FIELD_THREADS]);
    hs_metrics_put_single(writer, &resident, stat.values[FIELD_RESIDENT_PAGES] * (double) sysconf(_SC_PAGESIZE));
    hs_metrics_put_single(writer, &virtual, stat.values[FIELD_VIRTUAL_BYTES]);
}
