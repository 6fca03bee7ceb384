#include "../unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/pool.h"

/* A gate that jobs wait at, so that the queue's fill level is known. */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool open;
    int inside;
    atomic_int done;
};

static void pass(void *arg)
{
    struct gate *gate = arg;
    pthread_mutex_lock(&gate->lock);
    gate->inside++;
    pthread_cond_broadcast(&gate->changed);
    while (!gate->open)
        pthread_cond_wait(&gate->changed, &gate->lock);
    pthread_mutex_unlock(&gate->lock);
    atomic_fetch_add(&gate->done, 1);
}

static void a_full_queue_refuses_and_destroy_finishes_the_rest(void **state)
{
    (void) state;
    struct gate gate = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };
    struct hs_pool *pool;
    assert_int_equal(hs_pool_create("test", 2, 3, &pool, NULL), 0);
    assert_int_equal(hs_pool_submit(pool, pass, &gate), 0);
    assert_int_equal(hs_pool_submit(pool, pass, &gate), 0);
    pthread_mutex_lock(&gate.lock);
    while (gate.inside < 2)
        pthread_cond_wait(&gate.changed, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
    for (int i = 0; i < 3; i++)
        assert_int_equal(hs_pool_submit(pool, pass, &gate), 0);
    assert_int_equal(hs_pool_waiting(pool), 3);
    assert_int_equal(hs_pool_submit(pool, pass, &gate), HS_EBUSY);
    pthread_mutex_lock(&gate.lock);
    gate.open = true;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
    hs_pool_destroy(pool);
    assert_int_equal(atomic_load(&gate.done), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_queue_refuses_and_destroy_finishes_the_rest),
    };
    return HS_RUN_TESTS(tests);
}
