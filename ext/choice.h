/* Whether calls of one kind take less time on one thread than on several: found out by trying both.
 *
 * How long a call of some microseconds takes on several threads depends on what nobody can know
 * beforehand: whether the CPUs are two cores or two halves of one, how far apart their caches are,
 * whether a helper gets a CPU at all. So of NN_CHOICE_PERIOD calls, some in a row are made on
 * several threads and measured, then some on one thread; what was faster is kept for the others.
 * Calls that follow each other at once meet the same conditions, and the best of each kind counts,
 * so that a moment of noise decides nothing. */
#ifndef NN_CHOICE_H
#define NN_CHOICE_H

#include "pool.h"

enum {
    NN_CHOICE_PERIOD = 4096, /* calls; with 64 of them two times as slow, all take 1.6 % longer */
    NN_CHOICE_FIRST = 512,   /* the first one measured: helpers run, and on CPUs of their own */
    NN_CHOICE_SHARED = 64,   /* tries: a helper that slept is awake after 80 microseconds */
    NN_CHOICE_ALONE = 16
};

/* What is known of one kind of calls. Zeros: nothing, and calls are shared. */
typedef struct nn_choice {
    unsigned calls;
    int alone;                  /* whether one thread is faster */
    ptrdiff_t threads, samples; /* of the calls that are measured; others are not compared */
    int64_t best[2];            /* nanoseconds on several threads, and on one */
} nn_choice;

/* Return whether a call is to be made on one thread instead of on `threads`. *began becomes the
 * time if it is to be measured, else 0. */
static inline int nn_choose(nn_choice *choice, ptrdiff_t threads, ptrdiff_t samples,
                            int64_t *began)
{
    const unsigned tried = choice->calls++ % NN_CHOICE_PERIOD - NN_CHOICE_FIRST;
    const int64_t shared = choice->best[0], alone = choice->best[1];
    *began = 0;
    if (tried == 0) {
        choice->threads = threads;
        choice->samples = samples;
        choice->best[0] = choice->best[1] = INT64_MAX;
    }
    /* Calls leave off sharing only for a clear gain: a host may put two virtual CPUs on one core
     * for a moment, where one thread is a little faster than two, and on two cores the next. */
    if (tried == NN_CHOICE_SHARED + NN_CHOICE_ALONE && shared < INT64_MAX && alone < INT64_MAX)
        choice->alone = alone < shared - (choice->alone ? 0 : shared / 8);
    if (tried >= NN_CHOICE_SHARED + NN_CHOICE_ALONE || threads != choice->threads ||
        samples != choice->samples)
        return choice->alone;
    *began = nn_now();
    return tried >= NN_CHOICE_SHARED;
}

/* Take note of a call that began at this time. */
static inline void nn_chosen(nn_choice *choice, int alone, int64_t began)
{
    const int64_t time = nn_now() - began;
    if (time < choice->best[alone])
        choice->best[alone] = time;
}

#endif
