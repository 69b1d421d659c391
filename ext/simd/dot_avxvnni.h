/* The verbs of eight bits for AVX-VNNI: 256 bits, on CPUs without AVX-512. */
#if defined(__x86_64__)
#define NN_TARGET __attribute__((target("avx2,fma,popcnt,avxvnni")))
#define MOST_ROWS 6
#define MOST_PANELS 1
#define ROW_PANELS 4
#include "bytes_256.h"

NN_VERB isum add_products(isum sum, icodes codes, iweights weights)
{
    return _mm256_dpbusd_avx_epi32(sum, codes, weights);
}
#endif
