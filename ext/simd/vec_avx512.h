/* The verbs for AVX-512 (F, DQ, BW, VL). vec_scalar.h is the reference: it says what each verb
 * does, also with NaN and ties. Comments here only explain how. */
#if defined(__x86_64__)
#include <immintrin.h>

#define NN_TARGET __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma,popcnt")))

#if NN_DOUBLE
#define LANES 8
#define OP(name) _mm512_##name##_pd
#define INT(name) _mm512_##name##_epi64
#define TO_INT _mm512_castpd_si512
#define FROM_INT _mm512_castsi512_pd
#define NN_QUARTER(name) _mm_##name##_pd
#define INSERT_BLOCK _mm512_insertf64x2
#define SHUFFLE_BLOCKS _mm512_shuffle_f64x2
#define AS_FIRST_BLOCK _mm512_castpd128_pd512
typedef __m512d vec;
typedef __mmask8 mask;
#else
#define LANES 16
#define OP(name) _mm512_##name##_ps
#define INT(name) _mm512_##name##_epi32
#define TO_INT _mm512_castps_si512
#define FROM_INT _mm512_castsi512_ps
#define NN_QUARTER(name) _mm_##name##_ps
#define INSERT_BLOCK _mm512_insertf32x4
#define SHUFFLE_BLOCKS _mm512_shuffle_f32x4
#define AS_FIRST_BLOCK _mm512_castps128_ps512
typedef __m512 vec;
typedef __mmask16 mask;
#endif

/* Tuning, the same for float and double: see tuning.tpl.h.
 *
 * Tiles: 24 sums, an input for each vector of samples, and a weight fit into the registers. */
#define REGISTERS 32
#define TILE_VECTORS 3
#define TILE_OUTPUTS_1 8
#define TILE_WHOLE_1 !NN_DOUBLE
#define TILE_OUTPUTS_2 8
#define TILE_OUTPUTS_3 8
#define TILE_GROUPS 1
#define WIDE_GROUPS 2
/* A part of the second-level cache that leaves room for weights and sums. In blocks for the
 * first-level cache, storing and loading incomplete sums would take 4 % longer. */
#define BLOCK_BYTES 98304
/* Rows: up to 24 sums, because a panel is one vector, together with the weights of the panels. */
#define ROW_PANELS_1 8
#define ROW_PANELS_2 8
#define ROW_PANELS_4 4
#define ROW_PANELS_8 3
/* Narrow weights: 16 sums, so that a line is widened once for as many multiply-adds. On CPUs that
 * begin two multiply-adds in each cycle, the two instructions that widen a line take the place of
 * two multiply-adds. So for more than one vector, lines are widened into memory first (for two,
 * that takes 0.77 of the time on Zen 5). On a CPU that begins one in each cycle both take the same
 * time. */
#define WIDEN_SAMPLES 16
#define WIDEN_VECTORS 1
#define SLOW_SUBNORMALS 1

/* The costs were measured with 19 networks of one to three layers. The numbers of bytes were
 * measured too; they depend more on the caches of a CPU than on its instructions. Two costs depend
 * on how many multiply-adds a CPU begins in each cycle. Where it is two (Zen 5), loads are the
 * limit: a lone vector costs 1.35, and a load 4. Where it is one (Zen 4), they cost 1.08 and 2. The
 * costs for two are taken: with one, rows are hardly slower than a lone vector. */
#define COSTS                                                                                     \
    {                                                                                             \
        .tile_multiply_add = 1.08, .lone_multiply_add = 1.35, .tile_value = 11,                   \
        .row_multiply_add = 1.1, .row_input = 4, .row_output = 5, .row_load = 4,                  \
        .row_bytes = 512 << 10, .wide_bytes = 4 << 20, .near_bytes = 1 << 20,                     \
        .narrow_bytes = 512 << 10, .narrow_samples = 16, .memory_rows = 8,                        \
    }

NN_VERB vec vload(const REAL *p) { return OP(loadu)(p); }
NN_VERB vec vload_bytes(const uint8_t *p)
{
#if NN_DOUBLE
    return _mm512_cvtepi32_pd(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p)));
#else
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p)));
#endif
}
#if !NN_DOUBLE
NN_VERB vec vload_bfloat16(const uint16_t *line, int from)
{
    const __m512i place = _mm512_setr_epi32(0 << 16, 2 << 16, 4 << 16, 6 << 16, 8 << 16, 10 << 16,
                                            12 << 16, 14 << 16, 1 << 16, 3 << 16, 5 << 16, 7 << 16,
                                            9 << 16, 11 << 16, 13 << 16, 15 << 16);
    const __m256i halves = _mm256_loadu_si256((const __m256i *)(line + from));
    return FROM_INT(
        _mm512_maskz_permutexvar_epi16(0xaaaaaaaa, place, _mm512_castsi256_si512(halves)));
}
#endif
NN_VERB vec vload_first(const REAL *p, int n, vec rest)
{
    return OP(mask_loadu)(rest, (mask)((1u << n) - 1), p);
}
NN_VERB void vstore_first(REAL *p, int n, vec a) { OP(mask_storeu)(p, (mask)((1u << n) - 1), a); }
NN_VERB void vstore(REAL *p, vec a) { OP(storeu)(p, a); }
NN_VERB vec vset1(REAL a) { return OP(set1)(a); }
NN_VERB vec vadd(vec a, vec b) { return OP(add)(a, b); }
NN_VERB vec vsub(vec a, vec b) { return OP(sub)(a, b); }
NN_VERB vec vmul(vec a, vec b) { return OP(mul)(a, b); }
NN_VERB vec vdiv(vec a, vec b) { return OP(div)(a, b); }
NN_VERB vec vfma(vec a, vec b, vec c) { return OP(fmadd)(a, b, c); }
NN_VERB vec vmax(vec a, vec b) { return OP(max)(a, b); }
NN_VERB vec vmin(vec a, vec b) { return OP(min)(a, b); }
NN_VERB vec vsqrt(vec a) { return OP(sqrt)(a); }
NN_VERB vec vrint(vec a) { return OP(roundscale)(a, _MM_FROUND_TO_NEAREST_INT); }
NN_VERB vec vabs(vec a) { return OP(abs)(a); }
NN_VERB vec vneg(vec a) { return FROM_INT(_mm512_xor_si512(TO_INT(a), TO_INT(vset1((REAL)-0.0)))); }
NN_VERB vec vcopysign(vec a, vec b)
{
    vec sign = vset1((REAL)-0.0);
    return OP(or)(OP(andnot)(sign, a), OP(and)(sign, b));
}
NN_VERB vec vor(vec a, vec b) { return OP(or)(a, b); }
NN_VERB vec vxor(vec a, vec b) { return OP(xor)(a, b); }
enum { SUBNORMAL = 0x20 }; /* the bit of this class of numbers */
#if NN_DOUBLE
NN_VERB unsigned vsubnormal(vec a) { return _mm512_fpclass_pd_mask(a, SUBNORMAL); }
NN_VERB mask vless(vec a, vec b) { return _mm512_cmp_pd_mask(a, b, _CMP_LT_OQ); }
NN_VERB mask visnan(vec a) { return _mm512_cmp_pd_mask(a, a, _CMP_UNORD_Q); }
NN_VERB vec vselect(mask m, vec a, vec b) { return _mm512_mask_blend_pd(m, b, a); }
#else
NN_VERB unsigned vsubnormal(vec a) { return _mm512_fpclass_ps_mask(a, SUBNORMAL); }
NN_VERB mask vless(vec a, vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
NN_VERB mask visnan(vec a) { return _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q); }
NN_VERB vec vselect(mask m, vec a, vec b) { return _mm512_mask_blend_ps(m, b, a); }
#endif
NN_VERB vec vscale(vec a, vec n) { return OP(scalef)(a, n); }
NN_VERB vec vpow2(vec n) { return vscale(vset1(1), n); }

NN_VERB vec vsplit(vec a, vec *exponent)
{
    __m512i base = TO_INT(vset1(SQRT_HALF));
    __m512i bits = INT(sub)(TO_INT(a), base);
#if NN_DOUBLE
    *exponent = _mm512_cvtepi64_pd(_mm512_srai_epi64(bits, MANTISSA_BITS));
    bits = _mm512_and_si512(bits, _mm512_set1_epi64((1LL << MANTISSA_BITS) - 1));
#else
    *exponent = _mm512_cvtepi32_ps(_mm512_srai_epi32(bits, MANTISSA_BITS));
    bits = _mm512_and_si512(bits, _mm512_set1_epi32((1 << MANTISSA_BITS) - 1));
#endif
    return FROM_INT(INT(add)(bits, base));
}

NN_VERB unsigned vnonzero(vec a)
{
    __m512i magnitude = TO_INT(vabs(a));
#if NN_DOUBLE
    return _mm512_test_epi64_mask(magnitude, magnitude);
#else
    return _mm512_test_epi32_mask(magnitude, magnitude);
#endif
}

/* Compress in a register, then store the whole register: compressing to memory is microcode on Zen
 * 4. */
NN_VERB int vstore_indices(int32_t *p, unsigned bits, int32_t first)
{
    __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    lane = _mm512_add_epi32(lane, _mm512_set1_epi32(first));
    _mm512_storeu_si512(p, _mm512_maskz_compress_epi32((__mmask16)bits, lane));
    return __builtin_popcount(bits);
}

enum { BLOCK = 16 / sizeof(REAL) }; /* the REALs in 128 bits */

/* Transpose the squares that lie side by side in BLOCK vectors. */
NN_VERB void transpose_blocks(vec r[BLOCK])
{
#if NN_DOUBLE
    const vec first = _mm512_unpacklo_pd(r[0], r[1]);
    r[1] = _mm512_unpackhi_pd(r[0], r[1]);
    r[0] = first;
#else
    const vec low0 = _mm512_unpacklo_ps(r[0], r[1]), high0 = _mm512_unpackhi_ps(r[0], r[1]);
    const vec low1 = _mm512_unpacklo_ps(r[2], r[3]), high1 = _mm512_unpackhi_ps(r[2], r[3]);
    r[0] = _mm512_shuffle_ps(low0, low1, 0x44);
    r[1] = _mm512_shuffle_ps(low0, low1, 0xee);
    r[2] = _mm512_shuffle_ps(high0, high1, 0x44);
    r[3] = _mm512_shuffle_ps(high0, high1, 0xee);
#endif
}

/* Transpose within blocks first, then exchange blocks in two rounds. */
NN_VERB void vtranspose(vec r[LANES])
{
    vec t[LANES];
    for (int i = 0; i < LANES; i++)
        t[i] = r[i];
    for (int i = 0; i < LANES; i += BLOCK)
        transpose_blocks(t + i);
    for (int c = 0; c < BLOCK; c++) {
        const vec *b = t + c;
        vec a0 = SHUFFLE_BLOCKS(b[0], b[BLOCK], 0x88);
        vec a1 = SHUFFLE_BLOCKS(b[0], b[BLOCK], 0xdd);
        vec b0 = SHUFFLE_BLOCKS(b[2 * BLOCK], b[3 * BLOCK], 0x88);
        vec b1 = SHUFFLE_BLOCKS(b[2 * BLOCK], b[3 * BLOCK], 0xdd);
        r[c] = SHUFFLE_BLOCKS(a0, b0, 0x88);
        r[BLOCK + c] = SHUFFLE_BLOCKS(a1, b1, 0x88);
        r[2 * BLOCK + c] = SHUFFLE_BLOCKS(a0, b0, 0xdd);
        r[3 * BLOCK + c] = SHUFFLE_BLOCKS(a1, b1, 0xdd);
    }
}

/* The loads exchange the blocks, because many CPUs have one unit only that exchanges them between
 * registers. */
NN_VERB void vload_transposed(const char *const *from, ptrdiff_t at, vec r[LANES])
{
    for (int column = 0; column < LANES; column += BLOCK) {
        for (int i = 0; i < BLOCK; i++) {
#define NN_BLOCK(block)                                                                           \
    NN_QUARTER(loadu)((const REAL *)from[(block) * BLOCK + i] + at + column)
            vec blocks = AS_FIRST_BLOCK(NN_BLOCK(0));
            blocks = INSERT_BLOCK(blocks, NN_BLOCK(1), 1);
            blocks = INSERT_BLOCK(blocks, NN_BLOCK(2), 2);
            r[column + i] = INSERT_BLOCK(blocks, NN_BLOCK(3), 3);
#undef NN_BLOCK
        }
        transpose_blocks(r + column);
    }
}

#if NN_DOUBLE
#define NN_HALF(name) _mm256_##name##_pd
#define NN_LANE(name) _mm_##name##_sd
NN_VERB __m256d low_half(vec a) { return _mm512_castpd512_pd256(a); }
NN_VERB __m256d high_half(vec a) { return _mm512_extractf64x4_pd(a, 1); }
#else
#define NN_HALF(name) _mm256_##name##_ps
#define NN_LANE(name) _mm_##name##_ss
NN_VERB __m256 low_half(vec a) { return _mm512_castps512_ps256(a); }
NN_VERB __m256 high_half(vec a) { return _mm512_extractf32x8_ps(a, 1); }
#endif
#include "both_x86.h"
NN_VERB REAL vsum(vec a) { return fold_add(NN_HALF(add)(low_half(a), high_half(a))); }
NN_VERB REAL vlargest(vec a) { return fold_max(NN_HALF(max)(low_half(a), high_half(a))); }
#endif
