/* What the cases need for float or double. NN_DOUBLE is 0 or 1, as for the kernels. */
#ifndef NN_REALS_H
#define NN_REALS_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "simd/real.h" /* REAL, PANEL */

#if NN_DOUBLE
typedef uint64_t BITS;
#define MANTISSA 52
#define CHAIN fma
#define EMIT nn_emit_f64
#define EXPECT nn_expect_f64
#else
typedef uint32_t BITS;
#define MANTISSA 23
#define CHAIN fmaf
#define EMIT nn_emit_f32
#define EXPECT nn_expect_f32
#endif

static inline REAL real_of_bits(BITS bits)
{
    REAL value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline REAL *reals(ptrdiff_t n) { return nn_memory((size_t)n * sizeof(REAL)); }
static inline int32_t *indices(ptrdiff_t n)
{
    return nn_memory((size_t)(n + 16) * sizeof(int32_t));
}
static inline ptrdiff_t up_to_lines(ptrdiff_t m) { return (m + PANEL - 1) / PANEL * PANEL; }

/* Both zeros, both infinities, NaN, the smallest and largest subnormal and normal numbers, halves
 * (ties of rounding), numbers next to these, and the negatives of all. Returns how many there
 * are. */
static inline int special_values(REAL *x)
{
    const BITS one = (BITS)1, sign = one << (sizeof(REAL) * 8 - 1);
    const BITS infinite = ((sign - 1) >> MANTISSA) << MANTISSA;
    const BITS plain[] = {0, 1, 2, (one << MANTISSA) - 1, one << MANTISSA, (one << MANTISSA) + 1,
                          infinite - 1, infinite, infinite | one << (MANTISSA - 1), infinite | 1};
    const REAL numbers[] = {(REAL)0.5, 1, (REAL)1.5, 2, (REAL)2.5, (REAL)3.5, 100, 127, 128,
                            (REAL)0x1.fffffep+22, 0x1p23, 0x1p24, (REAL)0.70710678118654757};
    int count = 0;
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
        x[count++] = real_of_bits(plain[i]);
        x[count++] = real_of_bits(plain[i] | sign);
    }
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        x[count++] = numbers[i];
        x[count++] = -numbers[i];
    }
    return count;
}
enum { MOST_SPECIAL = 64 };

/* How the elements of an array are chosen. DENSE: numbers from -1 to 1. SPARSE: three quarters of
 * them are zeros, some of these -0.0, and one column in eight is zero in every row. ODD: one in
 * sixteen is a special value. */
enum filling { DENSE, SPARSE, ODD, FILLINGS };
static const char *const filling_names[] = {"dense", "sparse", "odd"};

static inline void fill(nn_random *random, enum filling filling, REAL *x, ptrdiff_t rows,
                        ptrdiff_t columns)
{
    REAL special[MOST_SPECIAL];
    const int count = special_values(special);
    for (ptrdiff_t i = 0; i < rows * columns; i++) {
        x[i] = (REAL)nn_between(random, -1, 1);
        if (filling == SPARSE && (nn_below(random, 4) || i % columns % 8 == 5))
            x[i] = nn_below(random, 8) ? (REAL)0 : (REAL)-0.0;
        if (filling == ODD && !nn_below(random, 16))
            x[i] = special[nn_below(random, count)];
    }
}

/* A layer with weights w (k, m) and biases b (m,), and the same in the layout of panels.h. */
typedef struct dense {
    ptrdiff_t k, m;
    REAL *w, *b, *panels;
    nn_layer layer;
} dense;

static inline ptrdiff_t packed_size(ptrdiff_t k, ptrdiff_t m) { return up_to_lines(m) * (1 + k); }

/* The place of the weight for one line and output in packed weights. Line 0 holds the biases. */
static inline ptrdiff_t packed_at(ptrdiff_t k, ptrdiff_t line, ptrdiff_t output)
{
    return (output / PANEL * (1 + k) + line) * PANEL + output % PANEL;
}

static inline dense make_dense(nn_random *random, ptrdiff_t k, ptrdiff_t m, int activation)
{
    dense d = {k, m, reals(k * m), reals(m), reals(packed_size(k, m)), {0}};
    fill(random, DENSE, d.w, k, m);
    fill(random, DENSE, d.b, 1, m);
    for (ptrdiff_t j = 0; j < m; j++) {
        d.panels[packed_at(k, 0, j)] = d.b[j];
        for (ptrdiff_t i = 0; i < k; i++)
            d.panels[packed_at(k, 1 + i, j)] = d.w[i * m + j];
    }
    d.layer = (nn_layer){.panels = d.panels, .k = k, .m = m, .activation = activation,
                         .skip_zeros = 1, .alpha = 0.01, .beta = 0.99};
    return d;
}

/* Round the weights of a layer to bfloat16, and pack them as such. */
static inline void make_narrow(dense *d)
{
    for (ptrdiff_t i = 0; i < d->k * d->m; i++)
        d->w[i] = nn_widen_bfloat16(nn_narrow_to_bfloat16((float)d->w[i]));
    const ptrdiff_t real = sizeof(REAL);
    const nn_plain plain = {(char *)d->w, (char *)d->b, d->m * real, real, real};
    const ptrdiff_t bytes = nn_packed_bytes(NN_bfloat16_weights, d->k, d->m);
    free(d->panels);
    d->panels = reals(bytes / real);
    d->layer.panels = d->panels;
    d->layer.weights = NN_bfloat16_weights;
    d->layer.skip_zeros = nn_pack(NN_bfloat16_weights, &plain, d->k, d->m, d->panels);
}

static inline void free_dense(dense *d)
{
    free(d->w);
    free(d->b);
    free(d->panels);
}

/* THE RULE OF THE ARITHMETIC in the plainest C: x (n, k) -> y (n, m), without activation. */
static inline void plain_layer(const dense *d, const REAL *x, ptrdiff_t n, REAL *y)
{
    for (ptrdiff_t s = 0; s < n; s++)
        for (ptrdiff_t j = 0; j < d->m; j++) {
            REAL sum = d->b[j];
            for (ptrdiff_t i = 0; i < d->k; i++)
                sum = CHAIN(x[s * d->k + i], d->w[i * d->m + j], sum);
            y[s * d->m + j] = sum + (REAL)0;
        }
}

/* The first `samples` rows of x (n, k) -> tile (k, width), with zeros in the other lanes. */
static inline void plain_tile(const REAL *x, ptrdiff_t samples, ptrdiff_t k, ptrdiff_t width,
                              REAL *tile)
{
    for (ptrdiff_t i = 0; i < k; i++)
        for (ptrdiff_t s = 0; s < width; s++)
            tile[i * width + s] = s < samples ? x[s * k + i] : (REAL)0;
}

/* The most vectors of samples that a tile can have with this instruction set. */
static inline int most_vectors(const nn_kernels *kernels)
{
    int most = NN_MOST_SAMPLES / kernels->lanes;
    most = most > kernels->tile_vectors ? most : kernels->tile_vectors;
    return most > kernels->wide_vectors ? most : kernels->wide_vectors;
}

/* The number of vectors to try after `vectors`. Small cases try all numbers, others the first few,
 * one in the middle and the largest. The last number returned is larger than `most`. */
static inline int next_vectors(int vectors, int most, int small)
{
    if (small || vectors < 4 || vectors >= most)
        return vectors + 1;
    return vectors < most / 2 ? most / 2 + 1 : most;
}

static inline void expect_rows(nn_test *t, const char *of, const REAL *got, const REAL *wanted,
                               ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < n; i++)
        if (!EXPECT(t, of, i, got[i], wanted[i]))
            return;
}

#endif
