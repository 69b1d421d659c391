/* Tests of choice.h: calls that take a known time on one thread and on several. */
#include "choice.h" /* first: it asks for clocks, which plain C11 lacks */

#include "harness.h"

#include <stdio.h>

enum { PERIODS = 3, CALLS = PERIODS * NN_CHOICE_PERIOD };

/* Make some calls that take so many microseconds on several threads and on one; of 8 samples by 2
 * threads, but each call number `other`, 2 * other ... of 9 samples by 3 threads. Returns how many
 * were made on one thread. */
static int make_calls(nn_choice *choice, int calls, int shared, int alone, int other)
{
    int on_one_thread = 0;
    for (int i = 1; i <= calls; i++) {
        int64_t began;
        const int odd = i % other == 0, one = nn_choose(choice, 2 + odd, 8 + odd, &began);
        on_one_thread += one;
        if (began)
            nn_chosen(choice, one, nn_now() - 1000 * (one ? alone : shared));
    }
    return on_one_thread;
}

static int check(const char *what, int got, int least, int most)
{
    if (least <= got && got <= most)
        return 1;
    printf("DIFFERS choice: %s: %d calls on one thread, expected %d to %d\n", what, got, least,
           most);
    return 0;
}

int nn_choice_good(void)
{
    const int none = CALLS + 1, tries = PERIODS * NN_CHOICE_ALONE;
    const int learned = CALLS - NN_CHOICE_FIRST - PERIODS * NN_CHOICE_SHARED;
    nn_choice faster = {0}, slower = {0}, equal = {0}, mixed = {0};
    int64_t began;
    int good = check("sharing is faster", make_calls(&faster, CALLS, 500, 900, none), tries,
                     tries);
    good &= check("sharing is slower", make_calls(&slower, CALLS, 900, 500, none), learned,
                  learned);
    good &= check("sharing is a little slower", make_calls(&equal, CALLS, 900, 850, none), tries,
                  tries);
    good &= check("some other calls", make_calls(&mixed, CALLS, 900, 500, 60), learned,
                  learned + tries);
    good &= check("half other calls", make_calls(&mixed, CALLS, 900, 500, 2),
                  CALLS - PERIODS * NN_CHOICE_SHARED, CALLS);
    make_calls(&slower, NN_CHOICE_PERIOD, 500, 520, none);
    good &= check("sharing has become faster", make_calls(&slower, CALLS, 500, 520, none), tries,
                  tries);
    make_calls(&faster, NN_CHOICE_PERIOD, 900, 500, none);
    good &= check("sharing has become slower", nn_choose(&faster, 2, 8, &began), 1, 1);

    /* A kind of calls that only one of the two ways has been measured for: nothing is decided. */
    nn_choice half = {.calls = NN_CHOICE_FIRST, .alone = 1};
    make_calls(&half, NN_CHOICE_SHARED, 500, 900, none);
    for (int i = 0; i < NN_CHOICE_ALONE + 1; i++)
        nn_choose(&half, 2, 9, &began);
    good &= check("one way was measured", nn_choose(&half, 2, 9, &began), 1, 1);
    return good;
}
