/* The verbs of eight bits that AVX2 and AVX-VNNI have in common: all but add_products. dot_scalar.h
 * says what each gives. */
#include <immintrin.h>

#include "bytes_groups.h"

#define LANES 8

typedef __m256i isum, iweights, icodes;

NN_VERB isum no_sums(void) { return _mm256_setzero_si256(); }
NN_VERB isum load_sums(const char *p) { return _mm256_loadu_si256((const __m256i *)p); }
NN_VERB iweights load_weights(const char *p) { return _mm256_loadu_si256((const __m256i *)p); }
NN_VERB icodes broadcast_codes(const uint8_t *p)
{
    int32_t group;
    memcpy(&group, p, sizeof group);
    return _mm256_set1_epi32(group);
}
NN_VERB isum add_sums(isum a, isum b) { return _mm256_add_epi32(a, b); }
NN_VERB void store_scaled(isum sum, const char *scale, const char *bias, float *z)
{
    const __m256 factor = _mm256_loadu_ps((const float *)(const void *)scale);
    const __m256 addend = _mm256_loadu_ps((const float *)(const void *)bias);
    _mm256_storeu_ps(z, _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), factor, addend));
}
NN_VERB unsigned nonzero_of(__m256i any)
{
    const __m256i is_zero = _mm256_cmpeq_epi32(any, _mm256_setzero_si256());
    return (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(is_zero)) ^ 0xffu;
}
NN_VERB unsigned nonzero_groups(const uint8_t *x)
{
    return nonzero_of(load_sums((const char *)x)) | nonzero_of(load_sums((const char *)x + 32)) << 8;
}
/* As in dot_avx512vnni.h. */
NN_VERB int make_codes(const float *x, float inverse, float zero, uint8_t *codes)
{
    __m256i whole[4];
    __m256 nan = _mm256_setzero_ps();
    NN_UNROLL(4)
    for (int i = 0; i < 4; i++) {
        const __m256 value = _mm256_loadu_ps(x + 8 * i);
        const __m256 code
            = _mm256_fmadd_ps(value, _mm256_set1_ps(inverse), _mm256_set1_ps(zero));
        nan = _mm256_or_ps(nan, _mm256_cmp_ps(value, value, _CMP_UNORD_Q));
        whole[i] = _mm256_cvtps_epi32(_mm256_min_ps(_mm256_set1_ps(255), code));
    }
    const __m256i low = _mm256_packus_epi32(whole[0], whole[1]);
    const __m256i high = _mm256_packus_epi32(whole[2], whole[3]);
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    _mm256_storeu_si256((__m256i *)codes, _mm256_permutevar8x32_epi32(
                                              _mm256_packus_epi16(low, high), order));
    return _mm256_movemask_ps(nan) != 0;
}
