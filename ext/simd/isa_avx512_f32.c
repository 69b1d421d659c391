/* float kernels for AVX-512. */
#if defined(__x86_64__)
#define NN_DOUBLE 0
#define NN_TABLE nn_f32__avx512
#define NN_ISA "avx512"
#define TILE_VECTORS 3
#define TILE_OUTPUTS_1 16
#define TILE_OUTPUTS_2 12
#define TILE_OUTPUTS_3 8
#define TILE_GROUPS 1
#define WIDE_GROUPS 2
#define BLOCK_BYTES 393216
#define ROW_PANELS_1 8
#define ROW_PANELS_2 8
#define ROW_PANELS_4 6
#define ROW_PANELS_8 3
#include "real.h"
#include "vec_avx512.h"
#include "kernels.tpl.h"
#endif
