/* The pool: pool.h says what it does.
 *
 * All that caller and helpers decide together is one word, `state`: how many places of the present
 * job are free, and how many helpers are at work on it. Who takes a place by compare-and-swap may
 * read the job, which stays until the last helper has left. Lock and conditions serve sleeping and
 * waking only.
 */
#define _GNU_SOURCE /* of pthread.h: names and processors of threads */
#include "pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

/* Waking a thread takes 10 to 30 microseconds, and its caller 10 of them: a helper that waits as long
 * for the next job never wastes more than twice what sleeping would have. */
enum { AWAKE_NS = 50000, STACK_BYTES = 1 << 20, FEW = 8 };

#define PLACE (UINT64_C(1) << 32)
#define AT_WORK (PLACE - 1)

static struct pool {
    pthread_mutex_t lock;
    pthread_cond_t wake;  /* helpers: there is a job */
    pthread_cond_t ended; /* the caller: its helpers have left */
    uint64_t state;       /* places free * PLACE + helpers at work */
    nn_work *work;
    void *job;
    int places;
    int taken;    /* by a caller */
    int waiting;  /* the caller, for `ended` */
    int callers;  /* in nn_share */
    int threads, sleepers;
    int64_t last;  /* when a call ended, */
    int64_t began; /* and when the calls began that follow each other closely, in nanoseconds */
    pthread_t few[FEW]; /* the first threads */
#if defined(__linux__)
    cpu_set_t elsewhere; /* where these may run */
#endif
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER,
          .wake = PTHREAD_COND_INITIALIZER,
          .ended = PTHREAD_COND_INITIALIZER};

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Wait until whoever holds the lock is asleep, or has seen what was written before. */
static void pass_lock(void)
{
    pthread_mutex_lock(&pool.lock);
    pthread_mutex_unlock(&pool.lock);
}

/* Take a place in the present job, if one is free, and do its work; whether there was one. */
static int help(void)
{
    uint64_t found = __atomic_load_n(&pool.state, __ATOMIC_ACQUIRE);
    while (found >= PLACE) {
        if (!__atomic_compare_exchange_n(&pool.state, &found, found - PLACE + 1, 0, __ATOMIC_ACQ_REL,
                                         __ATOMIC_ACQUIRE))
            continue;
        pool.work(pool.job, pool.places - (int)(found / PLACE) + 1);
        if (!__atomic_sub_fetch(&pool.state, 1, __ATOMIC_SEQ_CST)
            && __atomic_load_n(&pool.waiting, __ATOMIC_SEQ_CST)) {
            pass_lock();
            pthread_cond_signal(&pool.ended);
        }
        return 1;
    }
    return 0;
}

static void sleep_until_called(void)
{
    pthread_mutex_lock(&pool.lock);
    __atomic_add_fetch(&pool.sleepers, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&pool.state, __ATOMIC_SEQ_CST) < PLACE)
        pthread_cond_wait(&pool.wake, &pool.lock);
    __atomic_sub_fetch(&pool.sleepers, 1, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&pool.lock);
}

static void *live(void *unused)
{
#if defined(__linux__)
    pthread_setname_np(pthread_self(), "nncore");
#endif
    int64_t since = now();
    for (;;) {
        if (help()) {
            since = now();
            continue;
        }
        for (int i = 0; i < 32; i++)
            nn_pause();
        if (now() - since > AWAKE_NS) {
            sleep_until_called();
            since = now();
        }
    }
    return unused;
}

/* In a forked child the threads do not exist, nor does whoever held the lock. */
static void forget(void)
{
    const struct pool none = {.lock = PTHREAD_MUTEX_INITIALIZER,
                              .wake = PTHREAD_COND_INITIALIZER,
                              .ended = PTHREAD_COND_INITIALIZER};
    memcpy(&pool, &none, sizeof pool);
}

/* Have the helpers run on other processors than the caller's. With few processors Linux does not
 * look for an idle one when it wakes a thread: it puts it behind, or before, the caller on the same
 * one, where they stay for some milliseconds. The limits of the process hold as before. */
static void move_elsewhere(int threads)
{
#if defined(__linux__)
    cpu_set_t may;
    const int here = sched_getcpu();
    if (threads > FEW || here < 0 || sched_getaffinity(0, sizeof may, &may))
        return;
    if (CPU_COUNT(&may) > 1)
        CPU_CLR(here, &may);
    if (CPU_EQUAL(&may, &pool.elsewhere))
        return;
    pool.elsewhere = may;
    for (int i = 0; i < threads; i++)
        pthread_setaffinity_np(pool.few[i], sizeof may, &may);
#else
    (void)threads;
#endif
}

/* As many threads as there are to be, or can be. */
static void start(int threads)
{
    static int forks_are_watched; /* inherited by a child, as its handlers are */
    pthread_attr_t attributes;
    sigset_t all, before;
    pthread_t thread;
    if (!forks_are_watched && pthread_atfork(NULL, NULL, forget))
        return;
    forks_are_watched = 1;
    if (pthread_attr_init(&attributes))
        return;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    sigfillset(&all); /* signals are for the threads of the program */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (pool.threads < threads && !pthread_create(&thread, &attributes, live, NULL)) {
        if (pool.threads < FEW)
            pool.few[pool.threads] = thread;
        __atomic_add_fetch(&pool.threads, 1, __ATOMIC_RELAXED);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
#if defined(__linux__)
    CPU_ZERO(&pool.elsewhere);
#endif
    move_elsewhere(pool.threads);
    pthread_attr_destroy(&attributes);
}

static void call_sleepers(int helpers)
{
    const int sleepers = __atomic_load_n(&pool.sleepers, __ATOMIC_SEQ_CST);
    int wanted = helpers - (pool.threads - sleepers);
    if (wanted <= 0 || !sleepers)
        return;
    move_elsewhere(pool.threads);
    pass_lock();
    if (wanted >= sleepers)
        pthread_cond_broadcast(&pool.wake);
    else
        while (wanted-- > 0)
            pthread_cond_signal(&pool.wake);
}

static void wait_for_helpers(void)
{
    /* From now on nobody begins. Who is awake and has not begun may be on this processor. */
    if (__atomic_fetch_and(&pool.state, AT_WORK, __ATOMIC_SEQ_CST) >= PLACE
        && __atomic_load_n(&pool.sleepers, __ATOMIC_RELAXED) < pool.threads)
        move_elsewhere(pool.threads);
    for (int spins = 0; spins < 2000; spins++, nn_pause())
        if (!__atomic_load_n(&pool.state, __ATOMIC_ACQUIRE))
            return;
    __atomic_store_n(&pool.waiting, 1, __ATOMIC_SEQ_CST);
    pthread_mutex_lock(&pool.lock);
    while (__atomic_load_n(&pool.state, __ATOMIC_SEQ_CST))
        pthread_cond_wait(&pool.ended, &pool.lock);
    pthread_mutex_unlock(&pool.lock);
    __atomic_store_n(&pool.waiting, 0, __ATOMIC_SEQ_CST);
}

void nn_share(nn_work *work, void *job, int helpers, int urgent)
{
    /* Each caller has a processor of its own already. */
    helpers -= __atomic_fetch_add(&pool.callers, 1, __ATOMIC_RELAXED);
    if (helpers > 0 && !__atomic_exchange_n(&pool.taken, 1, __ATOMIC_ACQUIRE)) {
        const int64_t here = now();
        if (here - __atomic_load_n(&pool.last, __ATOMIC_RELAXED) > AWAKE_NS)
            pool.began = here;
        const int call = urgent || here - pool.began > AWAKE_NS;
        if (call && pool.threads < helpers)
            start(helpers);
        pool.work = work;
        pool.job = job;
        pool.places = helpers;
        __atomic_store_n(&pool.state, (uint64_t)helpers * PLACE, __ATOMIC_SEQ_CST);
        if (call)
            call_sleepers(helpers);
        work(job, 0);
        wait_for_helpers();
        __atomic_store_n(&pool.taken, 0, __ATOMIC_RELEASE);
    } else {
        work(job, 0);
    }
    __atomic_store_n(&pool.last, now(), __ATOMIC_RELAXED);
    __atomic_sub_fetch(&pool.callers, 1, __ATOMIC_RELAXED);
}

int nn_pool_threads(void) { return __atomic_load_n(&pool.threads, __ATOMIC_RELAXED); }
