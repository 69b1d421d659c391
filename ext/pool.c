/* The pool of helper threads: pool.h says what it does.
 *
 * Caller and helpers agree through one word, `state`. It holds how many places of the present job
 * are free, and how many helpers are at work on it. A helper joins by taking a place with
 * compare-and-swap; it may then read the job, because the caller waits until the last helper has
 * left. The lock and the two conditions serve only to sleep and to wake.
 */
#define _GNU_SOURCE /* for the functions of pthread.h that set a thread's name and CPUs */
#include "pool.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>

/* Waking a thread takes 10 to 30 microseconds, of which the caller spends 10. A helper stays awake
 * somewhat longer than that, so that a loop which does a little between two calls finds it
 * awake. */
enum { AWAKE_NS = 50000 };
enum { RETRY_NS = 1000000000 }; /* after a failure to start a thread, do not try for so long */
enum { STACK_BYTES = 1 << 20 };
enum { FEW_CPUS = 8 }; /* up to so many, helpers are kept off the caller's CPU: place_helpers */

#define PLACE (UINT64_C(1) << 32)
#define AT_WORK (PLACE - 1)

static struct pool {
    pthread_mutex_t lock;
    pthread_cond_t wake;  /* helpers wait here for a job */
    pthread_cond_t ended; /* the caller waits here for its helpers to leave */
    uint64_t state;       /* free places * PLACE + helpers at work */
    nn_work *work;
    void *job;
    int places;          /* how many places the present job had at first */
    int in_use;          /* whether the pool serves a caller */
    int caller_waits;    /* whether this caller waits for `ended` */
    int callers;         /* how many threads are in nn_share */
    int threads;         /* how many helpers have been started */
    int sleepers;        /* how many of them sleep */
    int64_t last_end;    /* the time in nanoseconds when the last call ended */
    int64_t burst_began; /* when the first of those calls began that follow each other closely */
    int64_t refused;     /* when the system last refused to start a thread; 0 if never */
    pthread_t thread[NN_MOST_THREADS];
    int moves; /* how often place_helpers has moved the helpers */
#if defined(__linux__)
    cpu_set_t cpus; /* the CPUs of the caller for which the helpers were last moved */
#endif
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER,
          .wake = PTHREAD_COND_INITIALIZER,
          .ended = PTHREAD_COND_INITIALIZER};

/* Let a thread that holds the lock release it. Such a thread looks at `state` before it sleeps: it
 * has either seen the new state, or it sleeps by now and can be woken. */
static void pass_lock(void)
{
    pthread_mutex_lock(&pool.lock);
    pthread_mutex_unlock(&pool.lock);
}

/* Give the helpers the CPUs of the caller. If these are few, move the helpers off the CPU on which
 * the caller runs: on few CPUs, Linux does not look for an idle one when it wakes a thread. It
 * queues the thread behind the caller, or before it, on the same CPU, where both stay for some
 * milliseconds. Returns 0 if the caller's CPU is the only one.
 *
 * On many CPUs, Linux finds an idle one by itself. Then there is nothing to do, unless the helpers
 * still have the CPUs of another caller that was pinned to a few of them. */
static int place_helpers(void)
{
#if defined(__linux__)
    cpu_set_t cpus;
    const int here = sched_getcpu();
    if (here < 0 || sched_getaffinity(0, sizeof cpus, &cpus))
        return 1;
    const int many = CPU_COUNT(&cpus) > FEW_CPUS;
    if (many && CPU_EQUAL(&cpus, &pool.cpus)) /* only the pool's one caller writes pool.cpus */
        return 1;
    pthread_mutex_lock(&pool.lock);
    pool.cpus = cpus;
    pthread_mutex_unlock(&pool.lock);
    const int others = CPU_COUNT(&cpus) > CPU_ISSET(here, &cpus);
    if (others && !many)
        CPU_CLR(here, &cpus);
    for (int i = 0; i < pool.threads; i++)
        pthread_setaffinity_np(pool.thread[i], sizeof cpus, &cpus);
    /* Increase this last. A helper that is in use_all_cpus at this moment may still set the former
     * CPUs. At its next job it sees that the number has changed, and sets its CPUs again. */
    __atomic_add_fetch(&pool.moves, 1, __ATOMIC_RELEASE);
    return others;
#else
    return 1;
#endif
}

/* A helper calls this when it runs again after place_helpers moved it: from then on it may use
 * every CPU that the caller may use. */
static void use_all_cpus(void)
{
#if defined(__linux__)
    pthread_mutex_lock(&pool.lock);
    const cpu_set_t cpus = pool.cpus;
    pthread_mutex_unlock(&pool.lock);
    pthread_setaffinity_np(pthread_self(), sizeof cpus, &cpus);
#endif
}

/* Join the present job if a place is free, and do its work. Returns whether there was a place.
 * *moves is the value of pool.moves at the helper's last job. */
static int help(int *moves)
{
    uint64_t found = __atomic_load_n(&pool.state, __ATOMIC_ACQUIRE);
    while (found >= PLACE) {
        if (!__atomic_compare_exchange_n(&pool.state, &found, found - PLACE + 1, 0,
                                         __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            continue;
        const int moved = __atomic_load_n(&pool.moves, __ATOMIC_ACQUIRE);
        if (*moves != moved)
            use_all_cpus();
        *moves = moved;
        pool.work(pool.job, pool.places - (int)(found / PLACE) + 1);
        if (!__atomic_sub_fetch(&pool.state, 1, __ATOMIC_SEQ_CST)
            && __atomic_load_n(&pool.caller_waits, __ATOMIC_SEQ_CST)) {
            pass_lock();
            pthread_cond_signal(&pool.ended);
        }
        return 1;
    }
    return 0;
}

static void sleep_until_woken(void)
{
    pthread_mutex_lock(&pool.lock);
    __atomic_add_fetch(&pool.sleepers, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&pool.state, __ATOMIC_SEQ_CST) < PLACE)
        pthread_cond_wait(&pool.wake, &pool.lock);
    __atomic_sub_fetch(&pool.sleepers, 1, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&pool.lock);
}

/* What a helper does from its start to the end of the process. */
static void *run_helper(void *unused)
{
#if defined(__linux__)
    pthread_setname_np(pthread_self(), "nncore");
#endif
    int64_t idle_since = nn_now();
    int moves = 0;
    for (;;) {
        if (help(&moves)) {
            idle_since = nn_now();
            continue;
        }
        /* A pause takes 40 cycles on some CPUs and 140 on others, so look after each. */
        for (int i = 0; i < 32 && __atomic_load_n(&pool.state, __ATOMIC_RELAXED) < PLACE; i++)
            nn_pause();
        if (nn_now() - idle_since > AWAKE_NS) {
            sleep_until_woken();
            idle_since = nn_now();
        }
    }
    return unused;
}

/* In a forked child the helpers do not exist. Neither does the thread that was in nn_share or held
 * the lock, unless it is the one that forked. So the child begins with an empty pool. */
static void forget(void)
{
    static const struct pool empty = {.lock = PTHREAD_MUTEX_INITIALIZER,
                                      .wake = PTHREAD_COND_INITIALIZER,
                                      .ended = PTHREAD_COND_INITIALIZER};
    memcpy(&pool, &empty, sizeof pool);
}

int nn_watch_forks(void) { return pthread_atfork(NULL, NULL, forget); }

/* Start helpers until there are as many as wanted, or until the system refuses. */
static void start_helpers(int wanted)
{
    pthread_attr_t attributes;
    sigset_t blocked, before;
    pthread_t thread;
    if (pool.refused && nn_now() - pool.refused < RETRY_NS)
        return;
    if (pthread_attr_init(&attributes))
        return;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    /* Signals are for the program's own threads. The exceptions report a fault of the helper
     * itself. */
    sigfillset(&blocked);
    sigdelset(&blocked, SIGSEGV);
    sigdelset(&blocked, SIGBUS);
    sigdelset(&blocked, SIGFPE);
    sigdelset(&blocked, SIGILL);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    while (pool.threads < wanted) {
        if (pthread_create(&thread, &attributes, run_helper, NULL)) {
            pool.refused = nn_now();
            break;
        }
        pool.thread[pool.threads] = thread;
        __atomic_add_fetch(&pool.threads, 1, __ATOMIC_RELAXED);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    place_helpers();
}

static void wake_helpers(int helpers)
{
    const int sleepers = __atomic_load_n(&pool.sleepers, __ATOMIC_SEQ_CST);
    int wanted = helpers - (pool.threads - sleepers);
    if (wanted <= 0 || !sleepers || !place_helpers())
        return;
    pass_lock();
    if (wanted >= sleepers)
        pthread_cond_broadcast(&pool.wake);
    else
        while (wanted-- > 0)
            pthread_cond_signal(&pool.wake);
}

/* Close the job, then wait for the helpers that have joined it. */
static void wait_for_helpers(void)
{
    /* No helper can join from here on. A helper that is awake but has not joined may be queued
     * behind us on this CPU. */
    if (__atomic_fetch_and(&pool.state, AT_WORK, __ATOMIC_SEQ_CST) >= PLACE
        && __atomic_load_n(&pool.sleepers, __ATOMIC_RELAXED) < pool.threads)
        place_helpers();
    for (int spins = 0; spins < 2000; spins++, nn_pause())
        if (!__atomic_load_n(&pool.state, __ATOMIC_ACQUIRE))
            return;
    __atomic_store_n(&pool.caller_waits, 1, __ATOMIC_SEQ_CST);
    pthread_mutex_lock(&pool.lock);
    while (__atomic_load_n(&pool.state, __ATOMIC_SEQ_CST))
        pthread_cond_wait(&pool.ended, &pool.lock);
    pthread_mutex_unlock(&pool.lock);
    __atomic_store_n(&pool.caller_waits, 0, __ATOMIC_SEQ_CST);
}

void nn_share(nn_work *work, void *job, int helpers, int urgent)
{
    /* Each other caller already keeps a CPU busy. */
    helpers -= __atomic_fetch_add(&pool.callers, 1, __ATOMIC_RELAXED);
    helpers = helpers < NN_MOST_THREADS ? helpers : NN_MOST_THREADS;
    if (helpers > 0 && !__atomic_exchange_n(&pool.in_use, 1, __ATOMIC_ACQUIRE)) {
        const int64_t now = nn_now();
        if (now - __atomic_load_n(&pool.last_end, __ATOMIC_RELAXED) > AWAKE_NS)
            pool.burst_began = now;
        const int wake = urgent || now - pool.burst_began > AWAKE_NS;
        if (wake && pool.threads < helpers)
            start_helpers(helpers);
        pool.work = work;
        pool.job = job;
        pool.places = helpers;
        __atomic_store_n(&pool.state, (uint64_t)helpers * PLACE, __ATOMIC_SEQ_CST);
        if (wake)
            wake_helpers(helpers);
        work(job, 0);
        wait_for_helpers();
        __atomic_store_n(&pool.in_use, 0, __ATOMIC_RELEASE);
    } else {
        work(job, 0);
    }
    __atomic_store_n(&pool.last_end, nn_now(), __ATOMIC_RELAXED);
    __atomic_sub_fetch(&pool.callers, 1, __ATOMIC_RELAXED);
}

int nn_pool_threads(void) { return __atomic_load_n(&pool.threads, __ATOMIC_RELAXED); }
