/* Tests of choice.h: calls that take a known time on one thread and on several. */
#include "choice.h" /* first: it asks for clocks, which plain C11 lacks */

#include "harness.h"

#include <stdio.h>

enum { PERIODS = 3, CALLS = PERIODS * NN_CHOICE_PERIOD };

/* Make some calls that take so many microseconds; of 8 samples, or if `mixed`, of 8 and 9 in turn.
 * Returns how many were made on one thread. */
static int make_calls(nn_choice *choice, int calls, int shared, int alone, int helped, int mixed)
{
    int on_one_thread = 0;
    for (int i = 0; i < calls; i++) {
        int64_t began;
        const int one = nn_choose(choice, 2, 8 + (mixed && i % 2), &began);
        on_one_thread += one;
        if (began && (one || helped))
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
    const int tries = PERIODS * NN_CHOICE_TRIES, late = NN_CHOICE_FIRST + NN_CHOICE_TRIES;
    nn_choice faster = {0}, slower = {0}, equal = {0}, helpless = {0}, mixed = {0};
    int64_t began;
    int good = check("sharing is faster", make_calls(&faster, CALLS, 500, 900, 1, 0), tries, tries);
    good &= check("sharing is slower", make_calls(&slower, CALLS, 900, 500, 1, 0),
                  CALLS - late - tries, CALLS - late);
    good &= check("sharing is a little slower", make_calls(&equal, CALLS, 900, 850, 1, 0), tries,
                  tries);
    good &= check("no helper joins", make_calls(&helpless, CALLS, 900, 500, 0, 0), tries, tries);
    good &= check("two kinds of calls", make_calls(&mixed, CALLS, 500, 900, 1, 1), tries / 2,
                  tries / 2);
    good &= check("sharing was slower and no helper joins",
                  make_calls(&slower, NN_CHOICE_PERIOD, 900, 500, 0, 0),
                  NN_CHOICE_PERIOD - NN_CHOICE_TRIES, NN_CHOICE_PERIOD);
    make_calls(&slower, NN_CHOICE_PERIOD, 500, 500 + 20, 1, 0);
    good &= check("sharing has become faster", make_calls(&slower, CALLS, 500, 520, 1, 0), tries,
                  tries);
    make_calls(&faster, NN_CHOICE_PERIOD, 900, 500, 1, 0);
    good &= check("sharing has become slower", nn_choose(&faster, 2, 8, &began), 1, 1);
    good &= check("other threads", nn_choose(&faster, 3, 8, &began), 0, 0);
    return good;
}
