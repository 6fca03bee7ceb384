/* Small archives for tests, created with libarchive. */
#ifndef HS_TESTS_ARCHIVES_H
#define HS_TESTS_ARCHIVES_H

#include <archive.h>
#include <archive_entry.h>
#include <stdbool.h>
#include <string.h>

struct archive_member {
    const char *name;
    const char *text;
    const char *link; /* NULL: a regular file; else a symbolic link to this */
};

/* Creates a zip or, if `zip` is false, a gzipped tar. */
static inline void archive_make(const char *path, bool zip, const struct archive_member *members, size_t count)
{
    struct archive *out = archive_write_new();
    assert_non_null(out);
    if (zip) {
        archive_write_set_format_zip(out);
    } else {
        archive_write_set_format_pax_restricted(out);
        archive_write_add_filter_gzip(out);
    }
    assert_int_equal(archive_write_open_filename(out, path), ARCHIVE_OK);
    for (size_t i = 0; i < count; i++) {
        struct archive_entry *entry = archive_entry_new();
        archive_entry_set_pathname(entry, members[i].name);
        archive_entry_set_perm(entry, 0644);
        archive_entry_set_filetype(entry, members[i].link ? AE_IFLNK : AE_IFREG);
        if (members[i].link)
            archive_entry_set_symlink(entry, members[i].link);
        else
            archive_entry_set_size(entry, (la_int64_t) strlen(members[i].text));
        assert_int_equal(archive_write_header(out, entry), ARCHIVE_OK);
        if (!members[i].link)
            archive_write_data(out, members[i].text, strlen(members[i].text));
        archive_entry_free(entry);
    }
    assert_int_equal(archive_write_close(out), ARCHIVE_OK);
    archive_write_free(out);
}

#endif
