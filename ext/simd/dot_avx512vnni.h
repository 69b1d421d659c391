/* The verbs of eight bits for AVX-512 with VNNI. dot_scalar.h says what each gives. */
#include "compiler.h"
#if NN_KNOWS_VNNI
#include <immintrin.h>

#ifndef NN_TARGET /* dot_amx.h adds to it */
#define NN_TARGET                                                                                 \
    __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,avx2,fma,popcnt")))
#endif
#define LANES 16
#define MOST_ROWS 6
#define MOST_PANELS 4
#define ROW_PANELS 8

typedef __m512i isum, iweights, icodes;

NN_VERB isum no_sums(void) { return _mm512_setzero_si512(); }
NN_VERB isum load_sums(const char *p) { return _mm512_loadu_si512(p); }
NN_VERB iweights load_weights(const char *p) { return _mm512_loadu_si512(p); }
NN_VERB icodes broadcast_codes(const uint8_t *p)
{
    int32_t group;
    memcpy(&group, p, sizeof group);
    return _mm512_set1_epi32(group);
}
NN_VERB isum add_sums(isum a, isum b) { return _mm512_add_epi32(a, b); }
NN_VERB isum add_products(isum sum, icodes codes, iweights weights)
{
    /* GCC copies the sums of the intrinsic function to and fro. */
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(codes), "vm"(weights));
    return sum;
}
NN_VERB void store_scaled(isum sum, const char *scale, const char *bias, float *z)
{
    const __m512 factor = _mm512_loadu_ps(scale), addend = _mm512_loadu_ps(bias);
    _mm512_storeu_ps(z, _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), factor, addend));
}
NN_VERB unsigned nonzero_groups(const uint8_t *x)
{
    const __m512i codes = _mm512_loadu_si512(x);
    return _mm512_test_epi32_mask(codes, codes);
}
NN_VERB unsigned nonzero_few(const uint8_t *x, ptrdiff_t groups)
{
    const __mmask16 wanted = (__mmask16)((1u << groups) - 1);
    const __m512i codes = _mm512_maskz_loadu_epi32(wanted, x);
    return _mm512_test_epi32_mask(codes, codes);
}
NN_VERB int store_groups(int32_t *p, unsigned bits, int32_t first)
{
    __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    lane = _mm512_add_epi32(lane, _mm512_set1_epi32(first));
    _mm512_storeu_si512(p, _mm512_maskz_compress_epi32((__mmask16)bits, lane));
    return __builtin_popcount(bits);
}
/* A NaN, which min passes on, and what is below 0 become negative integers, and those become 0 when
 * 32 bits are packed into 16. Packing works within 128 bits, so the groups are put in order
 * afterwards. */
NN_VERB int make_codes(const float *x, float inverse, float zero, uint8_t *codes)
{
    __m512i whole[4];
    __mmask16 nan = 0;
    NN_UNROLL(4)
    for (int i = 0; i < 4; i++) {
        const __m512 value = _mm512_loadu_ps(x + 16 * i);
        const __m512 code
            = _mm512_fmadd_ps(value, _mm512_set1_ps(inverse), _mm512_set1_ps(zero));
        nan = (__mmask16)(nan | _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q));
        whole[i] = _mm512_cvtps_epi32(_mm512_min_ps(_mm512_set1_ps(255), code));
    }
    const __m512i low = _mm512_packus_epi32(whole[0], whole[1]);
    const __m512i high = _mm512_packus_epi32(whole[2], whole[3]);
    const __m512i order
        = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    _mm512_storeu_si512(codes,
                        _mm512_permutexvar_epi32(order, _mm512_packus_epi16(low, high)));
    return nan != 0;
}
#endif
