/* One scan by several threads. */
#ifndef HS_GALLERY_PARALLEL_SCAN_H
#define HS_GALLERY_PARALLEL_SCAN_H

#include "gallery/search_scan.h"

/* Galleries up to this many rows are scanned by the caller's thread alone. */
enum { HS_SEARCH_ALONE_ROWS = 50000 };

struct hs_parallel_scan;

/* At most `threads` scan for one query, its own included; the others start with the first large scan. NULL without
 * memory. */
struct hs_parallel_scan *hs_parallel_scan_create(int threads);
void hs_parallel_scan_destroy(struct hs_parallel_scan *team); /* NULL allowed */

/* The rows that may be among the best, where `best` says how many are wanted, and of what. Any thread; the rows do not
 * change meanwhile. Caller frees *ret_findings with free(). HS_ENOMEM. */
int hs_parallel_scan_run(struct hs_parallel_scan *team, const struct hs_search_rows *rows,
                         const struct hs_search_query *query, const struct hs_top_k *best,
                         struct hs_search_finding **ret_findings, size_t *ret_count);

#endif
