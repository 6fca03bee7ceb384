/* Threads with all signals blocked, so that the main thread handles them. */
#ifndef HS_BASE_THREAD_H
#define HS_BASE_THREAD_H

#include <pthread.h>
#include <signal.h>

/* Starts run(arg) on a new thread with all signals blocked. `name` has at most 15 characters. HS_ENOMEM if the thread
 * cannot be created. */
int hs_thread_start(pthread_t *ret_thread, const char *name, void *(*run)(void *arg), void *arg);

/* Blocks all signals in the calling thread. Threads that a library then starts inherit the mask. The caller restores
 * *ret_before with pthread_sigmask(SIG_SETMASK, …). */
void hs_thread_block_signals(sigset_t *ret_before);

#endif
