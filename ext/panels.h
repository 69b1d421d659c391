/* The layout of packed weights: where each weight of a layer lies.
 *
 * Only this file knows the layout: its geometry, packing and unpacking. The bytes are the same for
 * every instruction set. A layer has k inputs and m outputs.
 *
 * A panel holds the weights of P neighbouring outputs. P is the number of REALs, the numbers of the
 * arithmetic, that fit into one cache line: 16 floats or 8 doubles. The first line of a panel holds
 * the P biases; each of the k lines after it holds the weights for one input:
 *
 *     panel 0                                  panel 1
 *     b[0]       b[1]       ...  b[P-1]        b[P]       b[P+1]  ...
 *     w[0][0]    w[0][1]    ...  w[0][P-1]     w[0][P]    ...
 *     w[1][0]    ...                           ...
 *     w[k-1][0]  ...                           w[k-1][P]  ...
 *
 * The places of outputs beyond m hold zeros. The first line is aligned to a cache line. Gradients
 * and the state of an optimiser have the same layout.
 *
 * The type of the weights may differ from the type of the arithmetic: biases and sums are REALs,
 * weights may be narrower. Lines of narrower weights have fewer bytes, and are aligned to these.
 * bfloat16 weights stand in the order 0, 8, 1, 9 .. 7, 15 in their line. So 8 words of 32 bits hold
 * outputs 8 to 15 in their upper halves; the words that begin 2 bytes earlier hold outputs 0 to 7
 * there. A float has the same upper half, and zeros below, so one instruction widens 8 weights.
 */
#ifndef NN_PANELS_H
#define NN_PANELS_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define NN_LINE_BYTES 64 /* the bytes of a cache line */

#define NN_AS_IT_IS(value) (value)
#define NN_BFLOAT16_PLACE(j) ((j) % 8 * 2 + (j) / 8)

/* The upper half of a float's bits is its bfloat16. Round to nearest, ties to even: a number beyond
 * the largest bfloat16 becomes infinity. A NaN stays one, because its quiet bit is set. */
static inline uint16_t nn_narrow_to_bfloat16(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (value != value)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static inline float nn_widen_bfloat16(uint16_t half)
{
    const uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The kinds of weights: X(name, REAL, WEIGHT, narrow, widen, place). REAL is the type of the
 * arithmetic, WEIGHT that of a packed weight; narrow and widen convert one to the other. place(j) is
 * where output j of a panel stands in its line. */
#define NN_WEIGHTS(X)                                                                             \
    X(float32, float, float, NN_AS_IT_IS, NN_AS_IT_IS, NN_AS_IT_IS)                               \
    X(float64, double, double, NN_AS_IT_IS, NN_AS_IT_IS, NN_AS_IT_IS)                             \
    X(bfloat16, float, uint16_t, nn_narrow_to_bfloat16, nn_widen_bfloat16, NN_BFLOAT16_PLACE)

#define NN_WEIGHTS_ENUM(name, ...) NN_##name##_weights,
typedef enum nn_weights { NN_WEIGHTS(NN_WEIGHTS_ENUM) NN_WEIGHTS_COUNT } nn_weights;
#undef NN_WEIGHTS_ENUM

/* The kind of weights that have the type of the arithmetic. */
static inline nn_weights nn_plain_weights(int is_double)
{
    return is_double ? NN_float64_weights : NN_float32_weights;
}

/* ---- geometry ---- */

/* The number of outputs of one panel: P. */
static inline ptrdiff_t nn_panel_outputs(nn_weights kind)
{
#define NN_WEIGHTS_CASE(name, real, weight, ...)                                                  \
    case NN_##name##_weights: return NN_LINE_BYTES / (ptrdiff_t)sizeof(real);
    switch (kind) { NN_WEIGHTS(NN_WEIGHTS_CASE) case NN_WEIGHTS_COUNT: break; }
#undef NN_WEIGHTS_CASE
    return 1;
}

/* The bytes of a line of weights. A line of biases has NN_LINE_BYTES bytes. */
static inline ptrdiff_t nn_line_bytes(nn_weights kind)
{
#define NN_WEIGHTS_CASE(name, real, weight, ...)                                                  \
    case NN_##name##_weights:                                                                     \
        return NN_LINE_BYTES / (ptrdiff_t)sizeof(real) * (ptrdiff_t)sizeof(weight);
    switch (kind) { NN_WEIGHTS(NN_WEIGHTS_CASE) case NN_WEIGHTS_COUNT: break; }
#undef NN_WEIGHTS_CASE
    return 1;
}

/* The number of panels for m outputs. The divisor is a constant, because division by a variable is
 * slow: it would be noticed in a call of a small network, which takes a few hundred
 * instructions. */
static inline ptrdiff_t nn_panel_count(nn_weights kind, ptrdiff_t m)
{
#define NN_WEIGHTS_CASE(name, real, weight, ...)                                                  \
    case NN_##name##_weights: {                                                                   \
        enum { P = NN_LINE_BYTES / sizeof(real) };                                                \
        return (ptrdiff_t)(((size_t)m + P - 1) / P);                                              \
    }
    switch (kind) { NN_WEIGHTS(NN_WEIGHTS_CASE) case NN_WEIGHTS_COUNT: break; }
#undef NN_WEIGHTS_CASE
    return m;
}

/* m rounded up to whole panels. */
static inline ptrdiff_t nn_whole_panels(nn_weights kind, ptrdiff_t m)
{
    return nn_panel_count(kind, m) * nn_panel_outputs(kind);
}

/* The bytes from one panel to the next. */
static inline ptrdiff_t nn_panel_bytes(nn_weights kind, ptrdiff_t k)
{
    return NN_LINE_BYTES + k * nn_line_bytes(kind);
}

/* The bytes of a layer. */
static inline ptrdiff_t nn_packed_bytes(nn_weights kind, ptrdiff_t k, ptrdiff_t m)
{
    return nn_panel_count(kind, m) * nn_panel_bytes(kind, k);
}

/* Whether that number of bytes is one that a ptrdiff_t holds, with room to spare for alignment. */
static inline int nn_packed_fits(nn_weights kind, ptrdiff_t k, ptrdiff_t m)
{
    const ptrdiff_t most = PTRDIFF_MAX / 2 / NN_LINE_BYTES;
    return k < most && m < most && nn_panel_count(kind, m) <= most / (k + 1);
}

/* The bytes from the start of a layer to panel number `panel`, which begins with its biases. */
static inline ptrdiff_t nn_panel_at(nn_weights kind, ptrdiff_t k, ptrdiff_t panel)
{
    return panel * nn_panel_bytes(kind, k);
}

/* The bytes from the start of a layer to the weights for one input in one panel. */
static inline ptrdiff_t nn_weights_at(nn_weights kind, ptrdiff_t k, ptrdiff_t panel,
                                      ptrdiff_t input)
{
    return nn_panel_at(kind, k, panel) + NN_LINE_BYTES + input * nn_line_bytes(kind);
}

/* ---- packing and unpacking ---- */

/* Weights and biases before packing. They have the type of the arithmetic and may be unaligned.
 * w[i][j] is at w + i * w_row + j * w_column, b[j] at b + j * b_column. All strides are in
 * bytes. */
typedef struct nn_plain {
    char *w, *b; /* b is NULL for a layer without biases */
    ptrdiff_t w_row, w_column, b_column;
} nn_plain;

#define NN_WEIGHTS_PACK(name, real, weight, narrow, widen, place)                                 \
    static inline int nn_pack_##name(const nn_plain *plain, ptrdiff_t k, ptrdiff_t m, char *to)   \
    {                                                                                             \
        enum { P = NN_LINE_BYTES / sizeof(real) };                                                \
        int finite = 1;                                                                           \
        for (ptrdiff_t first = 0; first < m; first += P) {                                        \
            const ptrdiff_t here = m - first < P ? m - first : P;                                 \
            real biases[P] = {0};                                                                 \
            for (ptrdiff_t j = 0; plain->b && j < here; j++)                                      \
                memcpy(&biases[j], plain->b + (first + j) * plain->b_column, sizeof(real));       \
            memcpy(to, biases, sizeof biases);                                                    \
            to += sizeof biases;                                                                  \
            for (ptrdiff_t i = 0; i < k; i++) {                                                   \
                const char *from = plain->w + i * plain->w_row + first * plain->w_column;         \
                real values[P] = {0};                                                             \
                weight line[P];                                                                   \
                if (plain->w_column == (ptrdiff_t)sizeof(real) && here == P)                      \
                    memcpy(values, from, sizeof values);                                          \
                else                                                                              \
                    for (ptrdiff_t j = 0; j < here; j++)                                          \
                        memcpy(&values[j], from + j * plain->w_column, sizeof(real));             \
                for (int j = 0; j < P; j++) {                                                     \
                    line[place(j)] = narrow(values[j]);                                           \
                    values[j] = widen(line[place(j)]);                                            \
                    finite &= values[j] - values[j] == 0; /* false for infinity, NaN */           \
                }                                                                                 \
                memcpy(to, line, sizeof line);                                                    \
                to += sizeof line;                                                                \
            }                                                                                     \
        }                                                                                         \
        return finite;                                                                            \
    }                                                                                             \
    static inline void nn_unpack_##name(const char *from, ptrdiff_t k, ptrdiff_t m,               \
                                        const nn_plain *plain)                                    \
    {                                                                                             \
        enum { P = NN_LINE_BYTES / sizeof(real) };                                                \
        for (ptrdiff_t first = 0; first < m; first += P) {                                        \
            const ptrdiff_t here = m - first < P ? m - first : P;                                 \
            for (ptrdiff_t j = 0; plain->b && j < here; j++)                                      \
                memcpy(plain->b + (first + j) * plain->b_column, from + j * sizeof(real),         \
                       sizeof(real));                                                             \
            from += NN_LINE_BYTES;                                                                \
            for (ptrdiff_t i = 0; i < k; i++, from += P * sizeof(weight)) {                       \
                char *to = plain->w + i * plain->w_row + first * plain->w_column;                 \
                weight line[P];                                                                   \
                real values[P];                                                                   \
                memcpy(line, from, sizeof line);                                                  \
                for (int j = 0; j < P; j++)                                                       \
                    values[j] = widen(line[place(j)]);                                            \
                if (plain->w_column == (ptrdiff_t)sizeof(real))                                   \
                    memcpy(to, values, (size_t)here * sizeof(real));                              \
                else                                                                              \
                    for (ptrdiff_t j = 0; j < here; j++)                                          \
                        memcpy(to + j * plain->w_column, &values[j], sizeof(real));               \
            }                                                                                     \
        }                                                                                         \
    }
NN_WEIGHTS(NN_WEIGHTS_PACK)
#undef NN_WEIGHTS_PACK

/* Pack w (k, m) and b (m,) into nn_packed_bytes(kind, k, m) bytes of memory. Return whether all
 * weights are finite. Biases may be infinite or NaN: they are added once, whatever the inputs. */
static inline int nn_pack(nn_weights kind, const nn_plain *plain, ptrdiff_t k, ptrdiff_t m,
                          void *panels)
{
#define NN_WEIGHTS_CASE(name, ...)                                                                \
    case NN_##name##_weights: return nn_pack_##name(plain, k, m, (char *)panels);
    switch (kind) { NN_WEIGHTS(NN_WEIGHTS_CASE) case NN_WEIGHTS_COUNT: break; }
#undef NN_WEIGHTS_CASE
    return 0;
}

/* Unpack to w (k, m) and, if plain->b is not NULL, to b (m,). */
static inline void nn_unpack(nn_weights kind, const void *panels, ptrdiff_t k, ptrdiff_t m,
                             const nn_plain *plain)
{
#define NN_WEIGHTS_CASE(name, ...)                                                                \
    case NN_##name##_weights: nn_unpack_##name((const char *)panels, k, m, plain); return;
    switch (kind) { NN_WEIGHTS(NN_WEIGHTS_CASE) case NN_WEIGHTS_COUNT: break; }
#undef NN_WEIGHTS_CASE
}

/* ---- eight bits ---- */

/* The weights of a quantised layer lie in panels of NN_INT8_OUTPUTS outputs. Four weights of each
 * output stand side by side, because that is what one instruction multiplies and adds:
 *
 *     start[0] ... start[15]      -zero times the sum of the weights: where the sums begin (int32)
 *     scale[0] ... scale[15]      floats
 *     bias[0]  ... bias[15]       floats
 *     w[0][0] w[1][0] w[2][0] w[3][0]   w[0][1] w[1][1] w[2][1] w[3][1]   ... w[3][15]    group 0
 *     w[4][0] ...                                                                         group 1
 *
 * A panel has whole steps of groups: the tiles of AMX take one step at a time. The places of inputs
 * beyond k and outputs beyond m hold zeros. */
enum {
    NN_INT8_OUTPUTS = 16,
    NN_INT8_GROUP_INPUTS = 4,
    NN_INT8_STEP_GROUPS = 16,                       /* the most groups in a step */
    NN_INT8_MOST_INPUTS = 2147483647 / (255 * 127), /* a sum of so many products is an int32 */
    NN_INT8_HEAD_BYTES = 3 * NN_LINE_BYTES,
    NN_INT8_SPARE_ROWS = 1, /* of sums, which kernels may write after those of the samples */
};

static inline ptrdiff_t nn_int8_groups(ptrdiff_t k)
{
    return (k + NN_INT8_GROUP_INPUTS - 1) / NN_INT8_GROUP_INPUTS;
}
static inline ptrdiff_t nn_int8_panel_count(ptrdiff_t m)
{
    return (m + NN_INT8_OUTPUTS - 1) / NN_INT8_OUTPUTS;
}

/* Steps are equally long, so that few groups have to be added. */
static inline ptrdiff_t nn_int8_steps(ptrdiff_t k)
{
    return (nn_int8_groups(k) + NN_INT8_STEP_GROUPS - 1) / NN_INT8_STEP_GROUPS;
}
static inline ptrdiff_t nn_int8_step_groups(ptrdiff_t k)
{
    return (nn_int8_groups(k) + nn_int8_steps(k) - 1) / nn_int8_steps(k);
}
/* The bytes of a row of codes in whole steps. */
static inline ptrdiff_t nn_int8_row_bytes(ptrdiff_t k)
{
    return nn_int8_steps(k) * nn_int8_step_groups(k) * NN_INT8_GROUP_INPUTS;
}
static inline ptrdiff_t nn_int8_panel_bytes(ptrdiff_t k)
{
    return NN_INT8_HEAD_BYTES + nn_int8_row_bytes(k) * NN_INT8_OUTPUTS;
}

/* Pack w (k, m), scale (m,) and bias (m,), all of them contiguous, into
 * nn_int8_panel_count(m) * nn_int8_panel_bytes(k) bytes of memory. */
static inline void nn_int8_pack(const int8_t *w, const float *scale, const float *bias, int zero,
                                ptrdiff_t k, ptrdiff_t m, char *panels)
{
    const ptrdiff_t bytes = nn_int8_panel_bytes(k);
    memset(panels, 0, (size_t)(nn_int8_panel_count(m) * bytes));
    for (ptrdiff_t j = 0; j < m; j++) {
        char *panel = panels + j / NN_INT8_OUTPUTS * bytes;
        const ptrdiff_t lane = j % NN_INT8_OUTPUTS;
        int32_t sum = 0;
        for (ptrdiff_t i = 0; i < k; i++) {
            const int8_t weight = w[i * m + j];
            panel[NN_INT8_HEAD_BYTES + i / 4 * NN_LINE_BYTES + lane * 4 + i % 4] = (char)weight;
            sum += weight;
        }
        sum *= -zero;
        memcpy(panel + lane * 4, &sum, sizeof sum);
        memcpy(panel + NN_LINE_BYTES + lane * 4, &scale[j], sizeof(float));
        memcpy(panel + 2 * NN_LINE_BYTES + lane * 4, &bias[j], sizeof(float));
    }
}

#endif
