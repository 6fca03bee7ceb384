#include "backends/openvino/status.h"

#include <ctype.h>
#include <string.h>

#include "base/str.h"

/* OpenVINO's messages have several lines: places in its source, then the reason. The places ("Exception from
 * src/…:123:" and "Check '…' failed at …:") tell our users nothing, so the last line that holds text is taken. */
static void last_line(char *dst, size_t size, const char *text)
{
    size_t end = strlen(text);
    while (end > 0 && isspace((unsigned char) text[end - 1]))
        end--;
    size_t start = end;
    while (start > 0 && text[start - 1] != '\n')
        start--;
    while (start < end && (isspace((unsigned char) text[start]) || text[start] == '['))
        start++;
    hs_str_copy_n(dst, size, text + start, end - start);
}

int hs_openvino_check(ov_status_e status, int code, struct hs_error *err, const char *doing)
{
    if (status == OK)
        return 0;
    char reason[300] = "";
    const char *message = ov_get_last_err_msg();
    if (message)
        last_line(reason, sizeof(reason), message);
    ov_free(message);
    return hs_error_set(err, code, "%s: %s (%s)", doing, reason[0] ? reason : "no reason given",
                        ov_get_error_info(status));
}
