/* Whether calls of one kind take less time on one thread than on several: found out by trying both.
 *
 * How long a call of some microseconds takes on several threads depends on what nobody can know
 * beforehand: whether the CPUs are two cores or two halves of one, how far apart their caches are,
 * what else runs there. So of NN_CHOICE_PERIOD calls, a few in a row are made on several threads
 * and measured, then as many on one thread; what was faster is kept for the others. Calls that
 * follow each other at once meet the same conditions, and the best of each kind counts, so that a
 * moment of noise decides nothing. */
#ifndef NN_CHOICE_H
#define NN_CHOICE_H

#include "pool.h"

enum {
    NN_CHOICE_PERIOD = 2048, /* calls; with 16 of them two times as slow, all take 0.8 % longer */
    NN_CHOICE_FIRST = 64,    /* the first call that is measured: helpers have started by then */
    NN_CHOICE_TRIES = 16,    /* waking a helper may take eight of them */
    NN_CHOICE_LEAST = 4      /* with so few that a helper has joined, nothing is decided */
};

/* What is known of one kind of calls. Zeros: nothing, and calls are shared. */
typedef struct nn_choice {
    ptrdiff_t threads, samples; /* calls with other numbers are not compared */
    unsigned calls;
    int alone;       /* whether one thread is faster */
    int shared;      /* how many of the calls that were measured had help */
    int64_t best[2]; /* nanoseconds on several threads, and on one */
} nn_choice;

/* Return whether a call is to be made on one thread instead of on `threads`. *began becomes the
 * time if it is to be measured, else 0. */
static inline int nn_choose(nn_choice *choice, ptrdiff_t threads, ptrdiff_t samples,
                            int64_t *began)
{
    static const nn_choice nothing = {0};
    if (choice->threads != threads) {
        *choice = nothing;
        choice->threads = threads;
    }
    const unsigned tried = choice->calls++ % NN_CHOICE_PERIOD - NN_CHOICE_FIRST;
    *began = 0;
    if (tried == 0) {
        choice->samples = samples;
        choice->best[0] = choice->best[1] = INT64_MAX;
        choice->shared = 0;
    }
    /* Calls leave off sharing only for a clear gain: a host may put two virtual CPUs on one core
     * for a moment, where one thread is a little faster than two, and on two cores the next. */
    if (tried == 2 * NN_CHOICE_TRIES && choice->shared >= NN_CHOICE_LEAST) {
        const int64_t gain = choice->alone ? 0 : choice->best[0] / 8;
        choice->alone = choice->best[1] < choice->best[0] - gain;
    }
    if (tried >= 2 * NN_CHOICE_TRIES || samples != choice->samples)
        return choice->alone;
    *began = nn_now();
    return tried >= NN_CHOICE_TRIES;
}

/* Take note of a call that began at this time, on one thread or with the help of others. */
static inline void nn_chosen(nn_choice *choice, int alone, int64_t began)
{
    const int64_t time = nn_now() - began;
    choice->shared += !alone;
    if (time < choice->best[alone])
        choice->best[alone] = time;
}

#endif
