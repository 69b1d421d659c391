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

/* Where sum s of a block begins in its panels, which are `apart` bytes from each other. */
NN_VERB ptrdiff_t sum_at(int s, ptrdiff_t apart)
{
    return s / PANEL_SUMS * apart + s % PANEL_SUMS * LANES * (ptrdiff_t)sizeof(int32_t);
}

/* The sums of several samples and panels. `rows` and `panels` are constants, so that all sums stay
 * in registers. */
NN_VERB void rows_block(const nn_int8_layer *layer, const char *panel, const uint8_t *x,
                        ptrdiff_t ldx, ptrdiff_t left, float *z, ptrdiff_t ldz, const int rows,
                        const int panels)
{
    const ptrdiff_t apart = nn_int8_panel_bytes(layer->k), groups = nn_int8_groups(layer->k);
    const int width = panels * PANEL_SUMS;
    const uint8_t *row[MOST_ROWS];
    isum sums[MOST_SUMS];
    for (int r = 0; r < rows; r++)
        row[r] = x + (r < left ? r : left - 1) * ldx; /* the last one stands for one too few */
    NN_UNROLL(24)
    for (int s = 0; s < rows * width; s++)
        sums[s] = load_sums(panel + sum_at(s % width, apart));
    for (ptrdiff_t group = 0; group < groups; group++) {
        const char *weights = panel + NN_INT8_HEAD_BYTES + group * NN_LINE_BYTES;
        iweights w[MOST_SUMS];
        NN_UNROLL(24)
        for (int s = 0; s < width; s++)
            w[s] = load_weights(weights + sum_at(s, apart));
        NN_UNROLL(8)
        for (int r = 0; r < rows; r++) {
            const icodes codes = broadcast_codes(row[r] + group * GROUP_BYTES);
            NN_UNROLL(24)
            for (int s = 0; s < width; s++)
                sums[r * width + s] = add_products(sums[r * width + s], codes, w[s]);
        }
    }
    NN_UNROLL(24)
    for (int s = 0; s < rows * width; s++) {
        const char *scale = panel + NN_LINE_BYTES + sum_at(s % width, apart);
        store_scaled(sums[s], scale, scale + NN_LINE_BYTES,
                     z + s / width * ldz + s % width * LANES);
    }
}

/* The sums of some panels of one sample: of all groups, or of those in index. A block of few panels
 * has several chains of sums, because an addition takes longer than the time until the next one can
 * begin. `panels` and `chains` are constants; the last of the `left` panels stands for those that
 * are missing. */
NN_VERB void row_block(const nn_int8_layer *layer, const char *panel, ptrdiff_t left,
                       const uint8_t *x, const int32_t *index, ptrdiff_t count, float *z,
                       const int panels, const int chains)
{
    const ptrdiff_t apart = nn_int8_panel_bytes(layer->k);
    const int width = panels * PANEL_SUMS;
    const char *start[MOST_SUMS];
    isum sums[MOST_SUMS];
    NN_UNROLL(24)
    for (int s = 0; s < width; s++) {
        const int p = s / PANEL_SUMS < left ? s / PANEL_SUMS : (int)left - 1;
        start[s] = panel + p * apart + s % PANEL_SUMS * LANES * 4;
        sums[s] = load_sums(start[s]);
    }
    NN_UNROLL(24)
    for (int s = width; s < chains * width; s++)
        sums[s] = no_sums();
    ptrdiff_t i = 0;
    for (; i + chains <= count; i += chains)
        NN_UNROLL(4)
        for (int c = 0; c < chains; c++) {
            const ptrdiff_t group = index ? index[i + c] : i + c;
            const icodes codes = broadcast_codes(x + group * GROUP_BYTES);
            NN_UNROLL(24)
            for (int s = 0; s < width; s++)
                sums[c * width + s] = add_products(
                    sums[c * width + s], codes,
                    load_weights(start[s] + NN_INT8_HEAD_BYTES + group * NN_LINE_BYTES));
        }
    for (; i < count; i++) {
        const ptrdiff_t group = index ? index[i] : i;
        const icodes codes = broadcast_codes(x + group * GROUP_BYTES);
        NN_UNROLL(24)
        for (int s = 0; s < width; s++)
            sums[s] = add_products(
                sums[s], codes,
                load_weights(start[s] + NN_INT8_HEAD_BYTES + group * NN_LINE_BYTES));
    }
    NN_UNROLL(24)
    for (int s = 0; s < width; s++) {
        NN_UNROLL(4)
        for (int c = 1; c < chains; c++)
            sums[s] = add_sums(sums[s], sums[c * width + s]);
        const int p = s / PANEL_SUMS < left ? s / PANEL_SUMS : (int)left - 1;
        store_scaled(sums[s], start[s] + NN_LINE_BYTES, start[s] + 2 * NN_LINE_BYTES,
                     z + p * NN_INT8_OUTPUTS + s % PANEL_SUMS * LANES);
    }
}

NN_VERB void row_sums(const nn_int8_layer *layer, const uint8_t *x, const int32_t *index,
                      ptrdiff_t count, float *z)
{
    const ptrdiff_t apart = nn_int8_panel_bytes(layer->k);
    const char *panel = layer->panels;
    for (ptrdiff_t left = nn_int8_panel_count(layer->m), taken; left > 0; left -= taken) {
        if (ROW_PANELS >= 8 && left > 4) {
            taken = 8;
            row_block(layer, panel, left, x, index, count, z, 8, 1);
        } else if (ROW_PANELS >= 4 && left > 2) {
            taken = 4;
            row_block(layer, panel, left, x, index, count, z, 4, ROW_PANELS / 4);
        } else if (ROW_PANELS >= 2 && left > 1) {
            taken = 2;
            row_block(layer, panel, left, x, index, count, z, 2, ROW_PANELS / 2);
        } else {
            taken = 1;
            row_block(layer, panel, left, x, index, count, z, 1, ROW_PANELS < 4 ? ROW_PANELS : 4);
        }
        panel += taken * apart;
        z += taken * NN_INT8_OUTPUTS;
    }
}

/* Blocks of all samples, for some panels. */
NN_VERB void all_rows(const nn_int8_layer *layer, const char *panel, const uint8_t *x,
                      ptrdiff_t ldx, ptrdiff_t rows, float *z, ptrdiff_t ldz, const int panels)
{
    for (ptrdiff_t left = rows, taken; left > 0; left -= taken) {
        if (left >= MOST_ROWS - 1) {
            taken = MOST_ROWS;
            rows_block(layer, panel, x, ldx, left, z, ldz, MOST_ROWS, panels);
        } else {
            taken = 2;
            rows_block(layer, panel, x, ldx, left, z, ldz, 2, panels);
        }
        x += taken * ldx;
        z += taken * ldz;
    }
}

/* Panels outside, samples inside: the weights of a few panels serve all samples from the cache. */
static NN_TARGET void int8_sums(const nn_int8_layer *layer, const uint8_t *x, ptrdiff_t ldx,
                                ptrdiff_t rows, const int32_t *index, ptrdiff_t count, float *z,
                                ptrdiff_t ldz)
{
    const ptrdiff_t apart = nn_int8_panel_bytes(layer->k);
    const char *panel = layer->panels;
    if (rows == 1 || MOST_ROWS == 1) {
        for (ptrdiff_t row = 0; row < rows; row++)
            row_sums(layer, x + row * ldx, index, index ? count : nn_int8_groups(layer->k),
                     z + row * ldz);
        return;
    }
    for (ptrdiff_t left = nn_int8_panel_count(layer->m), taken; left > 0; left -= taken) {
        if (MOST_PANELS >= 4 && left >= 4) {
            taken = 4;
            all_rows(layer, panel, x, ldx, rows, z, ldz, 4);
        } else if (MOST_PANELS >= 2 && left >= 2) {
            taken = 2;
            all_rows(layer, panel, x, ldx, rows, z, ldz, 2);
        } else {
            taken = 1;
            all_rows(layer, panel, x, ldx, rows, z, ldz, 1);
        }
        panel += taken * apart;
        z += taken * NN_INT8_OUTPUTS;
    }
}

static NN_TARGET ptrdiff_t find_groups(const uint8_t *x, ptrdiff_t groups, int32_t *index)
{
    int32_t *const begin = index;
    for (ptrdiff_t group = 0; group < groups; group += 16) {
        const uint8_t *from = x + group * GROUP_BYTES;
        const ptrdiff_t left = groups - group;
        index += store_groups(index, left >= 16 ? nonzero_groups(from) : nonzero_few(from, left),
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
    if (i < n && n >= TAKEN) { /* the last ones, some of them once more */
        has_nan |= make_codes(x + n - TAKEN, inverse, zero, codes + n - TAKEN);
    } else if (i < n) {
        float rest[TAKEN] = {0};
        uint8_t made[TAKEN];
        memcpy(rest, x + i, (size_t)(n - i) * sizeof(float));
        has_nan |= make_codes(rest, inverse, zero, made);
        memcpy(codes + i, made, (size_t)(n - i));
    }
    return has_nan;
}

/* The codes are read again and again, or the compiler would multiply only once. */
static NN_TARGET double int8_probe(ptrdiff_t rounds, void *result)
{
    enum { CHAINS = 12 };
    static const uint8_t numbers[64 + 4 * CHAINS] = {1, 2, 3, 4, 5, 6, 7};
    isum sums[CHAINS];
    const iweights weights = load_weights((const char *)numbers);
    NN_UNROLL(12)
    for (int c = 0; c < CHAINS; c++)
        sums[c] = load_sums((const char *)numbers + 4 * c);
    for (ptrdiff_t i = 0; i < rounds; i++)
        NN_UNROLL(12)
        for (int c = 0; c < CHAINS; c++)
            sums[c] = add_products(sums[c], broadcast_codes(numbers + i % 4 + c), weights);
    NN_UNROLL(12)
    for (int c = 1; c < CHAINS; c++)
        sums[0] = add_sums(sums[0], sums[c]);
    float z[LANES];
    store_scaled(sums[0], (const char *)numbers, (const char *)numbers, z);
    memcpy(result, z, sizeof(float)); /* so that the compiler leaves nothing out */
    return (double)rounds * CHAINS * LANES * NN_INT8_GROUP_INPUTS;
}

extern const nn_int8_kernels NN_JOIN(nn_int8__, NN_ISA); /* dispatch.c declares it as well */
const nn_int8_kernels NN_JOIN(nn_int8__, NN_ISA) = {
    .name = NN_TEXT(NN_ISA),
    .dense_from = PTRDIFF_MAX,
    .sums = int8_sums,
    .find_groups = find_groups,
    .to_codes = to_codes,
    .probe = int8_probe,
};
