#include "base/thread.h"

#include "hs/status.h"

void hs_thread_block_signals(sigset_t *ret_before)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, ret_before);
}

int hs_thread_start(pthread_t *ret_thread, const char *name, void *(*run)(void *arg), void *arg)
{
    pthread_t thread;
    sigset_t before;
    hs_thread_block_signals(&before);
    int failed = pthread_create(&thread, NULL, run, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed)
        return HS_ENOMEM;
    pthread_setname_np(thread, name);
    *ret_thread = thread;
    return 0;
}
