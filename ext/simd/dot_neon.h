/* The verbs of eight bits for NEON, without the dot products that only newer CPUs have.
 * dot_scalar.h says what each gives. */
#if defined(__aarch64__) && !defined(__AARCH64EB__)
#include <arm_neon.h>

#define NN_TARGET
#define LANES 4
#define MOST_ROWS 4
#define MOST_PANELS 1
#define ROW_PANELS 1

#include "bytes_groups.h"

/* The weights of four outputs, as 16 bits: two outputs in each half. */
typedef struct iweights {
    int16x8_t low, high;
} iweights;
typedef int32x4_t isum;
typedef int16x4_t icodes;

NN_VERB isum no_sums(void) { return vdupq_n_s32(0); }
NN_VERB isum load_sums(const char *p) { return vreinterpretq_s32_u8(vld1q_u8((const uint8_t *)p)); }
NN_VERB iweights load_weights(const char *p)
{
    const int8x16_t bytes = vld1q_s8((const int8_t *)p);
    return (iweights){vmovl_s8(vget_low_s8(bytes)), vmovl_high_s8(bytes)};
}
NN_VERB icodes broadcast_codes(const uint8_t *p)
{
    uint32_t group;
    memcpy(&group, p, sizeof group);
    return vreinterpret_s16_u16(vget_low_u16(vmovl_u8(vreinterpret_u8_u32(vdup_n_u32(group)))));
}
NN_VERB isum add_sums(isum a, isum b) { return vaddq_s32(a, b); }
NN_VERB isum add_products(isum sum, icodes codes, iweights weights)
{
    const int16x8_t twice = vcombine_s16(codes, codes);
    const int32x4_t first = vmull_s16(vget_low_s16(weights.low), codes);
    const int32x4_t second = vmull_high_s16(weights.low, twice);
    const int32x4_t third = vmull_s16(vget_low_s16(weights.high), codes);
    const int32x4_t fourth = vmull_high_s16(weights.high, twice);
    return vaddq_s32(sum, vpaddq_s32(vpaddq_s32(first, second), vpaddq_s32(third, fourth)));
}
NN_VERB void store_scaled(isum sum, const char *scale, const char *bias, float *z)
{
    const float32x4_t factor = vreinterpretq_f32_u8(vld1q_u8((const uint8_t *)scale));
    const float32x4_t addend = vreinterpretq_f32_u8(vld1q_u8((const uint8_t *)bias));
    vst1q_f32(z, vfmaq_f32(addend, vcvtq_f32_s32(sum), factor));
}
NN_VERB unsigned nonzero_groups(const uint8_t *x) { return nonzero_few(x, 16); }
/* The conversion to integers makes 0 of a NaN and stops at the ends of their range, and so do the
 * conversions to fewer bits. */
NN_VERB int make_codes(const float *x, float inverse, float zero, uint8_t *codes)
{
    uint16x4_t whole[4];
    uint32x4_t same = vdupq_n_u32(~0u);
    NN_UNROLL(4)
    for (int i = 0; i < 4; i++) {
        const float32x4_t value = vld1q_f32(x + 4 * i);
        const float32x4_t code = vfmaq_f32(vdupq_n_f32(zero), value, vdupq_n_f32(inverse));
        same = vandq_u32(same, vceqq_f32(value, value));
        whole[i] = vqmovun_s32(vcvtnq_s32_f32(code));
    }
    vst1_u8(codes, vqmovn_u16(vcombine_u16(whole[0], whole[1])));
    vst1_u8(codes + 8, vqmovn_u16(vcombine_u16(whole[2], whole[3])));
    return vminvq_u32(same) == 0;
}
#endif
