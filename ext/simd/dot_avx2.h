/* The verbs of eight bits for AVX2. */
#if defined(__x86_64__)
#define NN_TARGET __attribute__((target("avx2,fma,popcnt")))
#define MOST_ROWS 3
#define MOST_PANELS 1
#define ROW_PANELS 2
#include "bytes_256.h"

/* AVX2 has an instruction that multiplies bytes, but its sums of two products do not fit into their
 * 16 bits. So the bytes are widened to 16 bits, those at even and at odd places apart. A compiler
 * widens the codes and the weights once for all of their products. */
NN_VERB isum add_products(isum sum, icodes codes, iweights weights)
{
    const __m256i even = _mm256_and_si256(codes, _mm256_set1_epi16(255));
    const __m256i odd = _mm256_srli_epi16(codes, 8);
    const __m256i even_weights = _mm256_srai_epi16(_mm256_slli_epi16(weights, 8), 8);
    const __m256i odd_weights = _mm256_srai_epi16(weights, 8);
    const __m256i products = _mm256_add_epi32(_mm256_madd_epi16(even, even_weights),
                                              _mm256_madd_epi16(odd, odd_weights));
    return _mm256_add_epi32(sum, products);
}
#endif
