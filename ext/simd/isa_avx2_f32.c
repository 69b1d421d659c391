/* float kernels for AVX2 with FMA. */
#if defined(__x86_64__)
#define NN_DOUBLE 0
#define NN_TABLE nn_f32__avx2
#define NN_ISA "avx2"
#define TILE_VECTORS 2
#define TILE_OUTPUTS_1 12
#define TILE_OUTPUTS_2 6
#define TILE_GROUPS 2
#define WIDE_GROUPS 6
#define BLOCK_BYTES 196608
#define ROW_PANELS_1 4
#define ROW_PANELS_2 2
#define ROW_PANELS_4 1
#define ROW_PANELS_8 0
#include "real.h"
#include "vec_avx2.h"
#include "kernels.tpl.h"
#endif
