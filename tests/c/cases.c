/* All cases for one type. This file is compiled with NN_DOUBLE 0 and 1. Every row of the registries
 * gets its cases here by itself. */
#include "reals.h"

#include <float.h>

#include "cases_functions.h"
#include "cases_layers.h"
#include "cases_source.h"
#include "cases_training.h"

#define NN_ACTIVATION_CASES(name, ...)                                                            \
    {"activate " #name, activate_case, NN_##name}, {"derive " #name, derive_case, NN_##name},     \
        {"row_layer " #name, row_layer_case, NN_##name},                                          \
        {"tile_layer " #name, tile_layer_case, NN_##name},                                        \
        {"first_layer " #name, first_layer_case, NN_##name},                                      \
        {"sparse_layer " #name, sparse_layer_case, NN_##name},                                    \
        {"backward " #name, backward_case, NN_##name},
#define NN_LOSS_CASES(name, ...) {"loss " #name, loss_case, NN_##name},
#define NN_OPTIMIZER_CASES(name, ...)                                                             \
    {"update " #name, update_case, NN_##name},                                                    \
        {"update of faded means " #name, faded_case, NN_##name},                                  \
        {"gradient and update " #name, pending_case, NN_##name},
#define NN_TYPE_CASES(name, ...)                                                                  \
    {"load_row " #name, load_row_case, NN_##name}, {"pack_tile " #name, pack_tile_case, NN_##name},

#if NN_DOUBLE
#define CASES nn_cases_f64
#else
#define CASES nn_cases_f32
#endif

const nn_case CASES[] = {
    NN_ACTIVATIONS(NN_ACTIVATION_CASES)
    {"near the C library's functions", near_case, 0},
    {"softmax", softmax_case, 0},
    {"log_softmax", softmax_case, 1},
    {"find_nonzero", find_nonzero_case, 0},
    {"find_lines", find_lines_case, 0},
    {"finite_lines", finite_lines_case, 0},
    {"unpack_tile", unpack_tile_case, 0},
    NN_TYPES(NN_TYPE_CASES)
    NN_LOSSES(NN_LOSS_CASES)
    {"drop", drop_case, 0},
    {"multiply, clip, sum_of_squares", simple_case, 0},
    {"gradient", gradient_case, 0},
    NN_OPTIMIZERS(NN_OPTIMIZER_CASES)
    {NULL, NULL, 0},
};
