/* The verbs of eight bits in plain C. This file is the reference for the others.
 *
 *   load_sums, load_weights    LANES sums, or the four weights of LANES outputs
 *   broadcast_codes            a group, in all lanes
 *   add_products               each sum plus the four products of its codes and weights
 *   store_scaled               z = fma((float)sum, scale, bias)
 *   nonzero_groups             a bit for each of 16 groups that is not zero
 *   nonzero_few                the same for fewer groups; bytes after them are not read
 *   store_groups               first + l for each set bit l, in order; returns how many there are;
 *                              may write 16 numbers
 *   make_codes                 the codes of 4 * LANES numbers; returns whether any of them is NaN
 */
#include <math.h>

#define NN_TARGET
#define LANES 1
/* The most samples and panels of a block of samples, and panels of a block of one sample. */
#define MOST_ROWS 1
#define MOST_PANELS 1
#define ROW_PANELS 1

typedef int32_t isum;
typedef struct iweights { int8_t of[4]; } iweights;
typedef struct icodes { uint8_t of[4]; } icodes;

NN_VERB isum no_sums(void) { return 0; }
NN_VERB isum load_sums(const char *p)
{
    isum sum;
    memcpy(&sum, p, sizeof sum);
    return sum;
}
NN_VERB iweights load_weights(const char *p)
{
    iweights weights;
    memcpy(&weights, p, sizeof weights);
    return weights;
}
NN_VERB icodes broadcast_codes(const uint8_t *p)
{
    icodes codes;
    memcpy(&codes, p, sizeof codes);
    return codes;
}
NN_VERB isum add_sums(isum a, isum b) { return a + b; }
NN_VERB isum add_products(isum sum, icodes codes, iweights weights)
{
    for (int i = 0; i < 4; i++)
        sum += codes.of[i] * weights.of[i];
    return sum;
}
NN_VERB void store_scaled(isum sum, const char *scale, const char *bias, float *z)
{
    float factor, addend;
    memcpy(&factor, scale, sizeof factor);
    memcpy(&addend, bias, sizeof addend);
    *z = fmaf((float)sum, factor, addend);
}
NN_VERB unsigned nonzero_few(const uint8_t *x, ptrdiff_t groups)
{
    unsigned bits = 0;
    for (int i = 0; i < 4 * groups; i++)
        bits |= (unsigned)(x[i] != 0) << i / 4;
    return bits;
}
NN_VERB unsigned nonzero_groups(const uint8_t *x)
{
    return nonzero_few(x, 16);
}
NN_VERB int store_groups(int32_t *p, unsigned bits, int32_t first)
{
    int count = 0;
    for (; bits; bits >>= 1, first++)
        if (bits & 1)
            p[count++] = first;
    return count;
}
NN_VERB int make_codes(const float *x, float inverse, float zero, uint8_t *codes)
{
    int has_nan = 0;
    for (int i = 0; i < 4; i++) {
        const float code = rintf(fmaf(x[i], inverse, zero));
        codes[i] = (uint8_t)(code >= 255 ? 255 : code > 0 ? code : 0);
        has_nan |= x[i] != x[i];
    }
    return has_nan;
}
