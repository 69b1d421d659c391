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
#include <string.h>

/* Waking a thread takes 10 to 30 microseconds, 10 of them the caller's. A helper stays awake
 * somewhat longer: calls of a loop that does a little more than to call find it there. */
enum { AWAKE_NS = 50000 };
enum { RETRY_NS = 1000000000 }; /* after a thread could not be started */
enum { MOST_THREADS = 1024, STACK_BYTES = 1 << 20, FEW_PROCESSORS = 8 };

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
    int64_t last;    /* when a call ended, */
    int64_t began;   /* when the calls began that follow each other closely, */
    int64_t refused; /* and when a thread could not be started, in nanoseconds */
    pthread_t thread[MOST_THREADS];
    int moves; /* how often they were moved off the caller's processor, to which they may return */
#if defined(__linux__)
    cpu_set_t everywhere;
#endif
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER,
          .wake = PTHREAD_COND_INITIALIZER,
          .ended = PTHREAD_COND_INITIALIZER};

/* Wait until whoever holds the lock is asleep, or has seen what was written before. */
static void pass_lock(void)
{
    pthread_mutex_lock(&pool.lock);
    pthread_mutex_unlock(&pool.lock);
}

/* Have the helpers go on on other processors than the caller's; false if there are none. With few
 * processors Linux does not look for an idle one when it wakes a thread: it puts it behind, or
 * before, the caller on the same one, where they stay for some milliseconds. */
static int move_elsewhere(void)
{
#if defined(__linux__)
    cpu_set_t may;
    const int here = sched_getcpu();
    if (here < 0 || sched_getaffinity(0, sizeof may, &may) || CPU_COUNT(&may) > FEW_PROCESSORS)
        return 1;
    pthread_mutex_lock(&pool.lock);
    pool.everywhere = may;
    pthread_mutex_unlock(&pool.lock);
    const int others = CPU_COUNT(&may) > CPU_ISSET(here, &may);
    if (others)
        CPU_CLR(here, &may);
    for (int i = 0; i < pool.threads; i++)
        pthread_setaffinity_np(pool.thread[i], sizeof may, &may);
    __atomic_add_fetch(&pool.moves, 1, __ATOMIC_RELEASE);
    return others;
#else
    return 1;
#endif
}

/* A helper that was moved, and runs by now, may run wherever the process may. */
static void come_back(void)
{
#if defined(__linux__)
    pthread_mutex_lock(&pool.lock);
    const cpu_set_t may = pool.everywhere;
    pthread_mutex_unlock(&pool.lock);
    pthread_setaffinity_np(pthread_self(), sizeof may, &may);
#endif
}

/* Take a place in the present job, if one is free, and do its work; whether there was one. */
static int help(int *moves)
{
    uint64_t found = __atomic_load_n(&pool.state, __ATOMIC_ACQUIRE);
    while (found >= PLACE) {
        if (!__atomic_compare_exchange_n(&pool.state, &found, found - PLACE + 1, 0,
                                         __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            continue;
        const int moved = __atomic_load_n(&pool.moves, __ATOMIC_ACQUIRE);
        if (*moves != moved)
            come_back();
        *moves = moved;
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
    int64_t since = nn_now();
    int moves = 0;
    for (;;) {
        if (help(&moves)) {
            since = nn_now();
            continue;
        }
        for (int i = 0; i < 32; i++)
            nn_pause();
        if (nn_now() - since > AWAKE_NS) {
            sleep_until_called();
            since = nn_now();
        }
    }
    return unused;
}

/* In a forked child the threads do not exist, nor does whoever was in a call or held the lock. */
static void forget(void)
{
    static const struct pool none = {.lock = PTHREAD_MUTEX_INITIALIZER,
                                     .wake = PTHREAD_COND_INITIALIZER,
                                     .ended = PTHREAD_COND_INITIALIZER};
    memcpy(&pool, &none, sizeof pool);
}

int nn_watch_forks(void) { return pthread_atfork(NULL, NULL, forget); }

/* As many threads as there are to be, or can be. */
static void start(int threads)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    pthread_t thread;
    if (pool.refused && nn_now() - pool.refused < RETRY_NS)
        return;
    if (pthread_attr_init(&attributes))
        return;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    /* Signals are for the threads of the program, but for those that say what went wrong here. */
    sigfillset(&all);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (pool.threads < threads) {
        if (pthread_create(&thread, &attributes, live, NULL)) {
            pool.refused = nn_now();
            break;
        }
        pool.thread[pool.threads] = thread;
        __atomic_add_fetch(&pool.threads, 1, __ATOMIC_RELAXED);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    move_elsewhere();
}

static void call_sleepers(int helpers)
{
    const int sleepers = __atomic_load_n(&pool.sleepers, __ATOMIC_SEQ_CST);
    int wanted = helpers - (pool.threads - sleepers);
    if (wanted <= 0 || !sleepers || !move_elsewhere())
        return;
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
        move_elsewhere();
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
    helpers = helpers < MOST_THREADS ? helpers : MOST_THREADS;
    if (helpers > 0 && !__atomic_exchange_n(&pool.taken, 1, __ATOMIC_ACQUIRE)) {
        const int64_t time = nn_now();
        if (time - __atomic_load_n(&pool.last, __ATOMIC_RELAXED) > AWAKE_NS)
            pool.began = time;
        const int call = urgent || time - pool.began > AWAKE_NS;
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
    __atomic_store_n(&pool.last, nn_now(), __ATOMIC_RELAXED);
    __atomic_sub_fetch(&pool.callers, 1, __ATOMIC_RELAXED);
}

int nn_pool_threads(void) { return __atomic_load_n(&pool.threads, __ATOMIC_RELAXED); }
