/* The kernels of eight bits, each written once in the verbs of dot_*.h. contract.h says what they
 * compute.
 *
 * The lanes run over the outputs. A group is four inputs of one sample: it is broadcast to all
 * lanes, where each output multiplies it by its four weights. So codes are read as they lie in the
 * user's memory, in a batch as of a single sample. */

enum {
    PANEL_SUMS = NN_INT8_OUTPUTS / LANES, /* vectors of sums in a panel */
    GROUP_BYTES = NN_INT8_GROUP_INPUTS,
    MOST_SUMS = 24,
};

/* The sums of some samples and panels. `rows`, `panels` and `chains` are constants, so that all
 * sums stay in registers. A single sample of few panels has several chains of sums, because an
 * addition takes longer than the time until the next can begin. */
NN_VERB void block(const nn_int8_layer *layer, const char *panel, const uint8_t *const *x,
                   const int32_t *index, ptrdiff_t count, float *z, ptrdiff_t ldz, const int rows,
                   const int panels, const int chains)
{
    const ptrdiff_t apart = nn_int8_panel_bytes(layer->k);
    const char *weights = panel + NN_INT8_HEAD_BYTES;
    const int width = panels * PANEL_SUMS;
    isum sums[MOST_SUMS];
    NN_UNROLL(24)
    for (int s = 0; s < rows * chains * width; s++)
        sums[s] = s < rows * width ? load_sums(panel + s % width / PANEL_SUMS * apart
                                               + s % PANEL_SUMS * LANES * 4)
                                   : no_sums();
    for (ptrdiff_t i = 0; i < count; i += chains)
        NN_UNROLL(4)
        for (int c = 0; c < chains; c++) {
            if (c > 0 && i + c >= count)
                break;
            const ptrdiff_t group = index ? index[i + c] : i + c;
            iweights w[MOST_SUMS];
            NN_UNROLL(24)
            for (int s = 0; s < width; s++)
                w[s] = load_weights(weights + group * NN_LINE_BYTES + s / PANEL_SUMS * apart
                                    + s % PANEL_SUMS * LANES * 4);
            NN_UNROLL(8)
            for (int r = 0; r < rows; r++) {
                const icodes codes = broadcast_codes(x[r] + group * GROUP_BYTES);
                NN_UNROLL(24)
                for (int s = 0; s < width; s++) {
                    isum *sum = &sums[(c * rows + r) * width + s];
                    *sum = add_products(*sum, codes, w[s]);
                }
            }
        }
    NN_UNROLL(24)
    for (int s = 0; s < rows * width; s++) {
        const char *scale = panel + s % width / PANEL_SUMS * apart + NN_LINE_BYTES
                            + s % PANEL_SUMS * LANES * 4;
        NN_UNROLL(4)
        for (int c = 1; c < chains; c++)
            sums[s] = add_sums(sums[s], sums[c * rows * width + s]);
        store_scaled(sums[s], scale, scale + NN_LINE_BYTES,
                     z + s / width * ldz + s % width * LANES);
    }
}

/* A block of `panels` panels and of up to MOST_ROWS samples, of as many as it returns. */
NN_VERB ptrdiff_t some_rows(const nn_int8_layer *layer, const char *panel, const uint8_t *x,
                            ptrdiff_t ldx, ptrdiff_t left, const int32_t *index, ptrdiff_t count,
                            float *z, ptrdiff_t ldz, const int panels)
{
    const uint8_t *rows[MOST_ROWS];
    /* The last sample stands for one that is missing. */
    for (int r = 0; r < MOST_ROWS; r++)
        rows[r] = x + (r < left ? r : left - 1) * ldx;
    if (MOST_ROWS > 2 && left >= MOST_ROWS - 1 && panels <= ROWS_PANELS) {
        block(layer, panel, rows, index, count, z, ldz, MOST_ROWS, panels, 1);
        return left < MOST_ROWS ? left : MOST_ROWS;
    }
    if (MOST_ROWS > 2 && left >= 2) {
        block(layer, panel, rows, index, count, z, ldz, 2, panels, 1);
        return 2;
    }
    const int chains = panels * PANEL_SUMS >= 4 ? 1 : 4 / (panels * PANEL_SUMS);
    block(layer, panel, rows, index, count, z, ldz, 1, panels, chains);
    return 1;
}

NN_VERB void all_rows(const nn_int8_layer *layer, const char *panel, const uint8_t *x,
                      ptrdiff_t ldx, ptrdiff_t rows, const int32_t *index, ptrdiff_t count,
                      float *z, ptrdiff_t ldz, const int panels)
{
    for (ptrdiff_t first = 0; first < rows;)
        first += some_rows(layer, panel, x + first * ldx, ldx, rows - first, index, count,
                           z + first * ldz, ldz, panels);
}

/* Panels outside, samples inside: the weights of some panels serve all samples from the cache. */
static NN_TARGET void vector_sums(const nn_int8_layer *layer, const uint8_t *x, ptrdiff_t ldx,
                                  ptrdiff_t rows, const int32_t *index, ptrdiff_t count, float *z,
                                  ptrdiff_t ldz)
{
    const ptrdiff_t apart = nn_int8_panel_bytes(layer->k);
    const char *panel = layer->panels;
    if (!index)
        count = nn_int8_groups(layer->k);
    for (ptrdiff_t left = nn_int8_panel_count(layer->m), taken; left > 0; left -= taken) {
        const ptrdiff_t most = rows < 3 ? MOST_PANELS : ROWS_PANELS;
        taken = left < most ? left : most;
        if (MOST_PANELS >= 4 && taken >= 4) {
            taken = 4;
            all_rows(layer, panel, x, ldx, rows, index, count, z, ldz, 4);
        } else if (MOST_PANELS >= 2 && taken >= 2) {
            taken = 2;
            all_rows(layer, panel, x, ldx, rows, index, count, z, ldz, 2);
        } else {
            taken = 1;
            all_rows(layer, panel, x, ldx, rows, index, count, z, ldz, 1);
        }
        panel += taken * apart;
        z += taken * NN_INT8_OUTPUTS;
    }
}

#ifdef HAS_TILES
#include "int8_tiles.tpl.h"
#else
enum { DENSE_FROM = 1 << 30 };
static NN_TARGET void int8_sums(const nn_int8_layer *layer, const uint8_t *x, ptrdiff_t ldx,
                                ptrdiff_t rows, const int32_t *index, ptrdiff_t count, float *z,
                                ptrdiff_t ldz)
{
    vector_sums(layer, x, ldx, rows, index, count, z, ldz);
}
#endif

static NN_TARGET ptrdiff_t find_groups(const uint8_t *x, ptrdiff_t ldx, ptrdiff_t rows,
                                       ptrdiff_t groups, int32_t *index)
{
    int32_t *const begin = index;
    for (ptrdiff_t group = 0; group < groups; group += 16) {
        const uint8_t *from = x + group * GROUP_BYTES;
        const ptrdiff_t left = groups - group;
        index += store_groups(index, left >= 16 ? nonzero_groups(from, ldx, rows)
                                                : nonzero_few(from, ldx, rows, left),
                              (int32_t)group);
    }
    return index - begin;
}

static NN_TARGET int to_codes(const float *x, ptrdiff_t n, float inverse, float zero,
                              uint8_t *codes)
{
    enum { TAKEN = 4 * LANES };
    int has_nan = 0;
    ptrdiff_t i = 0;
    for (; i + TAKEN <= n; i += TAKEN)
        has_nan |= make_codes(x + i, inverse, zero, codes + i);
    if (i < n) {
        float rest[TAKEN] = {0};
        uint8_t made[TAKEN];
        memcpy(rest, x + i, (size_t)(n - i) * sizeof(float));
        has_nan |= make_codes(rest, inverse, zero, made);
        memcpy(codes + i, made, (size_t)(n - i));
    }
    return has_nan;
}

/* As many chains as block has sums at most. */
static NN_TARGET double int8_probe(ptrdiff_t rounds, void *result)
{
    enum { CHAINS = 12 };
    static const uint8_t four[64 + 4 * CHAINS] = {1, 2, 3, 4};
    isum sums[CHAINS];
    const icodes codes = broadcast_codes(four);
    const iweights weights = load_weights((const char *)four);
    NN_UNROLL(12)
    for (int c = 0; c < CHAINS; c++)
        sums[c] = load_sums((const char *)four + 4 * c);
    for (ptrdiff_t i = 0; i < rounds; i++)
        NN_UNROLL(12)
        for (int c = 0; c < CHAINS; c++)
            sums[c] = add_products(sums[c], codes, weights);
    NN_UNROLL(12)
    for (int c = 1; c < CHAINS; c++)
        sums[0] = add_sums(sums[0], sums[c]);
    float z[LANES];
    store_scaled(sums[0], (const char *)four, (const char *)four, z);
    memcpy(result, z, sizeof(float)); /* so that the compiler leaves nothing out */
    return (double)rounds * CHAINS * LANES * NN_INT8_GROUP_INPUTS;
}

extern const nn_int8_kernels NN_JOIN(nn_int8__, NN_ISA); /* dispatch.c declares it as well */
const nn_int8_kernels NN_JOIN(nn_int8__, NN_ISA) = {
    .name = NN_TEXT(NN_ISA),
    .rows = MOST_ROWS,
    .dense_from = DENSE_FROM,
    .sums = int8_sums,
    .find_groups = find_groups,
    .to_codes = to_codes,
    .probe = int8_probe,
};
