/* The verbs of eight bits for AMX.
 *
 * There are eight tiles: 0 to 3 are sums, 4 and 5 codes, 6 and 7 weights. Their numbers must be
 * constants, so these verbs are macros. Tests emulate them on CPUs without AMX. */
#include "compiler.h"
#ifdef NN_KNOWS_AMX
#define NN_TARGET                                                                                 \
    __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,avx2,fma,popcnt,"        \
                          "amx-tile,amx-int8")))
#include "dot_avx512vnni.h"

#define NN_KERNELS "int8_tiles.tpl.h"
#if defined(NN_EMULATED_TILES)
#include "emulated_tiles.h"
#else
#define tile_configure(settings) _tile_loadconfig(settings)
#define tile_release() _tile_release()
#define tile_zero(tile) _tile_zero(tile)
#define tile_load(tile, from, apart) _tile_loadd(tile, from, apart)
#define tile_store(tile, to, apart) _tile_stored(tile, to, apart)
#define tile_multiply(sums, codes, weights) _tile_dpbusd(sums, codes, weights)
#endif
#endif
