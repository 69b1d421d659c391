/* The contract between the kernels (simd/, pure C11) and their callers (the .pyx files).
 *
 * WORDS
 *   n, k, m  the numbers of samples, inputs and outputs. Sizes and strides are counted in elements,
 *            except in nn_source, which describes the user's memory and counts bytes.
 *   REAL     float or double. Every kernel exists once for each of them, behind void pointers, in a
 *            table of its own. PANEL is the number of REALs in a cache line: 16 floats, 8 doubles.
 *   vector   the elements that one register holds; its elements are the lanes
 *   panel    PANEL neighbouring outputs of one layer, in packed weights (panels.h)
 *   tile     samples of a batch with the lanes over the samples (below)
 *   line     of a panel: its biases, or its weights for one input. Of a tile: one input of all its
 *            samples.
 *   block    what one loop of a kernel works on at a time, in registers or in the cache
 *   piece    what a thread takes of a job at a time (pool.h). Inference has two kinds
 *            (execute.pxi): a span is neighbouring samples, a slice is neighbouring panels of one
 *            layer.
 *   chunk    up to NN_MOST_SAMPLES samples of a mini-batch that go forward and back together. A
 *            part of a chunk is the samples that one thread takes of it (backprop.pxi).
 *   step     the activation of this name, or a step of an optimiser
 *
 * THE RULE OF THE ARITHMETIC
 *   Each output is one chain of fused multiply-adds, whichever kernel computes it:
 *       acc = bias[j];  for k = 0 .. K-1: acc = fma(x[k], w[k][j], acc);  acc += +0.0;  activation
 *   k is never split between lanes or threads. Inputs that are zero may be left out when every
 *   weight of the layer is finite: fma(0, w, acc) differs from acc at most in the sign of a zero,
 *   and the +0.0 at the end makes that sign positive. So all kernels of all instruction sets give
 *   equal bits.
 *
 *   A sum over the m outputs of one sample (softmax) has PANEL partial sums. Partial sum r adds the
 *   outputs r, r + PANEL, r + 2 PANEL, ... in that order. The partial sums are then folded in
 *   halves: partial sum r + PANEL/2 is added to partial sum r, then r + PANEL/4, down to one sum.
 *
 * THE RULE OF EIGHT BITS
 *   A quantised layer (nn_int8_layer) makes codes of its inputs, multiplies whole numbers, and goes
 *   on in float:
 *       code[k] = (uint8_t)min(255, max(0, rint(fma(x[k], inverse, zero))))
 *       sum[j]  = sum over k of (code[k] - zero) * w[k][j]
 *       z[j]    = fma((float)sum[j], scale[j], bias[j]);  activation
 *   rint and the conversion to float round to nearest, ties to even. The sums are exact, because
 *   there are at most NN_INT8_MOST_INPUTS inputs: so they may be added in any order, and codes of 0
 *   may be left out. The code of a NaN is 0. If the first layer gets a NaN in a sample, all outputs
 *   of the sample are NaN.
 *
 * PACKED WEIGHTS
 *   The weights of a layer lie in panels of PANEL outputs each: panels.h.
 *
 * A TILE (samples of a batch on their way through the network)
 *   Line i holds input i of all samples: it has vectors * lanes elements, and sample s is element
 *   i * width + s of the tile. width is vectors * lanes, except where the tile is some vectors of a
 *   larger one: the parts of a chunk read their inputs into one tile. Inference uses tiles of up to
 *   tile_vectors (or wide_vectors) vectors, training uses tiles of up to NN_MOST_SAMPLES samples.
 *   Lanes without a sample hold zeros. Line 0 is aligned to 64 bytes, and so are the others if the
 *   width is a multiple of 64 bytes.
 *
 * A kernel relies on its caller for this: pointers are valid and aligned as described here, k and m
 * are at least 1, and the floating-point environment is the default one (fp_environment.h). A
 * kernel never allocates memory, never raises an exception, and never calls its caller back.
 */
#ifndef NN_CONTRACT_H
#define NN_CONTRACT_H

#include <stddef.h>
#include <stdint.h>

#include "panels.h"
#include "registries.h"

#define NN_MOST_SAMPLES 128 /* the most samples in a tile */

/* The element types of an input array. Elements have native byte order and may be unaligned. */
typedef enum nn_type {
    NN_float32, NN_float64, NN_float16, NN_uint8, NN_int8, NN_uint16, NN_int16, NN_uint32,
    NN_int32, NN_uint64, NN_int64, NN_bool
} nn_type;

/* What is done to an element x of column k before the first layer. Each is computed in double and
 * rounded once to REAL:
 *     NN_unchanged   (REAL)x
 *     NN_rescale     (REAL)((double)(REAL)x * scale), and with an offset other than zero
 *                    (REAL)fma((double)(REAL)x, scale, offset)
 *     NN_normalize   (REAL)(((double)x - mean[k]) / deviation[k]). x is not rounded to REAL first,
 *                    because a mean may be much larger than its deviation. */
typedef enum nn_preprocess { NN_unchanged, NN_rescale, NN_normalize } nn_preprocess;

/* The user's samples. Element (row, column) is at data + row * row_stride + column * column_stride,
 * all in bytes. A kernel reads only memory that belongs to the rows, because the memory around them
 * may be unmapped. If rows adjoin or overlap, there is no gap from the start of any row to
 * gapless_end, so a kernel may read past the end of one row into the next. If there are gaps
 * between the rows, gapless_end is NULL, and a kernel never reads past the end of a row.
 *
 * The two floats scale_high and scale_low replace scale if the elements are bytes (in float tables
 * only). split is 1 if fmaf(x, scale_high, x * scale_low) was found to give the right result for
 * all 256 bytes x. */
typedef struct nn_source {
    const char *data;
    const char *gapless_end;
    const int64_t *order; /* sample i is row order[i]; if NULL, it is row i */
    ptrdiff_t row_stride, column_stride;
    int type;       /* nn_type; elements of any other number are read as NaN */
    int preprocess; /* nn_preprocess */
    int split;
    float scale_high, scale_low;
    double scale, offset;
    const double *mean, *deviation; /* (k,), for NN_normalize */
} nn_source;

/* The samples that will be packed next: rows of `bytes` bytes, which start at `data`. A kernel
 * fetches them from memory into the cache while it works on the present samples. It counts the rows
 * that it has fetched in `row`, and the bytes of the next row in `at`. */
typedef struct nn_ahead {
    const char *data;
    const int64_t *order; /* as in nn_source */
    ptrdiff_t row_stride, bytes, rows;
    ptrdiff_t row, at;
} nn_ahead;

typedef struct nn_layer {
    const void *panels; /* packed weights */
    ptrdiff_t k, m;
    int activation;     /* an elementwise one, because softmax is an operation of its own */
    int skip_zeros;     /* every weight is finite: inputs that are zero may be left out */
    int weights;        /* nn_weights of the panels. Training takes those of its table's REAL only */
    double alpha, beta; /* the activation's parameters, where it has any */
} nn_layer;

/* AN OPERATION of a compiled network: layer.k inputs of each sample -> layer.m outputs. `dense`
 * computes the sums and their activation, `activate` only an activation. For operations other than
 * dense, panels are their parameters, in the form that their kernels want, or NULL. */
typedef struct nn_operation {
    int kind;         /* nn_operation_kind */
    int zeros_likely; /* many inputs may be zeros, so it pays to look for them */
    ptrdiff_t input_apart, output_apart; /* row strides in scratch memory: k and m, rounded up to
                                          * whole panels */
    nn_layer layer;
} nn_operation;

/* The kernels of an operation that has as many outputs as inputs; y may be x.
 *   tile      on a tile: m lines of vectors * lanes elements
 *   row       on one sample (m,)
 *   backward  x (m, width) are the inputs; d (m, width) holds the derivatives by the outputs, which
 *             are replaced by those by the inputs; NULL if nothing can be learned through it */
typedef struct nn_apply {
    void (*tile)(const nn_layer *layer, const void *x, void *y, int vectors);
    void (*row)(const nn_layer *layer, const void *x, void *y);
    void (*backward)(const nn_layer *layer, const void *x, void *d, ptrdiff_t width);
} nn_apply;

/* The targets of the samples, and the kind of loss: nncore/losses.py. */
typedef struct nn_targets {
    int kind;
    const int32_t *labels; /* (N,), from 0 to m - 1, or NULL */
    const void *rows;      /* (N, m) REALs, or NULL */
    const void *weights;   /* (N,) REALs; if NULL, all weights are 1 */
    const int64_t *order;  /* sample i is number order[i]; if NULL, it is number i */
    double smoothing;      /* the share of each target that is spread evenly over all m */
} nn_targets;

/* One step of an optimiser, for nn_kernels.update. The settings stand in the order that the row of
 * NN_OPTIMIZERS gives them. They also have names, in a structure with the optimiser's name. */
typedef struct nn_update {
    int kind;
    int64_t step; /* the number of the step since the optimiser began, from 0 */
    double rate;  /* the learning rate */
    double scale; /* the factor by which clipping multiplies the gradient */
    union {
        double settings[NN_MOST_SETTINGS];
#define NN_SETTING(name) double name;
#define NN_SETTINGS(name, states, momentum, settings) struct { settings } name;
        NN_OPTIMIZERS(NN_SETTINGS)
#undef NN_SETTINGS
#undef NN_SETTING
    };
} nn_update;

/* A step to be made for one layer as soon as its gradient is known: the packed weights of the
 * layer, and the optimiser's state in the same layout. A state that the optimiser does not have is
 * NULL. */
typedef struct nn_pending {
    nn_update update;
    void *weights, *first_state, *second_state;
    int spares_zeros; /* whether it leaves weights alone whose gradient is zero */
} nn_pending;

/* Whether a step changes nothing where the gradient is zero. Any number is changed if rate or scale
 * is infinite or NaN, also as a float, and -0.0 if the rate is negative. */
static inline int nn_spares_zeros(const nn_pending *pending)
{
    const nn_update *u = &pending->update;
    return u->kind == NN_sgd && !pending->first_state && u->sgd.weight_decay == 0 &&
           0 < u->rate && u->rate < 1e30 && u->scale == 1;
}

/* A chunk of a mini-batch, as the gradient of a layer wants it: the layer's inputs as a tile x,
 * whose lines are `width` apart, and the derivatives by its sums, delta, packed in panels of
 * `samples` lines. */
typedef struct nn_chunk {
    const void *x, *delta;
    ptrdiff_t width, samples;
} nn_chunk;

/* A bit for each of 64 inputs of every sample: it is set if the input is not zero. */
typedef uint64_t nn_elements[NN_MOST_SAMPLES];

/* What things cost with an instruction set. A plan decides by these numbers how a network is run.
 * None of them changes a bit of the outputs. The unit of the first seven is one multiply-add of a
 * vector, for one sample.
 *
 *   tile_multiply_add  a multiply-add of the tile kernel, with the loops around it
 *   lone_multiply_add  the same in a tile of one vector of samples
 *   tile_value         transposing one input or output of the network, into the first tile or out
 *                      of the last one
 *   row_multiply_add   a multiply-add of the row kernel, in a batch; infinity if a batch is never
 *                      run by rows
 *   row_input          what the row kernel costs for each input of a layer, in addition
 *   row_output         what it costs for each output of a layer, in addition
 *   row_load           what it costs to load a vector of weights, for all rows together
 *
 * The others are limits, in bytes of weights, and numbers of samples:
 *
 *   row_bytes          a batch is never run by rows if the network has more weights
 *   wide_bytes         a tile has wide_vectors if the network has more weights
 *   near_bytes         the weights that the caches of one core hold
 *   narrow_bytes       narrow tiles are cheaper for samples with many zeros if the first layer has
 *                      no more weights, because fewer samples have more zeros in common
 *   narrow_samples     the samples in a narrow tile
 *   memory_rows        the most samples by rows if the weights come from memory. A tile reads them
 *                      once, more rows would read them twice, or at a slower pace */
typedef struct nn_costs {
    double tile_multiply_add, lone_multiply_add, tile_value;
    double row_multiply_add, row_input, row_output, row_load;
    ptrdiff_t row_bytes, wide_bytes, near_bytes, narrow_bytes;
    int narrow_samples, memory_rows;
} nn_costs;

typedef struct nn_kernels {
    const char *isa;
    nn_costs costs;
    int lanes;        /* the elements of a vector */
    int tile_vectors; /* the most vectors of samples in a tile */
    int wide_vectors; /* the same if the weights of the network exceed costs.wide_bytes */
    int row_samples;  /* the most samples that row_layer takes at once */
    int row_block;    /* the most of them whose sums it computes side by side */

    /* y[i] = f(x[i]) and y[i] = f'(x[i]), i < n; y may be x. */
    void (*activate)(int activation, double alpha, double beta, const void *x, void *y,
                     ptrdiff_t n);
    void (*derive)(int activation, double alpha, double beta, const void *x, void *y,
                   ptrdiff_t n);

    /* x (m,) -> y (m,): softmax, or its logarithm if `logarithm` is 1; y may be x. */
    void (*softmax)(int logarithm, const void *x, void *y, ptrdiff_t m);

    /* One row of the source as k REALs. */
    void (*load_row)(const nn_source *x, ptrdiff_t row, ptrdiff_t k, void *y);

    /* x (rows, k), rows ldx apart -> index: the columns in which any row is not zero, in order.
     * Returns how many there are. NaN is not zero. index has room for k + 16 entries. */
    ptrdiff_t (*find_nonzero)(const void *x, ptrdiff_t ldx, int rows, ptrdiff_t k, int32_t *index);

    /* x (rows, k) -> y (rows, m), with the lanes over the outputs. rows is at most row_samples,
     * and a power of two if the weights are narrower than REALs. Only the `count` columns in index
     * are used; if index is NULL, which needs rows = 1 and weights that are REALs, all k of them.
     * Rows of y are ldy apart, and each is written up to whole panels. */
    void (*row_layer)(const nn_layer *layer, const void *x, ptrdiff_t ldx, int rows,
                      const int32_t *index, ptrdiff_t count, void *y, ptrdiff_t ldy);

    /* Samples first .. first + samples - 1 of the source -> a tile, and in index its lines. With
     * skip, a line that is zero in every sample is not listed, and may not have been written.
     * Returns the number of lines listed. The tile has room for k + 16 lines, index for k + 16
     * entries. Lines are `width` apart. elements is NULL or has (k + 63) / 64 entries: bit c of
     * elements[i][s] is set if input 64 i + c of sample s is not zero. */
    ptrdiff_t (*pack_tile)(const nn_source *x, ptrdiff_t first, int samples, ptrdiff_t k, int skip,
                           int vectors, void *tile, ptrdiff_t width, int32_t *index,
                           nn_elements *elements);

    /* A tile of m lines -> index: the lines in which any sample is not zero, in order. Returns how
     * many there are. */
    ptrdiff_t (*find_lines)(const void *tile, ptrdiff_t m, int vectors, int32_t *index);

    /* Whether all numbers are finite in the lines of a tile that are in index. Lines are `width`
     * apart. */
    int (*finite_lines)(const void *tile, ptrdiff_t width, const int32_t *index, ptrdiff_t count,
                        int vectors);

    /* A tile x of k lines, x_width apart, of which those in index are used -> a tile y of m lines,
     * with the lanes over the samples; of y there is room for whole panels if the weights are
     * narrower than REAL. ahead: memory to fetch meanwhile, all of it, or NULL. */
    void (*tile_layer)(const nn_layer *layer, const void *x, ptrdiff_t x_width,
                       const int32_t *index, ptrdiff_t count, int vectors, void *y,
                       nn_ahead *ahead);

    /* Softmax or its logarithm over the m lines of a tile, in place. */
    void (*tile_softmax)(int logarithm, void *tile, ptrdiff_t m, int vectors);

    /* The first `samples` samples of a tile of m lines -> rows of an array, strides in elements. */
    void (*unpack_tile)(const void *tile, int vectors, int samples, ptrdiff_t m, void *out,
                        ptrdiff_t row_stride, ptrdiff_t column_stride);

    /* The same as tile_layer for a tile whose elements are known, so that more zeros can be
     * skipped. Lanes of y without a sample are undefined. rows has room for (samples, m rounded up
     * to whole panels). */
    void (*first_layer)(const nn_layer *layer, const void *x, ptrdiff_t x_width,
                        const int32_t *index, ptrdiff_t count, int samples, int vectors,
                        const nn_elements *elements, void *rows, void *y, nn_ahead *ahead);

    /* The same without a tile: from samples first .. first + samples - 1 of the source, of which
     * it fetches those that it reads soon. Returns 0, and has done nothing, if too many of their
     * inputs are not zero. The weights must be REALs, and the source's order NULL. ahead is NULL
     * where the inputs of a sample lie far apart: nothing is fetched then. The kernel is missing,
     * NULL, for doubles and where row_layer takes one row at a time. */
    int (*sparse_layer)(const nn_layer *layer, const nn_source *x, ptrdiff_t first, int samples,
                        int vectors, void *rows, void *y, nn_ahead *ahead);

    /* The kernels of each nn_operation_kind, except two: dense has row_layer and tile_layer,
     * dropout has drop and multiply. */
    nn_apply apply[NN_OPERATION_COUNT];

    /* Training: loss.tpl.h, regularize.tpl.h, grad.tpl.h and optimizers.tpl.h describe these. */
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
    void (*weight_gradient)(const nn_layer *layer, const nn_chunk *chunk, ptrdiff_t start,
                            ptrdiff_t end, const int32_t *inputs, ptrdiff_t count, int32_t *index,
                            void *gradient, const nn_pending *pending);
    void (*bias_gradient)(const nn_layer *layer, const nn_chunk *chunk, void *gradient,
                          const nn_pending *pending);
    void (*update)(const nn_update *u, void *weights, const void *gradient, void *first_state,
                   void *second_state, ptrdiff_t n);

    /* Do multiply-adds and nothing else; return how many (probe.tpl.h). */
    double (*fma_probe)(ptrdiff_t rounds, void *result);
} nn_kernels;

/* A LAYER OF EIGHT BITS: the rule of eight bits, above. Its weights are packed as panels.h says. */
typedef struct nn_int8_layer {
    const char *panels;
    ptrdiff_t k, m;
    float inverse, zero; /* of the codes of its inputs; zero is a whole number from 0 to 255 */
    int zeros_likely;    /* many codes may be zeros, so it pays to look for them */
    int activation;      /* as in nn_layer, or softmax */
    double alpha, beta;
} nn_int8_layer;

/* THE KERNELS OF EIGHT BITS. The codes of a sample lie in a row, which has room for whole groups of
 * NN_INT8_GROUP_INPUTS inputs. What stands in a group after the last code may be anything, because
 * the weights there are 0. Rows are ldx bytes apart. */
typedef struct nn_int8_kernels {
    const char *name;
    ptrdiff_t dense_from; /* with so many samples, leaving out zeros is slower than tiles */

    /* Codes x (rows, k) -> z (rows, m), up to whole panels; rows of z are ldz apart, and there is
     * room for NN_INT8_SPARE_ROWS more. Only the `count` groups in index are used, which needs
     * rows = 1; if index is NULL, all. */
    void (*sums)(const nn_int8_layer *layer, const uint8_t *x, ptrdiff_t ldx, ptrdiff_t rows,
                 const int32_t *index, ptrdiff_t count, float *z, ptrdiff_t ldz);

    /* The codes of a sample -> index: the groups that are not zero, in order. Returns how many there
     * are. index has room for groups + 16 entries. */
    ptrdiff_t (*find_groups)(const uint8_t *x, ptrdiff_t groups, int32_t *index);

    /* The codes of n numbers. Returns whether any of them is NaN. */
    int (*to_codes)(const float *x, ptrdiff_t n, float inverse, float zero, uint8_t *codes);

    /* Do multiply-adds of bytes and nothing else; return how many. */
    double (*probe)(ptrdiff_t rounds, void *result);
} nn_int8_kernels;

/* All kernels of eight bits in this build, best first; the last entry has a NULL name.
 *   with       the instruction set of the other kernels without which these are not used
 *   supported  whether the CPU and the operating system can run them
 *   may_use    whether this process may: asked once, before they are first used. It may change what
 *              the system saves for the process. */
typedef struct nn_int8_isa {
    const char *name, *with;
    const nn_int8_kernels *kernels;
    int (*supported)(void), (*may_use)(void);
} nn_int8_isa;
extern const nn_int8_isa nn_int8_isas[];

typedef struct nn_isa {
    const char *name;
    const nn_kernels *f32, *f64;
} nn_isa;

/* All instruction sets of this build, best first; the last entry has a NULL name. nn_supported
 * returns whether the CPU and the operating system can run an instruction set. */
extern const nn_isa nn_isas[];
int nn_supported(const char *name);

#endif
