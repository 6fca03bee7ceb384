/* A made-up root folder: what a machine shows in /dev, /sys and /proc. */
#ifndef HS_TESTS_MADE_UP_H
#define HS_TESTS_MADE_UP_H

enum { MADE_UP_PATH = 300 };

/* An empty one; the folder of the newest is `made_up_root`. */
extern char made_up_root[];
void made_up_begin(void);
void made_up_end(void);

/* A file below it, with its folders; a folder; a link. */
void made_up_file(const char *path, const char *text);
void made_up_folder(const char *path);
void made_up_link(const char *path, const char *target);

/* A Hailo-10H on the bus, with a link of that speed ("8.0 GT/s PCIe"). */
void made_up_board(const char *speed);

/* Below it, the whole path. */
const char *made_up_path(const char *path);

#endif
