/* One instance of all kernels: the templates, and the table that names them. */
#include "tuning.tpl.h"
#include "math.tpl.h"
#include "source.tpl.h"
#include "sums.tpl.h"
#include "narrow.tpl.h"
#include "row.tpl.h"
#include "tile.tpl.h"
#include "sparse.tpl.h"
#include "loss.tpl.h"
#include "regularize.tpl.h"
#include "optimizers.tpl.h"
#include "grad.tpl.h"
#include "operations.tpl.h"
#include "probe.tpl.h"

#define NN_APPLY(name, ...) [NN_operation_##name] = {name##_tile, name##_row, name##_backward},

#if NN_DOUBLE
#define NN_TABLE NN_JOIN(nn_f64__, NN_ISA)
#else
#define NN_TABLE NN_JOIN(nn_f32__, NN_ISA)
#endif

extern const nn_kernels NN_TABLE; /* dispatch.c has the same declaration */
const nn_kernels NN_TABLE = {
    .isa = NN_TEXT(NN_ISA),
    .costs = COSTS,
    .lanes = LANES,
    .tile_vectors = TILE_VECTORS * TILE_GROUPS,
    .wide_vectors = TILE_VECTORS * WIDE_GROUPS,
    .row_samples = ROWS_TOGETHER,
    .row_block = ROW_SAMPLES,
    .activate = activate,
    .derive = derive,
    .softmax = softmax,
    .load_row = load_row,
    .find_nonzero = find_nonzero,
    .row_layer = row_layer,
    .pack_tile = pack_tile,
    .find_lines = find_lines,
    .finite_lines = finite_lines,
    .tile_layer = tile_layer,
    .tile_softmax = tile_softmax,
    .unpack_tile = unpack_tile,
    .first_layer = first_layer,
#if HAS_SPARSE_LAYER
    .sparse_layer = sparse_layer,
#endif
    .apply = {NN_OPERATIONS(NN_APPLY)},
    .total_weight = total_weight,
    .loss = loss,
    .drop = drop,
    .multiply = multiply,
    .sum_of_squares = sum_of_squares,
    .clip = clip,
    .backward = backward,
    .weight_gradient = weight_gradient,
    .bias_gradient = bias_gradient,
    .update = update,
    .fma_probe = fma_probe,
};
