#include "models/download.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cancel.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"

enum { DEFAULT_STALL_S = 30, DEFAULT_CONNECT_S = 15, DEFAULT_SLOW_S = 600 };
/* Stall and slow limits, in bytes per second. Without them a server that trickles bytes could hold
 * the file's lock forever: below STALL_RATE the transfer counts as stalled, and AVERAGE_RATE, far
 * below any DSL line, bounds the total time. */
enum { STALL_RATE = 1 << 10, AVERAGE_RATE = 16 << 10 };
enum { MAX_ATTEMPTS = 50, MAX_REDIRECTS = 10, VALIDATOR_SIZE = 256, FROM_MAX = 4096 };

/* Shared by all attempts of one download. */
struct pace {
    int64_t begun_ns;
    uint64_t received;
};

/* One attempt: a request and its state. */
struct attempt {
    const struct hs_download *job;
    struct pace *pace;
    const char *from; /* path of the `.from` file, which records the origin of the bytes */
    CURL *curl;
    int fd;
    uint64_t start;                       /* size of the part file before, and offset requested */
    uint64_t offset;                      /* size of the part file now */
    bool begun;                           /* the first body byte has been seen */
    bool stalled;                         /* below STALL_RATE for too long */
    bool slow;                            /* too slow on average over the whole download */
    bool restart;                         /* the server cannot resume the part file */
    char known_validator[VALIDATOR_SIZE]; /* validator of the bytes in the part file */
    int r;                                /* 0, or the error with which we stopped the transfer */
    struct hs_error error;
};

static bool is_cancelled(const struct hs_download *job)
{
    return job->options->cancel && hs_cancel_is_set(job->options->cancel);
}

/* Returns how many bytes of the part file can be resumed, and the validator for If-Range. Without a
 * known hash, only a validator shows that the rest belongs to the same file. */
static uint64_t resumable(const struct hs_download *job, const char *from, char validator[VALIDATOR_SIZE])
{
    char *save = NULL;
    struct stat st;
    uint8_t *text = NULL;
    size_t len;
    if (stat(job->part, &st) < 0 || st.st_size <= 0 || (uint64_t) st.st_size > job->max_bytes ||
        hs_file_read(from, FROM_MAX, &text, &len, NULL) < 0)
        return 0;
    const char *url = strtok_r((char *) text, "\n", &save), *second = strtok_r(NULL, "\n", &save);
    bool same = url && strcmp(url, job->url) == 0 && hs_str_copy(validator, VALIDATOR_SIZE, second ? second : "");
    free(text);
    return same && (job->sha256 || validator[0]) ? (uint64_t) st.st_size : 0;
}

/* Returns a header of the final response, or "". */
static const char *header(const struct attempt *attempt, const char *name)
{
    struct curl_header *found;
    return curl_easy_header(attempt->curl, name, 0, CURLH_HEADER, -1, &found) == CURLHE_OK ? found->value : "";
}

/* Returns the ETag or Last-Modified. A weak validator does not guarantee equal bytes (RFC 9110,
 * 8.8.1). */
static const char *validator_of(const struct attempt *attempt)
{
    const char *value = header(attempt, "ETag");
    if (!value[0] || hs_str_starts(value, "W/") || strlen(value) >= VALIDATOR_SIZE)
        value = header(attempt, "Last-Modified");
    return strlen(value) < VALIDATOR_SIZE && !hs_str_starts(value, "W/") ? value : "";
}

/* True if a 206 response continues the part file. It may start at another offset, or belong to a
 * newer version of the file. A known hash detects the latter at the end; without one, only the
 * validator does. */
static bool continues_part(const struct attempt *attempt)
{
    const char *range = header(attempt, "Content-Range"); /* "bytes 100-199/200" */
    char *end;
    if (strncasecmp(range, "bytes ", 6) != 0 || range[6] < '0' || range[6] > '9')
        return false;
    return strtoull(range + 6, &end, 10) == attempt->start && *end == '-' &&
           (attempt->job->sha256 || strcmp(validator_of(attempt), attempt->known_validator) == 0);
}

#define STOP(attempt, code, ...) ((attempt)->r = hs_error_set(&(attempt)->error, code, __VA_ARGS__))

/* Checks the response when its first body bytes arrive: HTTP code, range, validator and length. */
static int begin_body(struct attempt *attempt)
{
    const struct hs_download *job = attempt->job;
    char from[FROM_MAX];
    long code = 0;
    curl_off_t length = -1;
    curl_easy_getinfo(attempt->curl, CURLINFO_RESPONSE_CODE, &code);
    curl_easy_getinfo(attempt->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    attempt->begun = true;
    if (code != 200 && code != 206)
        return STOP(attempt, HS_EIO, "the server responded with status %ld", code);
    if (code == 206 && attempt->start == 0)
        return STOP(attempt, HS_EIO, "the server sent a part of the file without a range request");
    if (code == 206 && !continues_part(attempt)) {
        attempt->restart = true;
        return STOP(attempt, HS_EIO, "the server cannot resume the download");
    }
    bool anew = code != 206;
    if (anew) {
        /* The part file belongs to another download. Delete its origin first: bytes without a
         * recorded origin are never resumed, bytes with a wrong origin could be. */
        unlink(attempt->from);
        if (ftruncate(attempt->fd, 0) < 0 || lseek(attempt->fd, 0, SEEK_SET) < 0)
            return STOP(attempt, HS_EIO, "%s", strerror(errno));
        attempt->start = attempt->offset = 0;
    }
    if (length < 0 && !job->sha256)
        return STOP(attempt, HS_EIO, "the server did not send the length of the file, and no checksum is known");
    if (length == 0 && anew)
        return STOP(attempt, HS_EIO, "the server sent an empty file");
    if (length > 0 && (uint64_t) length > job->max_bytes - attempt->offset)
        return STOP(attempt, HS_ETOOLARGE, "the file is too large: the server announced more bytes than allowed");
    /* Two lines: the URL, and the validator of the response. */
    if (anew && hs_str_format(from, sizeof(from), "%s\n%s\n", job->url, validator_of(attempt)))
        hs_file_write_atomic(attempt->from, from, strlen(from), 0644, NULL);
    return 0;
}

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
    struct attempt *attempt = arg;
    size_t len = size * count;
    if (!attempt->begun && begin_body(attempt) < 0)
        return 0;
    if (len > attempt->job->max_bytes - attempt->offset) {
        STOP(attempt, HS_ETOOLARGE, "the file is too large: the server sent more bytes than allowed");
        return 0;
    }
    if (hs_file_write_all(attempt->fd, data, len) < 0) {
        STOP(attempt, HS_EIO, "%s", errno == ENOSPC ? "the disk is full" : strerror(errno));
        return 0;
    }
    attempt->offset += len;
    attempt->pace->received += len;
    return len;
}

static bool is_too_slow(const struct attempt *attempt)
{
    const struct pace *pace = attempt->pace;
    const struct hs_fetch_options *options = attempt->job->options;
    int least_s = options->stall_s > DEFAULT_SLOW_S ? options->stall_s : DEFAULT_SLOW_S;
    int64_t elapsed_s = (hs_clock_now_ns() - pace->begun_ns) / HS_NS_PER_S;
    return elapsed_s >= (options->slow_s > 0 ? options->slow_s : least_s) &&
           pace->received / AVERAGE_RATE < (uint64_t) elapsed_s;
}

static int on_progress(void *arg, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up_now)
{
    struct attempt *attempt = arg;
    const struct hs_fetch_options *options = attempt->job->options;
    (void) up_total;
    (void) up_now;
    if (options->progress && attempt->begun && now > 0)
        options->progress(options->arg, hs_path_base(attempt->job->url), attempt->start + (uint64_t) now,
                          total > 0 ? attempt->start + (uint64_t) total : 0);
    attempt->slow = is_too_slow(attempt);
    return attempt->slow || is_cancelled(attempt->job) ? 1 : 0;
}

static void init_curl(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

static const char *protocols(const struct hs_download *job, bool redirect)
{
    bool plain = hs_str_starts(job->url, "http://");
    return plain && (job->mirror || !redirect) ? "http,https" : "https";
}

static bool set_options(struct attempt *attempt, char error_text[CURL_ERROR_SIZE], struct curl_slist *headers)
{
    CURL *curl = attempt->curl;
    const struct hs_download *job = attempt->job;
    const char *authorities = getenv("SSL_CERT_FILE");
    int connect_s = job->options->connect_s, stall_s = job->options->stall_s;
    char range[40];
    bool fine = curl_easy_setopt(curl, CURLOPT_URL, job->url) == CURLE_OK &&
                curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, protocols(job, false)) == CURLE_OK &&
                curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, protocols(job, true)) == CURLE_OK;
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error_text);
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(curl, CURLOPT_MAXREDIRS, (long) MAX_REDIRECTS);
    curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "hailo-services");
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, connect_s > 0 ? (long) connect_s : DEFAULT_CONNECT_S);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, (long) STALL_RATE);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, stall_s > 0 ? (long) stall_s : DEFAULT_STALL_S);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, attempt);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, attempt);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    if (job->ca_file || (authorities && authorities[0]))
        curl_easy_setopt(curl, CURLOPT_CAINFO, job->ca_file ? job->ca_file : authorities);
    if (job->proxy)
        fine = fine && curl_easy_setopt(curl, CURLOPT_PROXY, job->proxy) == CURLE_OK;
    if (job->no_proxy)
        curl_easy_setopt(curl, CURLOPT_NOPROXY, job->no_proxy);
    /* Not CURLOPT_RESUME_FROM: that fails if the server sends the whole file, which is acceptable
     * here. */
    if (attempt->start > 0 && hs_str_format(range, sizeof(range), "%llu-", (unsigned long long) attempt->start))
        fine = fine && curl_easy_setopt(curl, CURLOPT_RANGE, range) == CURLE_OK;
    return fine;
}

/* Maps libcurl's result to an HS_E… code. If the server cannot add to the part file (416), the file may
 * be complete; the hash decides. */
static int check_transfer(struct attempt *attempt, CURLcode code, const char *error_text, struct hs_error *err)
{
    long http_status = 0;
    curl_easy_getinfo(attempt->curl, CURLINFO_RESPONSE_CODE, &http_status);
    /* A response without a body has not been checked yet. */
    if (code == CURLE_OK && !attempt->begun)
        begin_body(attempt);
    if (attempt->r < 0) {
        if (err)
            *err = attempt->error;
        return attempt->r;
    }
    if (is_cancelled(attempt->job))
        return hs_error_set(err, HS_ECANCELED, "cancelled");
    if (http_status == 416 && attempt->start > 0) {
        attempt->restart = !attempt->job->sha256;
        return attempt->restart ? hs_error_set(err, HS_EIO, "the server cannot resume the download") : 0;
    }
    if (code == CURLE_OK)
        return 0;
    if (code == CURLE_HTTP_RETURNED_ERROR)
        return hs_error_set(err, http_status == 404 ? HS_ENOTFOUND : HS_EIO, "the server responded with status %ld",
                            http_status);
    if (attempt->slow)
        return hs_error_set(err, HS_EIO, "the server is too slow: %llu KiB arrived in %lld s",
                            (unsigned long long) attempt->pace->received >> 10,
                            (long long) ((hs_clock_now_ns() - attempt->pace->begun_ns) / HS_NS_PER_S));
    if (code == CURLE_OPERATION_TIMEDOUT) {
        attempt->stalled = true;
        return hs_error_set(err, HS_EIO, "the server stalled: less than 1 KiB/s for too long");
    }
    if (code == CURLE_UNSUPPORTED_PROTOCOL)
        return hs_error_set(err, HS_EIO, "the address or a redirect does not use https, which is required");
    return hs_error_set(err, HS_EIO, "the download failed" HS_DETAIL "%s",
                        error_text[0] ? error_text : curl_easy_strerror(code));
}

static bool add_header(struct curl_slist **headers, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*headers, line);
    if (longer)
        *headers = longer;
    return longer;
}

static int request(struct attempt *attempt, struct hs_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    char error_text[CURL_ERROR_SIZE] = "", line[VALIDATOR_SIZE + 20];
    struct curl_slist *headers = NULL;
    pthread_once(&once, init_curl);
    attempt->curl = curl_easy_init();
    bool ready = attempt->curl, ranged = attempt->start > 0 && attempt->known_validator[0];
    if (ranged && hs_str_format(line, sizeof(line), "If-Range: %s", attempt->known_validator))
        ready = ready && add_header(&headers, line);
    if (attempt->job->authorization)
        ready = ready && add_header(&headers, attempt->job->authorization);
    int r = ready && set_options(attempt, error_text, headers)
                ? check_transfer(attempt, curl_easy_perform(attempt->curl), error_text, err)
                : hs_error_set(err, HS_ENOMEM, "out of memory");
    curl_slist_free_all(headers);
    curl_easy_cleanup(attempt->curl);
    return r;
}

static int try_once(struct attempt *attempt, struct hs_error *err)
{
    const char *part = attempt->job->part;
    attempt->start = attempt->offset = resumable(attempt->job, attempt->from, attempt->known_validator);
    /* Not truncated: bytes from another source stay until this one delivers data. */
    attempt->fd = open(part, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    bool written = attempt->fd >= 0 && lseek(attempt->fd, (off_t) attempt->start, SEEK_SET) >= 0;
    int r = written ? request(attempt, err) : HS_EIO;
    if (!written || (r == 0 && fsync(attempt->fd) < 0))
        r = hs_error_set(err, HS_EIO, "cannot write %s: %s", part, strerror(errno));
    if (attempt->fd >= 0)
        close(attempt->fd);
    return r;
}

int hs_download(const struct hs_download *job, char ret_hex[65], struct hs_error *err)
{
    struct stat st;
    char found[65], from[PATH_MAX];
    bool restarted = false;
    struct pace pace = { .begun_ns = hs_clock_now_ns() };
    if (!hs_str_format(from, sizeof(from), "%s.from", job->part))
        return hs_error_set(err, HS_EINVAL, "the path %s is too long", job->part);
    for (int attempts = 0;; attempts++) {
        struct attempt attempt = { .job = job, .pace = &pace, .from = from };
        int r = is_cancelled(job) ? hs_error_set(err, HS_ECANCELED, "cancelled") : try_once(&attempt, err);
        if (r == 0)
            r = hs_file_sha256(job->part, found, err);
        if (r == 0 && job->sha256 && strcmp(job->sha256, found) != 0)
            r = hs_error_set(err, HS_EMODEL, "the downloaded file has the SHA-256 %s instead of %s", found,
                             job->sha256);
        if (r == 0) {
            hs_str_copy(ret_hex, 65, found);
            return 0;
        }
        bool wrong = r == HS_EMODEL || r == HS_ETOOLARGE, again = false;
        if (!restarted && (attempt.restart || (wrong && attempt.start > 0)))
            restarted = again = true;
        else if (r == HS_EIO && !attempt.restart && attempts < MAX_ATTEMPTS)
            again = attempt.r == 0 && attempt.offset > attempt.start && !attempt.stalled && !attempt.slow;
        /* A source that delivered nothing leaves no file. */
        if (wrong || attempt.restart || (!again && stat(job->part, &st) == 0 && st.st_size == 0)) {
            unlink(job->part);
            unlink(from);
        }
        if (!again)
            return r;
    }
}
