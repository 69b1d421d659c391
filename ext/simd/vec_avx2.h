/* The verbs for AVX2 with FMA. vec_scalar.h is the reference: it says what each verb does, also
 * with NaN and ties. Comments here only explain how. */
#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#include "set_bits.h"

#define NN_TARGET __attribute__((target("avx2,fma,popcnt")))

#if NN_DOUBLE
#define LANES 4
#define OP(name) _mm256_##name##_pd
#define INT(name) _mm256_##name##_epi64
#define TO_INT _mm256_castpd_si256
#define FROM_INT _mm256_castsi256_pd
#define SET1_INT(a) _mm256_set1_epi64x(a)
#define NN_QUARTER(name) _mm_##name##_pd
#define AS_LOW_HALF _mm256_castpd128_pd256
typedef __m256d vec;
#else
#define LANES 8
#define OP(name) _mm256_##name##_ps
#define INT(name) _mm256_##name##_epi32
#define TO_INT _mm256_castps_si256
#define FROM_INT _mm256_castsi256_ps
#define SET1_INT(a) _mm256_set1_epi32(a)
#define NN_QUARTER(name) _mm_##name##_ps
#define AS_LOW_HALF _mm256_castps128_ps256
typedef __m256 vec;
#endif
typedef vec mask; /* In each lane, all bits are set or none. */

/* Tuning, the same for float and double: see tuning.tpl.h.
 *
 * Tiles: 12 sums, an input for each vector of samples, and a weight fit into the registers. Three
 * vectors and 4 outputs take the fewest loads, and a panel is then four blocks without a rest. */
#define REGISTERS 16
#define TILE_VECTORS 3
#define TILE_OUTPUTS_1 8
#define TILE_WHOLE_1 0
#define TILE_OUTPUTS_2 6
#define TILE_OUTPUTS_3 4
#define TILE_GROUPS 1
#define WIDE_GROUPS 2
/* Half of a first-level cache: 4 outputs are few, so each multiply-add reads many bytes of the
 * tile. From the second-level cache they would take a fifth longer. */
#define BLOCK_BYTES 18432
/* Rows: 8 sums, because a panel is two vectors. Eight samples would need 16 sums: they are run as
 * twice four. */
#define ROW_PANELS_1 4
#define ROW_PANELS_2 2
#define ROW_PANELS_4 1
#define ROW_PANELS_8 0
/* Narrow weights: 8 sums. Widening costs a tenth of their time, so for more than one vector of
 * samples it is cheaper in memory. */
#define WIDEN_SAMPLES 4
#define WIDEN_VECTORS 1
#define SLOW_SUBNORMALS 1

/* The costs were measured with 19 networks of one to three layers. The numbers of bytes were
 * measured too; they depend more on the caches of a CPU than on its instructions. */
#define COSTS                                                                                     \
    {                                                                                             \
        .tile_multiply_add = 1.08, .lone_multiply_add = 1.35, .tile_value = 16,                   \
        .row_multiply_add = 1.25, .row_input = 8, .row_output = 6, .row_load = 1,                 \
        .row_bytes = 512 << 10, .wide_bytes = 4 << 20, .near_bytes = 1 << 20,                     \
        .narrow_bytes = 512 << 10, .narrow_samples = 16, .memory_rows = 2,                        \
    }

NN_VERB vec vload(const REAL *p) { return OP(loadu)(p); }
NN_VERB vec vload_bytes(const uint8_t *p)
{
#if NN_DOUBLE
    int32_t four;
    memcpy(&four, p, sizeof four);
    return _mm256_cvtepi32_pd(_mm_cvtepu8_epi32(_mm_cvtsi32_si128(four)));
#else
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p)));
#endif
}
NN_VERB __m256i first_lanes(int n)
{
    static const int32_t ones[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
    const int32_t *from = ones + 8 - n * (int)sizeof(REAL) / 4;
    return _mm256_loadu_si256((const __m256i *)from);
}
NN_VERB vec vload_first(const REAL *p, int n, vec rest)
{
    __m256i wanted = first_lanes(n);
    return OP(blendv)(rest, OP(maskload)(p, wanted), FROM_INT(wanted));
}
NN_VERB void vstore(REAL *p, vec a) { OP(storeu)(p, a); }
/* In pieces of 4, 2 and 1: a masked store takes AMD's cores dozens of steps. */
NN_VERB void vstore_first(REAL *p, int n, vec a)
{
    if (n == LANES)
        vstore(p, a);
#if NN_DOUBLE
    __m128d piece = _mm256_castpd256_pd128(a);
    if (n & 2) {
        _mm_storeu_pd(p, piece);
        piece = _mm256_extractf128_pd(a, 1);
        p += 2;
    }
    if (n & 1)
        _mm_store_sd(p, piece);
#else
    __m128 piece = _mm256_castps256_ps128(a);
    if (n & 4) {
        _mm_storeu_ps(p, piece);
        piece = _mm256_extractf128_ps(a, 1);
        p += 4;
    }
    if (n & 2) {
        _mm_storel_pi((__m64 *)p, piece);
        piece = _mm_movehl_ps(piece, piece);
        p += 2;
    }
    if (n & 1)
        _mm_store_ss(p, piece);
#endif
}
NN_VERB vec vset1(REAL a) { return OP(set1)(a); }
NN_VERB vec vadd(vec a, vec b) { return OP(add)(a, b); }
NN_VERB vec vsub(vec a, vec b) { return OP(sub)(a, b); }
NN_VERB vec vmul(vec a, vec b) { return OP(mul)(a, b); }
NN_VERB vec vdiv(vec a, vec b) { return OP(div)(a, b); }
NN_VERB vec vfma(vec a, vec b, vec c) { return OP(fmadd)(a, b, c); }
NN_VERB vec vmax(vec a, vec b) { return OP(max)(a, b); }
NN_VERB vec vmin(vec a, vec b) { return OP(min)(a, b); }
NN_VERB vec vsqrt(vec a) { return OP(sqrt)(a); }
NN_VERB vec vrint(vec a) { return OP(round)(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
NN_VERB vec vabs(vec a) { return OP(andnot)(vset1((REAL)-0.0), a); }
NN_VERB vec vneg(vec a) { return OP(xor)(a, vset1((REAL)-0.0)); }
NN_VERB vec vcopysign(vec a, vec b) { return OP(or)(vabs(a), OP(and)(vset1((REAL)-0.0), b)); }
NN_VERB vec vor(vec a, vec b) { return OP(or)(a, b); }
NN_VERB vec vxor(vec a, vec b) { return OP(xor)(a, b); }
NN_VERB mask vless(vec a, vec b) { return OP(cmp)(a, b, _CMP_LT_OQ); }
NN_VERB mask visnan(vec a) { return OP(cmp)(a, a, _CMP_UNORD_Q); }
NN_VERB vec vselect(mask m, vec a, vec b) { return OP(blendv)(b, a, m); }

/* After adding 1.5 * 2^MANTISSA_BITS, the low bits of the sum hold n as an integer. */
NN_VERB vec vpow2(vec n)
{
    vec whole = vadd(n, vset1((REAL)1.5 * ((int64_t)1 << MANTISSA_BITS)));
    __m256i biased = INT(add)(TO_INT(whole), SET1_INT(EXPONENT_BIAS));
    return FROM_INT(INT(slli)(biased, MANTISSA_BITS));
}
NN_VERB vec vscale(vec a, vec n)
{
    vec last = vmax(n, vset1((REAL)(1 - EXPONENT_BIAS))); /* only this part may round */
    return vmul(vmul(a, vpow2(vsub(n, last))), vpow2(last));
}

NN_VERB vec vsplit(vec a, vec *exponent)
{
    __m256i base = TO_INT(vset1(SQRT_HALF));
    __m256i bits = INT(sub)(TO_INT(a), base);
    __m256i high = INT(srli)(bits, MANTISSA_BITS);
#if NN_DOUBLE
    vec offset = vset1(0x1p52); /* AVX2 cannot convert 64-bit integers */
    *exponent = vsub(FROM_INT(_mm256_or_si256(high, TO_INT(offset))), offset);
#else
    *exponent = _mm256_cvtepi32_ps(high);
#endif
    bits = _mm256_and_si256(bits, SET1_INT(((int64_t)1 << MANTISSA_BITS) - 1));
    return FROM_INT(INT(add)(bits, base));
}

NN_VERB unsigned vnonzero(vec a)
{
    unsigned zero = (unsigned)OP(movemask)(OP(cmp)(a, vset1(0), _CMP_EQ_OQ));
    return zero ^ ((1u << LANES) - 1);
}

/* Twice the bits leave the sign out. After subtracting 1, zero is the largest unsigned number. AVX2
 * compares signed numbers only, so half of their range is added to that. */
NN_VERB unsigned vsubnormal(vec a)
{
    const int64_t least = NN_DOUBLE ? INT64_MIN : INT32_MIN;
    const __m256i twice = INT(add)(TO_INT(a), TO_INT(a));
    const __m256i ordered = INT(add)(twice, SET1_INT(-(least + 1)));
    const __m256i end = SET1_INT(least + ((int64_t)2 << MANTISSA_BITS) - 1);
    return (unsigned)OP(movemask)(FROM_INT(INT(cmpgt)(end, ordered)));
}

NN_VERB int vstore_indices(int32_t *p, unsigned bits, int32_t first)
{
    __m256i lanes = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)nn_set_bits[bits]));
    _mm256_storeu_si256((__m256i *)p, _mm256_add_epi32(lanes, _mm256_set1_epi32(first)));
    return __builtin_popcount(bits);
}

enum { BLOCK = 16 / sizeof(REAL) }; /* the REALs in 128 bits */

/* Transpose the squares that lie side by side in BLOCK vectors. */
NN_VERB void transpose_blocks(vec r[BLOCK])
{
#if NN_DOUBLE
    const vec first = _mm256_unpacklo_pd(r[0], r[1]);
    r[1] = _mm256_unpackhi_pd(r[0], r[1]);
    r[0] = first;
#else
    const vec low0 = _mm256_unpacklo_ps(r[0], r[1]), high0 = _mm256_unpackhi_ps(r[0], r[1]);
    const vec low1 = _mm256_unpacklo_ps(r[2], r[3]), high1 = _mm256_unpackhi_ps(r[2], r[3]);
    r[0] = _mm256_shuffle_ps(low0, low1, 0x44);
    r[1] = _mm256_shuffle_ps(low0, low1, 0xee);
    r[2] = _mm256_shuffle_ps(high0, high1, 0x44);
    r[3] = _mm256_shuffle_ps(high0, high1, 0xee);
#endif
}

/* Transpose within 128 bits first, then exchange the halves. */
NN_VERB void vtranspose(vec r[LANES])
{
    transpose_blocks(r);
    transpose_blocks(r + BLOCK);
    for (int c = 0; c < BLOCK; c++) {
        const vec low = r[c], high = r[BLOCK + c];
        r[c] = OP(permute2f128)(low, high, 0x20);
        r[BLOCK + c] = OP(permute2f128)(low, high, 0x31);
    }
}

/* The loads exchange the halves, because many CPUs have one unit only that exchanges them between
 * registers. */
NN_VERB void vload_transposed(const char *const *from, ptrdiff_t at, vec r[LANES])
{
    for (int column = 0; column < LANES; column += BLOCK) {
        for (int i = 0; i < BLOCK; i++) {
            const REAL *low = (const REAL *)from[i] + at + column;
            const REAL *high = (const REAL *)from[BLOCK + i] + at + column;
            r[column + i] = OP(insertf128)(AS_LOW_HALF(NN_QUARTER(loadu)(low)),
                                           NN_QUARTER(loadu)(high), 1);
        }
        transpose_blocks(r + column);
    }
}

#if NN_DOUBLE
#define NN_HALF(name) _mm256_##name##_pd
#define NN_LANE(name) _mm_##name##_sd
#else
#define NN_HALF(name) _mm256_##name##_ps
#define NN_LANE(name) _mm_##name##_ss
#endif
#include "both_x86.h"
#if !NN_DOUBLE
NN_VERB vec vload_bfloat16(const uint16_t *line, int from)
{
    const __m256i pairs = _mm256_loadu_si256((const __m256i *)(line + NN_BFLOAT16_PLACE(from) - 1));
    return FROM_INT(_mm256_and_si256(pairs, SET1_INT((int)0xffff0000)));
}
#endif
NN_VERB REAL vsum(vec a) { return fold_add(a); }
NN_VERB REAL vlargest(vec a) { return fold_max(a); }
#endif
