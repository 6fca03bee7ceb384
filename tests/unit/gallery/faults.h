/* Makes the Nth allocation, or the Nth write, sync or truncation of a database, fail, once. Allocations are those of
 * SQLite and of our own code (linked with --wrap); the files are those opened through the VFS named FAULTY_VFS. */
#ifndef HS_TESTS_GALLERY_FAULTS_H
#define HS_TESTS_GALLERY_FAULTS_H

#include <stdbool.h>

#define FAULTY_VFS "faulty"

enum fault { FAULT_ALLOCATION, FAULT_DISK, FAULT_LOCK }; /* the last is flock */

void faults_install(void); /* before any use of SQLite */
void faults_arm(enum fault fault, long nth);
bool faults_disarm(void); /* whether it came to the failure */

#endif
