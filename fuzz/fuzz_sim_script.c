/* The scripted device's script: as a text and as a file it says the same, within bounds. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends/sim/script.h"
#include "scratch.h"
#include "text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(const struct hs_sim_script *script)
{
    if (script->slots < 1 || script->slots > HS_MODEL_MAX_SLOTS || script->output_count < 0 ||
        script->output_count > HS_MODEL_MAX_OUTPUTS || script->latency_ms < 0 || script->load_ms < 0 ||
        script->fail_at < 0 || script->hang_at < 0)
        abort();
    for (int i = 0; i < script->output_count; i++) {
        const struct hs_tensor_desc *d = &script->outputs[i];
        if (d->h < 1 || d->w < 1 || d->c < 1 || d->size_bytes > (size_t) 256 << 20 ||
            d->size_bytes != (size_t) d->h * (size_t) d->w * (size_t) d->c * hs_dtype_size(d->dtype))
            abort();
    }
}

static void check_same(const struct hs_sim_script *a, const struct hs_sim_script *b)
{
    if (a->latency_ms != b->latency_ms || a->load_ms != b->load_ms || a->slots != b->slots || a->absent != b->absent ||
        a->hang != b->hang || a->fail_open != b->fail_open || a->fail_load != b->fail_load ||
        a->fail_submit != b->fail_submit || a->fail_wait != b->fail_wait || a->fail_at != b->fail_at ||
        a->hang_at != b->hang_at || a->output_count != b->output_count)
        abort();
    for (int i = 0; i < a->output_count; i++)
        if (strcmp(a->outputs[i].name, b->outputs[i].name) != 0 || a->outputs[i].size_bytes != b->outputs[i].size_bytes)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *text = hs_fuzz_text(data, len), path[1 + HS_FUZZ_PATH_SIZE] = "@";
    struct hs_sim_script script, same;
    struct hs_error err;
    /* "@FILE" would open what the fuzzer thinks of. */
    if (!text || text[0] == '@' || len > 60000) {
        free(text);
        return 0;
    }
    int r = hs_sim_script_parse(text, &script, &err);
    if (r == 0)
        check(&script);
    else if (err.code != r || !err.message[0])
        abort();
    int fd = hs_fuzz_memory_file(text, strlen(text), path + 1);
    if (hs_sim_script_parse(path, &same, NULL) != r)
        abort();
    if (r == 0)
        check_same(&script, &same);
    close(fd);
    free(text);
    return 0;
}
