/* The pool (ext/pool.c) on a machine with 64 CPUs, which stand-ins for three functions of the system
 * make believe. A caller that is pinned to one CPU must not keep the helpers on that CPU for good.
 *
 * Prints how many helpers have the CPUs of the caller, after each change of these; tests/test_pool.py compiles and runs it.
 */
#define _GNU_SOURCE
#include "pool.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { HELPERS = 3, CPUS = 64 };

static int pinned; /* whether the caller may run on CPU 0 only */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_t known[HELPERS];
static int cpus_of[HELPERS], helpers;

int sched_getcpu(void) { return 0; }

int sched_getaffinity(pid_t thread, size_t size, cpu_set_t *cpus)
{
    (void)thread, (void)size;
    CPU_ZERO(cpus);
    for (int i = 0; i < (pinned ? 1 : CPUS); i++)
        CPU_SET(i, cpus);
    return 0;
}

int pthread_setaffinity_np(pthread_t thread, size_t size, const cpu_set_t *cpus)
{
    (void)size;
    pthread_mutex_lock(&lock);
    int i = 0;
    while (i < helpers && !pthread_equal(known[i], thread))
        i++;
    if (i == helpers) {
        if (helpers == HELPERS)
            abort();
        known[helpers++] = thread;
    }
    cpus_of[i] = CPU_COUNT(cpus);
    pthread_mutex_unlock(&lock);
    return 0;
}

static void work(void *job, int thread)
{
    (void)job, (void)thread;
    const int64_t end = nn_now() + 200000; /* long enough for helpers to join */
    while (nn_now() < end)
        nn_pause();
}

/* Make calls until every helper has as many CPUs as expected; give up after 500 of them. Between two
 * calls the helpers fall asleep. */
static void expect(int cpus)
{
    const struct timespec pause = {0, 2000000};
    int right = 0;
    for (int i = 0; i < 500 && right < HELPERS; i++) {
        nn_share(work, NULL, HELPERS, 1);
        nanosleep(&pause, NULL);
        pthread_mutex_lock(&lock);
        right = 0;
        for (int j = 0; j < helpers; j++)
            right += cpus_of[j] == cpus;
        pthread_mutex_unlock(&lock);
    }
    printf("CPUs: %d, helpers: %d of %d\n", cpus, right, nn_pool_threads());
}

int main(int count, char **options)
{
    (void)options;
    if (count == 1) /* else the first call is the pinned one, and the helpers inherit its CPU */
        expect(CPUS);
    pinned = 1;
    expect(1);
    pinned = 0;
    expect(CPUS);
    return 0;
}
