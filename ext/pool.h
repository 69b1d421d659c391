/* Helper threads that share the work of one call with its caller (pool.c), and the counters by
 * which they divide that work.
 *
 * The caller works too, and never waits for a helper that has not joined. A helper that has nothing
 * left to do stays awake for 50 microseconds, because calls often follow each other closely; then
 * it sleeps. No thread exists before there is work for it, and no helper ever touches Python.
 *
 * Two words have one meaning in the whole project. A *job* is what one call hands to the pool: the
 * data that all of its threads work on. *Work* is the function that each of these threads runs on
 * the job.
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

/* The most threads that one call may use, the calling one included. Larger numbers are refused
 * where they are set (threads.pxi), so that a mistyped number cannot start a flood of threads. */
enum { NN_MOST_THREADS = 1024 };

/* The work of one thread on a job. The caller has thread number 0, the helpers 1 .. helpers; no
 * number is given twice within a job. */
typedef void nn_work(void *job, int thread);

/* Run work(job, 0) here, and work(job, 1), ... on up to `helpers` other threads. Return when every
 * thread that has joined the job has finished. Sleeping helpers are woken, and missing ones are
 * started, only if the job is urgent or if calls follow each other closely. The pool serves one
 * caller at a time; a second caller at the same time runs its job alone. */
void nn_share(nn_work *work, void *job, int helpers, int urgent);

/* Call this once, before nn_share: it makes a forked child forget its parent's helpers. Returns 0
 * on success. */
int nn_watch_forks(void);

/* How many helpers have been started. */
int nn_pool_threads(void);

/* A job has one or more stages, and a stage is divided into pieces. Threads take the pieces one by
 * one, and the stage is over when all of its pieces are done. */
typedef struct nn_count {
    ptrdiff_t taken, done;
} nn_count;

/* Take the next piece; return its number. A number beyond the last one means that none is left. */
static inline ptrdiff_t nn_take(ptrdiff_t *counter)
{
    return __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

/* Take one particular piece, where it matters whose cache holds what the piece needs. Returns
 * whether the caller is the first to ask for it. */
static inline int nn_claim(unsigned char *claimed)
{
    return !__atomic_exchange_n(claimed, 1, __ATOMIC_RELAXED);
}

/* Count a piece as done. A thread that then returns from nn_wait sees all that was written. */
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

/* The time in nanoseconds, from a clock that does not jump. */
static inline int64_t nn_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Wait until all pieces are done. Other threads are still at work on the last ones. Spin for about
 * as long as a short piece takes; after that, leave the CPU to other threads, also to those of
 * lower priority. Returns the nanoseconds spent after spinning. They are many if other programs
 * keep the thread that has the last piece from running. */
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
