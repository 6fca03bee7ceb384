/* A temporary root folder with the files of /dev, /sys and /proc of a made-up machine. */
#ifndef HS_TESTS_MADE_UP_H
#define HS_TESTS_MADE_UP_H

enum { MADE_UP_PATH = 300 };

/* Creates an empty root folder. `made_up_root` is the path of the latest one. */
extern char made_up_root[];
void made_up_begin(void);
void made_up_end(void);

/* Create a file with its folders, a folder, and a link below the root. */
void made_up_file(const char *path, const char *text);
void made_up_folder(const char *path);
void made_up_link(const char *path, const char *target);

/* Adds a Hailo-10H to the PCI bus with the given link speed ("8.0 GT/s PCIe"). */
void made_up_board(const char *speed);

/* Returns the full path of a path below the root. */
const char *made_up_path(const char *path);

#endif
