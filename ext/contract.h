/* The contract between the kernels (this folder, pure C11) and whoever calls them (ext/ *.pyx).
 *
 * Words: n samples, k inputs, m outputs. Sizes and strides are counted in elements, except in
 * nn_source, which describes memory that is not ours and so counts bytes. REAL is float or double;
 * every kernel exists once for each, behind void pointers, in a table of its own.
 *
 * THE RULE OF THE ARITHMETIC
 *   Each output is one chain of fused multiply-adds, whoever computes it:
 *       acc = bias[j];  for k = 0 .. K-1: acc = fma(x[k], w[k][j], acc);  acc += +0.0;  activation
 *   k is never split between lanes or threads. Inputs that are zero may be left out when every
 *   weight of the layer is finite: fma(0, w, acc) is acc but for the sign of a zero, and the +0.0
 *   at the end makes that sign positive. So all kernels of all instruction sets give equal bits.
 *
 *   A sum over the m outputs of one sample (softmax) is PANEL partial sums, partial r taking the
 *   outputs r, r + PANEL, r + 2 PANEL, ... in that order, then folded in halves: partial r takes
 *   partial r + PANEL/2, then r + PANEL/4, and so on down to one.
 *
 *   PANEL is the number of REALs in a cache line: 16 floats or 8 doubles.
 *
 * PACKED WEIGHTS
 *   The weights of a layer lie in panels of PANEL outputs each: panels.h.
 *
 * A TILE (a batch on its way through the network)
 *   Line i holds one input of all its samples: T = vectors * lanes elements, sample s at i * T + s.
 *   Inference takes tiles of up to tile_vectors (or wide_vectors) vectors, training of up to
 *   NN_MOST_SAMPLES samples.
 *   Lanes without a sample hold zeros. Lines are aligned to 64 bytes where lanes allow it.
 *
 * What a kernel may assume, because its caller has checked: pointers are good and aligned as said
 * here, k and m are at least 1, the floating-point environment is the
 * default one (fp_environment.h). A kernel never
 * allocates, never raises, never calls back.
 */
#ifndef NN_CONTRACT_H
#define NN_CONTRACT_H

#include <stddef.h>
#include <stdint.h>

#include "panels.h"
#include "registries.h"

#define NN_MOST_SAMPLES 128 /* in a tile */

/* Element types of an input array, in native byte order, aligned or not. */
typedef enum nn_type {
    NN_float32, NN_float64, NN_float16, NN_uint8, NN_int8, NN_uint16, NN_int16, NN_uint32,
    NN_int32, NN_uint64, NN_int64, NN_bool
} nn_type;

/* What becomes of an element x of column k before the first layer sees it. Each is computed in
 * double and rounded once to REAL:
 *     NN_unchanged   (REAL)x
 *     NN_rescale     (REAL)((double)(REAL)x * scale), and with an offset other than zero
 *                    (REAL)fma((double)(REAL)x, scale, offset)
 *     NN_normalize   (REAL)(((double)x - mean[k]) / deviation[k]): x itself, not x rounded to
 *                    REAL, because a mean may be much larger than its deviation */
typedef enum nn_preprocess { NN_unchanged, NN_rescale, NN_normalize } nn_preprocess;

/* The user's samples: element (row, column) at data + row * row_stride + column * column_stride,
 * all in bytes. A kernel reads memory that belongs to the rows, and no other, because the memory
 * around them may be unmapped. gapless_end says how far the rows adjoin or overlap: there is no gap
 * from the start of any row to there, so a kernel may read past the end of one row into the next.
 * It is NULL where there are gaps between the rows, and then a kernel never reads past a row.
 *
 * scale_high and scale_low are two floats that replace scale for bytes (float tables only): split
 * says that fmaf(x, scale_high, x * scale_low) has been found to give the right result for all 256
 * of them. */
typedef struct nn_source {
    const char *data;
    const char *gapless_end;
    const int64_t *order; /* sample i is row order[i]; or NULL: row i */
    ptrdiff_t row_stride, column_stride;
    int type;       /* nn_type; elements of any other number are read as NaN */
    int preprocess; /* nn_preprocess */
    int split;
    float scale_high, scale_low;
    double scale, offset;
    const double *mean, *deviation; /* (k,), of NN_normalize */
} nn_source;

/* Samples that will be packed next, fetched from memory while the present ones are worked on: rows
 * of `bytes` bytes, from `data` on; row and at say how far it has come. */
typedef struct nn_ahead {
    const char *data;
    const int64_t *order; /* as in nn_source */
    ptrdiff_t row_stride, bytes, rows;
    ptrdiff_t row, at;
} nn_ahead;

typedef struct nn_layer {
    const void *panels; /* packed weights */
    ptrdiff_t k, m;
    int activation;     /* an elementwise one: softmax is an operation of its own */
    int skip_zeros;     /* every weight is finite: inputs that are zero may be left out */
    double alpha, beta; /* the activation's parameters, where it has any */
} nn_layer;

/* AN OPERATION of a compiled network: layer.k inputs of each sample -> layer.m outputs. Of dense,
 * the activation is computed with the sums; of activate, it is all there is. Of operations other
 * than dense, panels are their parameters, in whatever form their kernels want, or NULL. */
typedef struct nn_operation {
    int kind;         /* nn_operation_kind */
    int zeros_likely; /* many inputs may be zeros: look for them */
    ptrdiff_t input_apart, output_apart; /* of rows in scratch memory: k, m up to whole panels */
    nn_layer layer;
} nn_operation;

/* The kernels of an operation that gives as many numbers as it takes; y may be x.
 * tile: lines (m, vectors * lanes).  row: one sample (m,).
 * backward: d (m, width), derivatives by the outputs, become those by the inputs x (m, width);
 * NULL: nothing can be learned through it. */
typedef struct nn_apply {
    void (*tile)(const nn_layer *layer, const void *x, void *y, int vectors);
    void (*row)(const nn_layer *layer, const void *x, void *y);
    void (*backward)(const nn_layer *layer, const void *x, void *d, ptrdiff_t width);
} nn_apply;

/* What the samples should have given, and what being wrong costs: losses.py. */
typedef struct nn_targets {
    int kind;
    const int32_t *labels; /* (N,), from 0 to m - 1; or NULL */
    const void *rows;      /* (N, m) REALs; or NULL */
    const void *weights;   /* (N,) REALs; or NULL: all 1 */
    const int64_t *order;  /* sample i is number order[i]; or NULL: number i */
    double smoothing;      /* share of each target that goes to all m alike */
} nn_targets;

/* One step of an optimiser, as nn_kernels.update makes it. Its settings have their names in a
 * structure called like the optimiser, and their places in its row of NN_OPTIMIZERS. */
typedef struct nn_update {
    int kind;
    int64_t step; /* its number since the optimiser began, from 0 */
    double rate;  /* learning rate */
    double scale; /* factor of the gradient, of clipping */
    union {
        double settings[NN_MOST_SETTINGS];
#define NN_SETTING(name) double name;
#define NN_SETTINGS(name, states, momentum, settings) struct { settings } name;
        NN_OPTIMIZERS(NN_SETTINGS)
#undef NN_SETTINGS
#undef NN_SETTING
    };
} nn_update;

/* An update to be made of one layer as soon as its gradient is known: its packed weights, and the
 * optimiser's state in the same layout, NULL where there is none. */
typedef struct nn_pending {
    nn_update update;
    void *weights, *first_state, *second_state;
} nn_pending;

/* A bit for each of 64 inputs of every sample: whether it is not zero. */
typedef uint64_t nn_elements[NN_MOST_SAMPLES];

/* What things cost with an instruction set: the numbers by which a plan decides how to run. None of
 * them changes a bit of the outputs. The first five are in multiply-adds of a vector, for one sample.
 *
 *   tile_multiply_add  one of the tile kernel's, all that surrounds it included
 *   tile_value         to transpose one input or output of the network, on its way into the first
 *                      tile or out of the last
 *   row_multiply_add   one of the row kernel's, in a batch; infinity where a batch never goes by rows
 *   row_input          beside these, for each input of a layer
 *   row_output         and for each of its outputs
 *
 *   row_bytes          weights of a network beyond which a batch never goes by rows
 *   wide_bytes         weights of a network beyond which a tile has wide_vectors
 *   near_bytes         weights of a network that one core holds in caches of its own
 *   narrow_bytes       weights of a first layer up to which many zeros in the samples make narrow
 *                      tiles cheaper, because fewer samples have more zeros in common
 *   narrow_samples     samples in such a tile */
typedef struct nn_costs {
    double tile_multiply_add, tile_value;
    double row_multiply_add, row_input, row_output;
    ptrdiff_t row_bytes, wide_bytes, near_bytes, narrow_bytes;
    int narrow_samples;
} nn_costs;

typedef struct nn_kernels {
    const char *isa;
    nn_costs costs;
    int lanes;        /* elements of a vector */
    int tile_vectors; /* vectors of samples in a tile, at most */
    int wide_vectors; /* the same where the weights of the network exceed costs.wide_bytes */
    int row_samples;  /* samples that row_layer takes at once, at most */

    /* y[i] = f(x[i]) and y[i] = f'(x[i]), i < n; y may be x. */
    void (*activate)(int activation, double alpha, double beta, const void *x, void *y,
                     ptrdiff_t n);
    void (*derive)(int activation, double alpha, double beta, const void *x, void *y,
                   ptrdiff_t n);

    /* x (m,) -> y (m,): softmax or its logarithm; y may be x. */
    void (*softmax)(int logarithm, const void *x, void *y, ptrdiff_t m);

    /* One row of the source as k REALs. */
    void (*load_row)(const nn_source *x, ptrdiff_t row, ptrdiff_t k, void *y);

    /* The columns in which any of the rows is not zero (NaN is not), in order; returns how many.
     * x (rows, k), rows ldx apart. index has room for k + 16. */
    ptrdiff_t (*find_nonzero)(const void *x, ptrdiff_t ldx, int rows, ptrdiff_t k, int32_t *index);

    /* x (rows, k) -> y (rows, m): lanes over outputs. rows is a power of two, at most row_samples.
     * Only the columns in index count; NULL (rows = 1) means all k of them. Rows of y are ldy
     * apart and written up to the next multiple of a line. */
    void (*row_layer)(const nn_layer *layer, const void *x, ptrdiff_t ldx, int rows,
                      const int32_t *index, ptrdiff_t count, void *y, ptrdiff_t ldy);

    /* Samples first .. first + samples - 1 of the source -> a tile. index lists the lines in use,
     * with skip those that are not zero in every sample: the others may not have been written.
     * Returns how many. The tile has room for k + 16 lines, index for k + 16 entries. elements, (k +
     * 63) / 64 of them, or NULL: bit c of elements[i][s] is to say that input 64 i + c of sample s
     * is not zero. */
    ptrdiff_t (*pack_tile)(const nn_source *x, ptrdiff_t first, int samples, ptrdiff_t k, int skip,
                           int vectors, void *tile, int32_t *index, nn_elements *elements);

    /* The lines of a tile in which any sample is not zero, in order; returns how many. */
    ptrdiff_t (*find_lines)(const void *tile, ptrdiff_t m, int vectors, int32_t *index);

    /* Tile of k lines, of which those in index count -> tile of m lines: lanes over samples.
     * ahead: what to fetch meanwhile, all of it; or NULL. */
    void (*tile_layer)(const nn_layer *layer, const void *x, const int32_t *index, ptrdiff_t count,
                       int vectors, void *y, nn_ahead *ahead);

    /* Softmax or its logarithm over the m lines of a tile, in place. */
    void (*tile_softmax)(int logarithm, void *tile, ptrdiff_t m, int vectors);

    /* The first samples of a tile of m lines -> rows of an array, strides in elements. */
    void (*unpack_tile)(const void *tile, int vectors, int samples, ptrdiff_t m, void *out,
                        ptrdiff_t row_stride, ptrdiff_t column_stride);

    /* tile_layer for a tile whose elements are known: it skips more zeros. Lanes of y without a
     * sample are undefined. rows has room for (samples, m rounded up to whole panels). */
    void (*first_layer)(const nn_layer *layer, const void *x, const int32_t *index,
                        ptrdiff_t count, int samples, int vectors, const nn_elements *elements,
                        void *rows, void *y, nn_ahead *ahead);

    /* By nn_operation_kind; dense has row_layer and tile_layer, dropout has drop and multiply. */
    nn_apply apply[NN_OPERATION_COUNT];

    /* Training: loss.tpl.h, regularize.tpl.h and grad.tpl.h say what each does. */
    double (*total_weight)(const nn_targets *t, ptrdiff_t first, ptrdiff_t samples);
    ptrdiff_t (*loss)(const nn_targets *t, ptrdiff_t first, int samples, int vectors, ptrdiff_t m,
                      double total, const void *z, void *d, void *more, double *losses);
    void (*drop)(void *a, void *kept, ptrdiff_t m, ptrdiff_t width, double rate, uint64_t key,
                 ptrdiff_t first);
    void (*multiply)(void *a, const void *b, ptrdiff_t n);
    double (*sum_of_squares)(const void *x, ptrdiff_t n);
    void (*clip)(void *x, ptrdiff_t n, double most);
    void (*backward)(int activation, double alpha, double beta, const void *z, void *d,
                     ptrdiff_t n);
    void (*weight_gradient)(const nn_layer *layer, const void *x, ptrdiff_t width,
                            const int32_t *inputs, ptrdiff_t count, const void *delta,
                            ptrdiff_t samples, int32_t *index, void *gradient,
                            const nn_pending *pending);
    void (*bias_gradient)(const nn_layer *layer, const void *delta, ptrdiff_t samples,
                          void *gradient, const nn_pending *pending);
    void (*update)(const nn_update *u, void *weights, const void *gradient, void *first_state,
                   void *second_state, ptrdiff_t n);

    /* Multiply-adds and nothing else; returns how many. */
    double (*fma_probe)(ptrdiff_t rounds, void *result);
} nn_kernels;

typedef struct nn_isa {
    const char *name;
    const nn_kernels *f32, *f64;
} nn_isa;

/* Every instruction set compiled in, best first; ends with a NULL name. nn_supported says whether
 * the CPU and the operating system can run it. */
extern const nn_isa nn_isas[];
int nn_supported(const char *name);

#endif
