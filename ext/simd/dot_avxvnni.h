/* The verbs of eight bits for AVX-VNNI: 256 bits, on CPUs without AVX-512. */
#include "compiler.h"
#if NN_KNOWS_AMX
#define NN_TARGET __attribute__((target("avx2,fma,popcnt,avxvnni")))
#define MOST_ROWS 6
#define MOST_PANELS 1
#define ROW_PANELS 4
#include "bytes_256.h"

NN_VERB isum add_products(isum sum, icodes codes, iweights weights)
{
    /* As in dot_avx512vnni.h. */
    __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(codes), "xm"(weights));
    return sum;
}
#endif
