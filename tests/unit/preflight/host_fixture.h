/* A temporary root folder with the files of /dev, /sys and /proc of a made-up machine. */
#ifndef HS_TESTS_HOST_FIXTURE_H
#define HS_TESTS_HOST_FIXTURE_H

enum { MADE_UP_PATH = 300 };

/* Creates an empty root folder. `host_fixture_root` is the path of the latest one. */
extern char host_fixture_root[];
void host_fixture_begin(void);
void host_fixture_end(void);

/* Create a file with its folders, a folder, and a link below the root. */
void host_fixture_file(const char *path, const char *text);
void host_fixture_folder(const char *path);
void host_fixture_link(const char *path, const char *target);

/* Adds a Hailo-10H to the PCI bus with the given link speed ("8.0 GT/s PCIe"). */
void host_fixture_board(const char *speed);

/* Returns the full path of a path below the root. */
const char *host_fixture_path(const char *path);

#endif
