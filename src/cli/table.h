/* A table on standard output: columns with two blanks between them, aligned by the width of their characters, the same
 * on a terminal and in a pipe. */
#ifndef HS_CLI_TABLE_H
#define HS_CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "hs/status.h"

struct hs_table {
    size_t columns;
    unsigned right; /* bit i: column i is aligned to the right */
    char **cells;   /* row by row */
    size_t count, capacity;
    bool no_memory;
};

/* `right`: bits of the columns that are aligned to the right. */
void hs_table_init(struct hs_table *table, size_t columns, unsigned right);
void hs_table_finish(struct hs_table *table);

/* Adds the next cell. Control characters are escaped (base/terminal.h). hs_table_print reports a failure. */
void hs_table_add(struct hs_table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Prints the complete rows. HS_ENOMEM: a cell is missing; nothing was printed. */
int hs_table_print(const struct hs_table *table, struct hs_error *err);

#endif
