#include "cli/table.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/terminal.h"

enum { COLUMNS_MAX = 16 };

void hs_table_init(struct hs_table *table, size_t columns, unsigned right)
{
    *table = (struct hs_table) { .columns = columns < COLUMNS_MAX ? columns : COLUMNS_MAX, .right = right };
}

void hs_table_finish(struct hs_table *table)
{
    for (size_t i = 0; i < table->count; i++)
        free(table->cells[i]);
    free(table->cells);
    *table = (struct hs_table) { .columns = table->columns, .right = table->right };
}

void hs_table_add(struct hs_table *table, const char *format, ...)
{
    char *text = NULL, *cell = NULL;
    va_list args;
    va_start(args, format);
    int len = vasprintf(&text, format, args);
    va_end(args);
    if (len >= 0) {
        cell = hs_terminal_copy(text);
        free(text);
    }
    if (!cell || !HS_ARRAY_RESERVE(table->cells, table->capacity, table->count + 1)) {
        table->no_memory = true;
        free(cell);
        return;
    }
    table->cells[table->count++] = cell;
}

static int width_of(const char *text)
{
    return hs_terminal_width(text, strlen(text));
}

int hs_table_print(const struct hs_table *table, struct hs_error *err)
{
    int widths[COLUMNS_MAX] = { 0 };
    size_t columns = table->columns, cells = table->count - table->count % columns;
    if (table->no_memory)
        return hs_error_set(err, HS_ENOMEM, "no memory for the table");
    for (size_t i = 0; i < cells; i++) {
        int width = width_of(table->cells[i]);
        if (width > widths[i % columns])
            widths[i % columns] = width;
    }
    for (size_t i = 0; i < cells; i++) {
        size_t column = i % columns;
        bool last = column + 1 == columns;
        int space = widths[column] - width_of(table->cells[i]);
        if (table->right >> column & 1)
            printf("%*s%s", space, "", table->cells[i]);
        else
            printf("%s%*s", table->cells[i], last ? 0 : space, "");
        fputs(last ? "\n" : "  ", stdout);
    }
    return 0;
}
