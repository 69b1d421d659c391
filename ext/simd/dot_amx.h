/* The verbs of eight bits for AMX.
 *
 * There are eight tiles: 0 to 3 are sums, 4 and 5 codes, 6 and 7 weights. Their numbers must be
 * constants, so these verbs are macros. Tests emulate them on CPUs without AMX. */
#include "compiler.h"
#if NN_KNOWS_AMX
#define NN_TARGET                                                                                 \
    __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,avx2,fma,popcnt,"        \
                          "amx-tile,amx-int8")))
#include "dot_avx512vnni.h"

#define NN_KERNELS "int8_tiles.tpl.h"
#if defined(NN_EMULATED_TILES)
#include "emulated_tiles.h"
#else
/* GCC's intrinsic functions do not tell the compiler which memory they read. */
#define tile_configure(settings) __asm__ volatile("ldtilecfg %0" : : "m"(*(settings)))
#define tile_release() __asm__ volatile("tilerelease")
#define tile_zero(tile) __asm__ volatile("tilezero %%tmm" #tile : :)
#define tile_load(tile, from, apart)                                                              \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #tile                                           \
                     :                                                                            \
                     : "r"((const void *)(from)), "r"((ptrdiff_t)(apart))                         \
                     : "memory")
#define tile_store(tile, to, apart)                                                               \
    __asm__ volatile("tilestored %%tmm" #tile ", (%0,%1,1)"                                       \
                     :                                                                            \
                     : "r"((void *)(to)), "r"((ptrdiff_t)(apart))                                 \
                     : "memory")
#define tile_multiply(sums, codes, weights)                                                       \
    __asm__ volatile("tdpbusd %%tmm" #weights ", %%tmm" #codes ", %%tmm" #sums : :)
#endif
#endif
