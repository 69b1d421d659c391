/* The verbs in plain C. A vector is one element here. This file is the reference for the others.
 *
 * A verb is a function on vectors that every vec_*.h defines. The others must give the same
 * results, lane by lane, and tests/c compares them. This is what the less obvious verbs give:
 *   vload_bytes  LANES unsigned bytes as REALs
 *   vload_bfloat16  LANES weights of a line of bfloat16 (panels.h), from that of output `from` on,
 *                as floats; not for double. It may read 2 bytes before the line
 *   vmax, vmin   a > b ? a : b and a < b ? a : b; so b if either is NaN or if both are zeros
 *   vrint        the nearest integer, ties to even; keeps NaN, infinity and the sign of zero
 *   vless        false if either is NaN
 *   vpow2        2^n, for an integral n that is the exponent of a normal number; NaN gives any
 *                number
 *   vscale       a * 2^n, rounded once, also if the result is subnormal; n is integral, at most 0
 *                and at least -1150 (float: -252); |a| is between 2^-40 and 2^40, or a is zero or
 *                NaN
 *   vsplit       a mantissa in [sqrt(1/2), sqrt(2)) and an exponent; a is finite, a >= sqrt(1/2)
 *   vload_first  lanes 0 .. n - 1 from memory, the others from rest; n is 0 to LANES; memory after
 *                lane n - 1 is not read
 *   vstore_first lanes 0 .. n - 1 to memory; memory after them is not written
 *   vsum, vlargest  the sum and the largest of the lanes, folded in halves: lane l + LANES/2 is
 *                added to lane l, then lane l + LANES/4, and so on; vlargest uses vmax(low half,
 *                high half)
 *   vor          the bits of a or b; zero only if both are zeros
 *   vxor         the bits in which a and b differ
 *   vcopysign    the magnitude of a with the sign of b
 *   vnonzero     a bit for each lane that is neither +0.0 nor -0.0; NaN is not zero
 *   vsubnormal   a bit for each lane that is subnormal, which zero is not
 *   vstore_indices  first + l for each set bit l, in order; returns how many there are; may write
 *                16 numbers, whatever the bits are
 *   vtranspose   LANES vectors are the rows of a square; they are replaced by its columns
 *   vload_transposed  LANES elements of each of LANES rows, from element `at` of each on -> the
 *                columns of that square
 *   vtranspose_bytes  16 bytes of each of LANES rows -> 16 columns of LANES bytes each
 */
#include <math.h>
#include <string.h>

#define NN_TARGET
#define LANES 1
typedef REAL vec;
typedef int mask;

/* Tuning, the same for float and double: see tuning.tpl.h. Plain C is for CPUs of which nothing is
 * known. Eight sums fit into the registers of all of them, and are enough to keep most of them
 * busy. */
#define REGISTERS 16
#define TILE_VECTORS 2
#define TILE_OUTPUTS_1 8
#define TILE_WHOLE_1 0
#define TILE_OUTPUTS_2 4
#define TILE_GROUPS 2
#define WIDE_GROUPS 2
#define BLOCK_BYTES 18432
/* Rows: one panel has 16 sums of float or 8 of double already. */
#define ROW_PANELS_1 1
#define ROW_PANELS_2 0
#define ROW_PANELS_4 0
#define ROW_PANELS_8 0
#define WIDEN_SAMPLES 1
#define WIDEN_VECTORS 1
#define SLOW_SUBNORMALS 0

/* A batch is never run by rows, because the row kernel takes one sample at a time and reads all
 * weights for each. The other numbers are those of AVX2. */
#define COSTS                                                                                     \
    {                                                                                             \
        .tile_multiply_add = 1.08, .lone_multiply_add = 1.35, .tile_value = 16,                   \
        .row_multiply_add = __builtin_inf(), .row_input = 0, .row_output = 0, .row_load = 0,      \
        .row_bytes = 512 << 10, .wide_bytes = 4 << 20, .near_bytes = 1 << 20,                     \
        .narrow_bytes = 512 << 10, .narrow_samples = 16, .memory_rows = 1,                        \
    }

NN_VERB vec vload(const REAL *p) /* p may be unaligned: it may point to the user's samples */
{
    vec a;
    memcpy(&a, p, sizeof a);
    return a;
}
NN_VERB vec vload_bytes(const uint8_t *p) { return *p; }
NN_VERB void vtranspose_bytes(const char *const *from, ptrdiff_t at, uint8_t *to)
{
    memcpy(to, from[0] + at, 16);
}
#if !NN_DOUBLE
NN_VERB vec vload_bfloat16(const uint16_t *line, int from)
{
    return nn_widen_bfloat16(line[NN_BFLOAT16_PLACE(from)]);
}
#endif
NN_VERB vec vload_first(const REAL *p, int n, vec rest) { return n > 0 ? *p : rest; }
NN_VERB void vstore_first(REAL *p, int n, vec a) { if (n > 0) *p = a; }
NN_VERB void vstore(REAL *p, vec a) { *p = a; }
NN_VERB vec vset1(REAL a) { return a; }
NN_VERB vec vadd(vec a, vec b) { return a + b; }
NN_VERB vec vsub(vec a, vec b) { return a - b; }
NN_VERB vec vmul(vec a, vec b) { return a * b; }
NN_VERB vec vdiv(vec a, vec b) { return a / b; }
NN_VERB vec vmax(vec a, vec b) { return a > b ? a : b; }
NN_VERB vec vmin(vec a, vec b) { return a < b ? a : b; }
#if NN_DOUBLE
NN_VERB vec vfma(vec a, vec b, vec c) { return fma(a, b, c); }
NN_VERB vec vrint(vec a) { return rint(a); }
NN_VERB vec vsqrt(vec a) { return sqrt(a); }
NN_VERB vec vabs(vec a) { return fabs(a); }
NN_VERB vec vcopysign(vec a, vec b) { return copysign(a, b); }
typedef uint64_t bits_of_real;
#else
NN_VERB vec vfma(vec a, vec b, vec c) { return fmaf(a, b, c); }
NN_VERB vec vrint(vec a) { return rintf(a); }
NN_VERB vec vsqrt(vec a) { return sqrtf(a); }
NN_VERB vec vabs(vec a) { return fabsf(a); }
NN_VERB vec vcopysign(vec a, vec b) { return copysignf(a, b); }
typedef uint32_t bits_of_real;
#endif
NN_VERB bits_of_real to_bits(REAL a)
{
    bits_of_real bits;
    memcpy(&bits, &a, sizeof bits);
    return bits;
}
NN_VERB REAL from_bits(bits_of_real bits)
{
    REAL a;
    memcpy(&a, &bits, sizeof a);
    return a;
}
NN_VERB vec vneg(vec a) { return -a; }
NN_VERB vec vor(vec a, vec b) { return from_bits(to_bits(a) | to_bits(b)); }
NN_VERB vec vxor(vec a, vec b) { return from_bits(to_bits(a) ^ to_bits(b)); }
NN_VERB mask vless(vec a, vec b) { return a < b; }
NN_VERB mask visnan(vec a) { return a != a; }
NN_VERB vec vselect(mask m, vec a, vec b) { return m ? a : b; }

/* After adding 1.5 * 2^MANTISSA_BITS, the low bits of the sum hold n as an integer. */
NN_VERB vec vpow2(vec n)
{
    bits_of_real whole = to_bits(n + (REAL)1.5 * ((bits_of_real)1 << MANTISSA_BITS));
    return from_bits((whole + EXPONENT_BIAS) << MANTISSA_BITS);
}
NN_VERB vec vscale(vec a, vec n)
{
    vec last = vmax(n, (REAL)(1 - EXPONENT_BIAS)); /* only multiplying by 2^last may round */
    return a * vpow2(n - last) * vpow2(last);
}
NN_VERB vec vsplit(vec a, vec *exponent)
{
    bits_of_real base = to_bits(SQRT_HALF), bits = to_bits(a) - base;
    *exponent = (REAL)(bits >> MANTISSA_BITS);
    return from_bits((bits & (((bits_of_real)1 << MANTISSA_BITS) - 1)) + base);
}
NN_VERB unsigned vnonzero(vec a) { return a != 0; }
NN_VERB unsigned vsubnormal(vec a) { return a != 0 && !(to_bits(vabs(a)) >> MANTISSA_BITS); }
NN_VERB int vstore_indices(int32_t *p, unsigned bits, int32_t first)
{
    *p = first;
    return (int)bits;
}
NN_VERB void vtranspose(vec r[LANES]) { (void)r; }
NN_VERB void vload_transposed(const char *const *from, ptrdiff_t at, vec r[LANES])
{
    r[0] = vload((const REAL *)from[0] + at);
}
NN_VERB REAL vsum(vec a) { return a; }
NN_VERB REAL vlargest(vec a) { return a; }
