/* The verbs for NEON, which every 64-bit ARM has. vec_scalar.h is the reference: it says what each
 * verb does, also with NaN and ties. Comments here only explain how. Vectors are loaded and stored
 * as bytes, because an element may be unaligned. This needs a little-endian target. */
#if defined(__aarch64__) && !defined(__AARCH64EB__)
#include <arm_neon.h>
#include <string.h>

#define NN_TARGET /* No attribute, because every 64-bit ARM has these instructions. */

#if NN_DOUBLE
#define LANES 2
#define OP(name) name##_f64
#define UNSIGNED(name) name##_u64
#define INT(name) name##_s64
#define FROM_BYTES_OF vreinterpretq_f64_u8
#define TO_BYTES_OF vreinterpretq_u8_f64
#define MASK_OF_BYTES vreinterpretq_u64_u8
#define BYTES_OF_MASK vreinterpretq_u8_u64
#define TO_UNSIGNED vreinterpretq_u64_f64
#define TO_INT vreinterpretq_s64_f64
#define FROM_UNSIGNED vreinterpretq_f64_u64
#define FROM_INT vreinterpretq_f64_s64
#define ROUND_TO_INT vcvtq_s64_f64
#define REAL_OF_INT vcvtq_f64_s64
typedef float64x2_t vec;
typedef uint64x2_t mask; /* In each lane, all bits are set or none. */
typedef int64x2_t whole_numbers;
#else
#define LANES 4
#define OP(name) name##_f32
#define UNSIGNED(name) name##_u32
#define INT(name) name##_s32
#define FROM_BYTES_OF vreinterpretq_f32_u8
#define TO_BYTES_OF vreinterpretq_u8_f32
#define MASK_OF_BYTES vreinterpretq_u32_u8
#define BYTES_OF_MASK vreinterpretq_u8_u32
#define TO_UNSIGNED vreinterpretq_u32_f32
#define TO_INT vreinterpretq_s32_f32
#define FROM_UNSIGNED vreinterpretq_f32_u32
#define FROM_INT vreinterpretq_f32_s32
#define ROUND_TO_INT vcvtq_s32_f32
#define REAL_OF_INT vcvtq_f32_s32
typedef float32x4_t vec;
typedef uint32x4_t mask;
typedef int32x4_t whole_numbers;
#endif

/* Tuning, the same for float and double: see tuning.tpl.h. A line of a panel is four vectors. The
 * numbers follow from counting registers and loads; they have not been measured on a machine yet.
 *
 * Tiles: 24 sums, an input for each vector of samples, and a weight fit into the registers. */
#define REGISTERS 32
#define TILE_VECTORS 3
#define TILE_OUTPUTS_1 8
#define TILE_WHOLE_1 0
#define TILE_OUTPUTS_2 8
#define TILE_OUTPUTS_3 8
/* A tile has 48 float or 24 double samples, as with AVX-512, and twice as many for large
 * networks. */
#define TILE_GROUPS 4
#define WIDE_GROUPS 8
/* As with AVX-512, but for a second-level cache of 256 kB, the smallest in a fast CPU. */
#define BLOCK_BYTES 98304
/* Rows: 16 sums, because a panel is four vectors, together with up to 8 vectors of weights. Eight
 * samples would need all 32 registers for their sums. */
#define ROW_PANELS_1 4
#define ROW_PANELS_2 2
#define ROW_PANELS_4 1
#define ROW_PANELS_8 0
/* Narrow weights: 16 sums. */
#define WIDEN_SAMPLES 4
#define WIDEN_VECTORS 1
#define SLOW_SUBNORMALS 0
/* These are the costs of AVX2, because nothing has been measured on a machine yet. A lone vector
 * costs what others do: how much more it takes with AVX2 says nothing about other registers. */
#define COSTS                                                                                     \
    {                                                                                             \
        .tile_multiply_add = 1.08, .lone_multiply_add = 1.08, .tile_value = 16,                   \
        .row_multiply_add = 1.25, .row_input = 8, .row_output = 6, .row_load = 1,                 \
        .row_bytes = 512 << 10, .wide_bytes = 4 << 20, .near_bytes = 1 << 20,                     \
        .narrow_bytes = 512 << 10, .narrow_samples = 16, .memory_rows = 2,                        \
    }

NN_VERB vec vload(const REAL *p) { return FROM_BYTES_OF(vld1q_u8((const uint8_t *)p)); }
NN_VERB void vstore(REAL *p, vec a) { vst1q_u8((uint8_t *)p, TO_BYTES_OF(a)); }
NN_VERB vec vset1(REAL a) { return OP(vdupq_n)(a); }

NN_VERB vec vload_bytes(const uint8_t *p)
{
    uint32_t few = 0; /* one byte for each lane */
    memcpy(&few, p, LANES);
    const uint16x4_t wider = vget_low_u16(vmovl_u8(vcreate_u8(few)));
#if NN_DOUBLE
    return vcvtq_f64_u64(vmovl_u32(vget_low_u32(vmovl_u16(wider))));
#else
    return vcvtq_f32_u32(vmovl_u16(wider));
#endif
}

#if !NN_DOUBLE
NN_VERB vec vload_bfloat16(const uint16_t *line, int from)
{
    const uint16x8_t pairs = vld1q_u16(line + NN_BFLOAT16_PLACE(from) - 1);
    return FROM_UNSIGNED(vandq_u32(vreinterpretq_u32_u16(pairs), vdupq_n_u32(0xffff0000)));
}
#endif

/* The number of a lane must be a constant, so there is a statement for each lane. */
#if NN_DOUBLE
#define NN_FIRST_LANES(LANE) LANE(0) LANE(1)
#else
#define NN_FIRST_LANES(LANE) LANE(0) LANE(1) LANE(2) LANE(3)
#endif
#define NN_LOAD_LANE(lane)                                                                        \
    if (n > lane) {                                                                               \
        memcpy(&one, p + lane, sizeof one);                                                       \
        rest = OP(vsetq_lane)(one, rest, lane);                                                   \
    }
#define NN_STORE_LANE(lane)                                                                       \
    if (n > lane) {                                                                               \
        one = OP(vgetq_lane)(a, lane);                                                            \
        memcpy(p + lane, &one, sizeof one);                                                       \
    }
NN_VERB vec vload_first(const REAL *p, int n, vec rest)
{
    REAL one;
    if (n == LANES)
        return vload(p);
    NN_FIRST_LANES(NN_LOAD_LANE)
    return rest;
}
NN_VERB void vstore_first(REAL *p, int n, vec a)
{
    REAL one;
    if (n == LANES)
        vstore(p, a);
    else {
        NN_FIRST_LANES(NN_STORE_LANE)
    }
}

NN_VERB vec vadd(vec a, vec b) { return OP(vaddq)(a, b); }
NN_VERB vec vsub(vec a, vec b) { return OP(vsubq)(a, b); }
NN_VERB vec vmul(vec a, vec b) { return OP(vmulq)(a, b); }
NN_VERB vec vdiv(vec a, vec b) { return OP(vdivq)(a, b); }
NN_VERB vec vfma(vec a, vec b, vec c) { return OP(vfmaq)(c, a, b); }
NN_VERB vec vsqrt(vec a) { return OP(vsqrtq)(a); }
NN_VERB vec vrint(vec a) { return OP(vrndnq)(a); }
NN_VERB vec vabs(vec a) { return OP(vabsq)(a); }
NN_VERB vec vneg(vec a) { return OP(vnegq)(a); }
NN_VERB vec vor(vec a, vec b)
{
    return FROM_UNSIGNED(UNSIGNED(vorrq)(TO_UNSIGNED(a), TO_UNSIGNED(b)));
}
NN_VERB vec vxor(vec a, vec b)
{
    return FROM_UNSIGNED(UNSIGNED(veorq)(TO_UNSIGNED(a), TO_UNSIGNED(b)));
}
NN_VERB mask vless(vec a, vec b) { return OP(vcltq)(a, b); }
NN_VERB vec vselect(mask m, vec a, vec b) { return OP(vbslq)(m, a, b); }
NN_VERB mask visnan(vec a)
{
    return MASK_OF_BYTES(vmvnq_u8(BYTES_OF_MASK(OP(vceqq)(a, a))));
}
/* The instructions fmax and fmin do not fit: they give NaN if either is NaN, and take -0.0 as less
 * than +0.0. */
NN_VERB vec vmax(vec a, vec b) { return vselect(vless(b, a), a, b); }
NN_VERB vec vmin(vec a, vec b) { return vselect(vless(a, b), a, b); }
NN_VERB vec vcopysign(vec a, vec b) { return vselect(TO_UNSIGNED(vset1((REAL)-0.0)), b, a); }

NN_VERB vec vpow2(vec n)
{
    const whole_numbers bias = INT(vdupq_n)(EXPONENT_BIAS);
    return FROM_INT(INT(vshlq_n)(INT(vaddq)(ROUND_TO_INT(n), bias), MANTISSA_BITS));
}
NN_VERB vec vscale(vec a, vec n)
{
    vec last = vmax(n, vset1((REAL)(1 - EXPONENT_BIAS))); /* only this part may round */
    return vmul(vmul(a, vpow2(vsub(n, last))), vpow2(last));
}
NN_VERB vec vsplit(vec a, vec *exponent)
{
    const whole_numbers base = TO_INT(vset1(SQRT_HALF)), bits = INT(vsubq)(TO_INT(a), base);
    const whole_numbers fraction = INT(vdupq_n)(((int64_t)1 << MANTISSA_BITS) - 1);
    *exponent = REAL_OF_INT(INT(vshrq_n)(bits, MANTISSA_BITS));
    return FROM_INT(INT(vaddq)(INT(vandq)(bits, fraction), base));
}

/* A bit for each lane of a mask that is not set. */
NN_VERB unsigned lanes_not_in(mask m)
{
    const mask bit_of_lane = {1, 2
#if !NN_DOUBLE
        , 4, 8
#endif
    };
    return (unsigned)UNSIGNED(vaddvq)(UNSIGNED(vbicq)(bit_of_lane, m));
}
NN_VERB unsigned vnonzero(vec a) { return lanes_not_in(OP(vceqzq)(a)); }

/* Twice the bits leave the sign out. After subtracting 1, zero is the largest unsigned number. */
NN_VERB unsigned vsubnormal(vec a)
{
    const mask twice = UNSIGNED(vaddq)(TO_UNSIGNED(a), TO_UNSIGNED(a));
    const mask ordered = UNSIGNED(vsubq)(twice, UNSIGNED(vdupq_n)(1));
    return lanes_not_in(
        UNSIGNED(vcgeq)(ordered, UNSIGNED(vdupq_n)(((uint64_t)2 << MANTISSA_BITS) - 1)));
}

/* The positions of the set bits come from a table, because no instruction compresses lanes. */
NN_VERB int vstore_indices(int32_t *p, unsigned bits, int32_t first)
{
    static const int32_t set[16][4] = {
        {0}, {0}, {1}, {0, 1}, {2}, {0, 2}, {1, 2}, {0, 1, 2}, {3}, {0, 3}, {1, 3}, {0, 1, 3},
        {2, 3}, {0, 2, 3}, {1, 2, 3}, {0, 1, 2, 3}};
    vst1q_s32(p, vaddq_s32(vld1q_s32(set[bits]), vdupq_n_s32(first)));
    return __builtin_popcount(bits);
}

/* Transpose pairs of lanes first, then pairs of pairs. */
NN_VERB void vtranspose(vec r[LANES])
{
#if NN_DOUBLE
    const vec first = vtrn1q_f64(r[0], r[1]);
    r[1] = vtrn2q_f64(r[0], r[1]);
    r[0] = first;
#else
    float64x2_t t[4];
    for (int i = 0; i < 4; i += 2) {
        t[i] = vreinterpretq_f64_f32(vtrn1q_f32(r[i], r[i + 1]));
        t[i + 1] = vreinterpretq_f64_f32(vtrn2q_f32(r[i], r[i + 1]));
    }
    for (int i = 0; i < 2; i++) {
        r[i] = vreinterpretq_f32_f64(vtrn1q_f64(t[i], t[2 + i]));
        r[2 + i] = vreinterpretq_f32_f64(vtrn2q_f64(t[i], t[2 + i]));
    }
#endif
}

NN_VERB void vload_transposed(const char *const *from, ptrdiff_t at, vec r[LANES])
{
    for (int i = 0; i < LANES; i++)
        r[i] = vload((const REAL *)from[i] + at);
    vtranspose(r);
}

/* vst2q and vst4q interleave the registers that they store, which is this transposition. */
NN_VERB void vtranspose_bytes(const char *const *from, ptrdiff_t at, uint8_t *to)
{
#if NN_DOUBLE
    uint8x16x2_t rows;
#else
    uint8x16x4_t rows;
#endif
    for (int r = 0; r < LANES; r++)
        rows.val[r] = vld1q_u8((const uint8_t *)from[r] + at);
#if NN_DOUBLE
    vst2q_u8(to, rows);
#else
    vst4q_u8(to, rows);
#endif
}

NN_VERB REAL larger(REAL a, REAL b) { return a > b ? a : b; }
#if NN_DOUBLE
NN_VERB REAL vsum(vec a) { return vgetq_lane_f64(a, 0) + vgetq_lane_f64(a, 1); }
NN_VERB REAL vlargest(vec a) { return larger(vgetq_lane_f64(a, 0), vgetq_lane_f64(a, 1)); }
#else
NN_VERB REAL vsum(vec a)
{
    const float32x2_t b = vadd_f32(vget_low_f32(a), vget_high_f32(a));
    return vget_lane_f32(b, 0) + vget_lane_f32(b, 1);
}
NN_VERB REAL vlargest(vec a)
{
    const float32x2_t low = vget_low_f32(a), high = vget_high_f32(a);
    const float32x2_t b = vbsl_f32(vcgt_f32(low, high), low, high);
    return larger(vget_lane_f32(b, 0), vget_lane_f32(b, 1));
}
#endif
#endif
