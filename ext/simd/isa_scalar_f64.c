/* double kernels for any CPU, in plain C. */
#define NN_DOUBLE 1
#define NN_TABLE nn_f64__scalar
#define NN_ISA "scalar"
#define TILE_VECTORS 2
#define TILE_OUTPUTS_1 8
#define TILE_OUTPUTS_2 4
#define TILE_GROUPS 2
#define WIDE_GROUPS 2
#define BLOCK_BYTES 196608
#define ROW_PANELS_1 1
#define ROW_PANELS_2 0
#define ROW_PANELS_4 0
#define ROW_PANELS_8 0
#include "real.h"
#include "vec_scalar.h"
#include "kernels.tpl.h"
