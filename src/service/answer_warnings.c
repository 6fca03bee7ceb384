#include "service/answer_warnings.h"

json_t *hs_answer_warn(json_t *answer, const char *field, const char *text)
{
    if (!answer || !text[0])
        return answer;
    json_t *warnings = json_object_get(answer, "warnings");
    if (!warnings && json_object_set_new(answer, "warnings", json_array()) == 0)
        warnings = json_object_get(answer, "warnings");
    if (json_array_append_new(warnings, json_sprintf("%s: %s", field, text)) == 0)
        return answer;
    json_decref(answer);
    return NULL;
}
