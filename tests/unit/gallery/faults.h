/* Makes the Nth allocation, or the Nth write, sync or truncation of a database file fail once.
 * Covers the allocations of SQLite and of our own code (linked with --wrap), and files opened
 * through the VFS named FAULTY_VFS. */
#ifndef HS_TESTS_GALLERY_FAULTS_H
#define HS_TESTS_GALLERY_FAULTS_H

#include <stdbool.h>

#define FAULTY_VFS "faulty"

enum fault { FAULT_ALLOCATION, FAULT_DISK, FAULT_LOCK }; /* FAULT_LOCK: flock */

void faults_install(void); /* call before any use of SQLite */
void faults_arm(enum fault fault, long nth);
bool faults_disarm(void); /* returns true if the failure occurred */

#endif
