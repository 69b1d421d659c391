/* Dropout and the clipping of gradients. */
#include "mixing.h"

/* Inverted dropout of a (m, width): kept is 0 or 1 / (1 - rate), and a *= kept. The first sample is
 * number `first` of the mini-batch. Each unit of each sample has a random number of its own, which
 * depends only on the key, the unit and the sample's number. */
static NN_TARGET void drop(void *a_, void *kept_, ptrdiff_t m, ptrdiff_t width, double rate,
                           uint64_t key, ptrdiff_t first)
{
    REAL *restrict a = a_, *restrict kept = kept_;
    const uint64_t least = (uint64_t)(rate * 0x1p53);
    const REAL scale = (REAL)(1 / (1 - rate));
    for (ptrdiff_t j = 0; j < m; j++, a += width, kept += width) {
        const uint64_t unit = nn_mix(nn_mix(key) + (uint64_t)j);
        NN_FOR_EACH(s, width, {
            const uint64_t number =
                nn_mix(unit + (uint64_t)(first + s) * UINT64_C(0x9e3779b97f4a7c15)) >> 11;
            kept[s] = number >= least ? scale : 0;
            a[s] *= kept[s];
        });
    }
}

/* a (n,) *= b (n,) */
static NN_TARGET void multiply(void *a_, const void *b_, ptrdiff_t n)
{
    REAL *restrict a = a_;
    const REAL *restrict b = b_;
    NN_FOR_EACH(i, n, a[i] *= b[i];);
}

/* The sum of squares. Element i goes to partial sum i % 8, and the partial sums are added in order.
 * n is a multiple of PANEL. */
_Static_assert(PANEL % 8 == 0, "PANEL is a multiple of 8");
static NN_TARGET double sum_of_squares(const void *x_, ptrdiff_t n)
{
    const REAL *x = x_;
    double partial[8] = {0};
    for (ptrdiff_t i = 0; i < n; i += 8)
        for (int r = 0; r < 8; r++)
            partial[r] += (double)x[i + r] * (double)x[i + r];
    for (int r = 1; r < 8; r++)
        partial[0] += partial[r];
    return partial[0];
}

/* Clip x (n,) to the range from -most to most. NaN stays NaN. */
static NN_TARGET void clip(void *x_, ptrdiff_t n, double most_)
{
    REAL *x = x_;
    const REAL most = (REAL)most_;
    NN_FOR_EACH(i, n, x[i] = x[i] > most ? most : x[i] < -most ? -most : x[i];);
}
