/* Counters that threads share: pieces of work are taken one by one, and a stage is over when all of
 * its pieces are done. */
#ifndef NN_COUNTING_H
#define NN_COUNTING_H

#include <sched.h>
#include <stddef.h>

typedef struct nn_count {
    ptrdiff_t taken, done;
} nn_count;

static inline ptrdiff_t nn_take(ptrdiff_t *counter)
{
    return __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

/* What was written before is seen by whoever has waited. */
static inline void nn_finish(ptrdiff_t *counter) { __atomic_fetch_add(counter, 1, __ATOMIC_RELEASE); }

/* Until all are done. Others are at work on the last ones: spin for the time of a short piece, then
 * leave the processor to them. */
static inline void nn_wait(ptrdiff_t *counter, ptrdiff_t all)
{
    for (int spins = 0; __atomic_load_n(counter, __ATOMIC_ACQUIRE) < all; spins++) {
        if (spins > 2000)
            sched_yield();
#if defined(__x86_64__)
        else
            __builtin_ia32_pause();
#endif
    }
}

#endif
