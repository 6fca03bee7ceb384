#include "config/problems.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void hs_problems_finish(struct hs_problems *problems)
{
    for (size_t i = 0; i < problems->count; i++)
        free(problems->items[i].text);
    free(problems->items);
    *problems = (struct hs_problems) { 0 };
}

int hs_problems_add(struct hs_problems *problems, enum hs_problem_level level, int line, const char *format, ...)
{
    problems->errors += level == HS_PROBLEM_ERROR;
    problems->warnings += level == HS_PROBLEM_WARNING;
    if (problems->count == HS_PROBLEMS_MAX) {
        problems->dropped++;
        return 0;
    }
    if (!problems->items)
        problems->items = calloc(HS_PROBLEMS_MAX, sizeof(*problems->items));
    struct hs_problem *problem = problems->items ? &problems->items[problems->count] : NULL;
    va_list args;
    va_start(args, format);
    if (!problem || vasprintf(&problem->text, format, args) < 0) {
        problems->no_memory = true;
        problem = NULL;
    }
    va_end(args);
    if (!problem)
        return HS_ENOMEM;
    problem->level = level;
    problem->line = line;
    problems->count++;
    return 0;
}
