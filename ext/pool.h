/* Threads that help: for the time of one call a caller shares its work with others (pool.c), and
 * counters by which they share it.
 *
 * The caller works too, and waits for none that has not begun. A helper that has no more to do
 * stays awake for 50 microseconds, because calls often follow each other closely, then sleeps. No
 * thread exists before there is work for it, and none of them ever touches Python.
 */
#ifndef NN_POOL_H
#define NN_POOL_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* nanosleep, though the language is plain C11 */
#endif
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* thread: 0 is the caller, 1 .. helpers are the others, each number given once. */
typedef void nn_work(void *job, int thread);

/* Run work(job, 0) here and work(job, 1), ... on up to `helpers` other threads; return when all
 * that have begun have ended. Only those who are awake help, unless it is urgent or calls follow
 * closely. The pool helps one caller at a time: another one meanwhile is on its own. */
void nn_share(nn_work *work, void *job, int helpers, int urgent);

/* To be called once, before nn_share: a forked child forgets its parent's threads. 0: done. */
int nn_watch_forks(void);

/* How many threads the pool has. */
int nn_pool_threads(void);

/* Pieces of work are taken one by one; a stage is over when all of its pieces are done. */
typedef struct nn_count {
    ptrdiff_t taken, done;
} nn_count;

static inline ptrdiff_t nn_take(ptrdiff_t *counter)
{
    return __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

/* Or by name, where it matters whose cache holds what a piece needs. */
static inline int nn_claim(unsigned char *claimed)
{
    return !__atomic_exchange_n(claimed, 1, __ATOMIC_RELAXED);
}

/* What was written before is seen by whoever has waited. */
static inline void nn_finish(ptrdiff_t *counter)
{
    __atomic_fetch_add(counter, 1, __ATOMIC_RELEASE);
}

static inline void nn_pause(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Nanoseconds, of a clock that does not jump. */
static inline int64_t nn_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Until all are done. Others are at work on the last ones: spin for the time of a short piece, then
 * leave the processor to them, to those of lower priority too. Returns the nanoseconds that it took
 * from then on: many, where who has a piece is kept from it by other work of the machine. */
static inline int64_t nn_wait(ptrdiff_t *counter, ptrdiff_t all)
{
    const struct timespec moment = {0, 50000};
    int64_t began = 0;
    for (int spins = 0; __atomic_load_n(counter, __ATOMIC_ACQUIRE) < all;) {
        if (spins == 2000)
            began = nn_now();
        if (spins < 3000)
            spins++;
        if (spins <= 2000)
            nn_pause();
        else if (spins < 3000)
            sched_yield();
        else
            nanosleep(&moment, NULL);
    }
    return began ? nn_now() - began : 0;
}

#endif
