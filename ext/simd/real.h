/* The differences between float and double, for one instance of the templates (instance.c). */
#include <stdint.h>
#include <string.h>

#include "../contract.h"

#if NN_DOUBLE
typedef double REAL;
#define MANTISSA_BITS 52
#define EXPONENT_BIAS 1023
#define SQRT_HALF 0x1.6a09e667f3bcdp-1
#else
typedef float REAL;
#define MANTISSA_BITS 23
#define EXPONENT_BIAS 127
#define SQRT_HALF 0x1.6a09e6p-1f
#endif

#define PANEL (NN_LINE_BYTES / (int)sizeof(REAL))
#define WEIGHTS (NN_DOUBLE ? NN_float64_weights : NN_float32_weights)

/* setup.py compiles the portable kernels for size (-Os) where there are vectors: then loops and
 * calls stay what they are, which takes a third of the space. */

/* Unroll the next loop completely. The number of its rounds is a constant, at most `most`. Sums in
 * an array stay in registers only if the loops over them are unrolled. clang takes GCC's pragma as
 * the exact number of rounds and would keep the sums of all shorter loops in memory. */
#define NN_PRAGMA(text) _Pragma(#text)
#if defined(__OPTIMIZE_SIZE__)
#define NN_UNROLL(most)
#elif defined(__clang__)
#define NN_UNROLL(most) NN_PRAGMA(clang loop unroll(full))
#else
#define NN_UNROLL(most) NN_PRAGMA(GCC unroll most)
#endif

/* Do `statement` for i = 0 .. n - 1: first for whole groups of elements, which the compiler turns
 * into vectors, then for the last ones, one by one. If the compiler itself splits the loop, the code
 * is twice as long. A loop with assembly in it, even if that is empty, is not turned into
 * vectors. */
enum { GROUP = 16 };
#define NN_FOR_EACH(i, n, statement)                                                              \
    do {                                                                                          \
        const ptrdiff_t whole = (n) & -(ptrdiff_t)GROUP;                                          \
        for (ptrdiff_t i = 0; i < whole; i++)                                                     \
            statement                                                                             \
        for (ptrdiff_t i = whole; i < (n); i++) {                                                 \
            __asm__ volatile("");                                                                 \
            statement                                                                             \
        }                                                                                         \
    } while (0)

#if defined(__OPTIMIZE_SIZE__)
#define NN_INLINE static inline __attribute__((unused))
#else
#define NN_INLINE static inline __attribute__((always_inline))
#endif
#define NN_VERB NN_INLINE NN_TARGET
/* A function of which one copy is enough: it is large, and each call does enough to pay for it. */
#if defined(__clang__)
#define NN_ONE_COPY static NN_TARGET __attribute__((noinline))
#else
#define NN_ONE_COPY static NN_TARGET __attribute__((noinline, noclone))
#endif

/* The geometry of panels.h, in elements. */
NN_INLINE ptrdiff_t panel_count(ptrdiff_t m) { return nn_panel_count(WEIGHTS, m); }
NN_INLINE ptrdiff_t panel_stride(ptrdiff_t k)
{
    return nn_panel_bytes(WEIGHTS, k) / (ptrdiff_t)sizeof(REAL);
}
