/* One scan by several threads. */
#ifndef HS_GALLERY_SEARCH_TEAM_H
#define HS_GALLERY_SEARCH_TEAM_H

#include "gallery/search_scan.h"

/* Galleries up to this many rows are scanned by the caller's thread alone. */
enum { HS_SEARCH_ALONE_ROWS = 50000 };

struct hs_search_team;

/* At most `threads` scan for one query, its own included; the others start with the first large scan. NULL without
 * memory. */
struct hs_search_team *hs_search_team_create(int threads);
void hs_search_team_destroy(struct hs_search_team *team); /* NULL allowed */

/* The rows that may be among the best, where `best` says how many are wanted, and of what. Any thread; the rows do not
 * change meanwhile. Caller frees *ret_findings with free(). HS_ENOMEM. */
int hs_search_team_scan(struct hs_search_team *team, const struct hs_search_rows *rows,
                        const struct hs_search_query *query, const struct hs_search_best *best,
                        struct hs_search_finding **ret_findings, size_t *ret_count);

#endif
