/* Extracts the member "m" from an archive: it is complete and within the limit, or no file is left behind. */
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "models/file_install.h"
#include "scratch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { MEMBER_MAX = 100000 };

/* Returns the size of the extracted member, or SIZE_MAX. */
static size_t take(const char *archive, uint64_t max_bytes)
{
    const char *path = hs_fuzz_scratch("member");
    struct hs_error err;
    int r = hs_install_member(archive, "m", path, max_bytes, &err);
    if (r < 0) {
        if (err.code != r || !err.message[0] || hs_file_exists(path))
            abort();
        return SIZE_MAX;
    }
    uint8_t *content;
    size_t len;
    if (hs_file_read(path, (size_t) max_bytes, &content, &len, NULL) < 0)
        abort();
    free(content);
    unlink(path);
    return len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char path[HS_FUZZ_PATH_SIZE];
    int fd = hs_fuzz_memory_file(data, len, path);
    size_t size = take(path, MEMBER_MAX);
    /* The limit is exact to the byte. */
    if (size != SIZE_MAX && (take(path, size) != size || (size > 0 && take(path, size - 1) != SIZE_MAX)))
        abort();
    close(fd);
    return 0;
}
