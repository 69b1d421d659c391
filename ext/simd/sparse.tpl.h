/* The first layer of a batch whose samples have many zeros: with lists of the inputs that are not
 * zero in one sample, or in two or four. The lanes are over the outputs, as in the row kernel, but
 * the result is a tile.
 *
 * A line of a tile is rarely zero in all samples, so the tile kernel would multiply by most
 * zeros. */

/* All samples use the weights for so many inputs, which are then in the cache, before the next
 * inputs follow. */
enum { SPARSE_WORDS = 3, SPARSE_INPUTS = SPARSE_WORDS * COLUMNS };

/* ---- training: from a tile, one sample after the other ---- */

/* The sums of `panels` panels for one sample: y = start + x @ w over the `count` inputs in index.
 * The inputs are `width` apart in x, the panels of start are start_panel apart, those of y
 * PANEL. */
NN_MATH void sparse_block(const int panels, const REAL *w, ptrdiff_t w_panel, const REAL *x,
                          ptrdiff_t width, const int32_t *index, ptrdiff_t count,
                          const REAL *start, ptrdiff_t start_panel, REAL *y)
{
    vec sum[SPARSE_SUMS];
    NN_UNROLL(16)
    for (int v = 0; v < panels * WIDE; v++)
        sum[v] = vload(start + v / WIDE * start_panel + v % WIDE * LANES);
    for (ptrdiff_t i = 0; i < count; i++) {
        const ptrdiff_t k = index[i];
        const REAL *line = w + k * PANEL;
        const vec input = vset1(x[k * width]);
        NN_UNROLL(16)
        for (int v = 0; v < panels * WIDE; v++)
            sum[v] = vfma(input, vload(line + v / WIDE * w_panel + v % WIDE * LANES), sum[v]);
    }
    NN_UNROLL(16)
    for (int v = 0; v < panels * WIDE; v++)
        vstore(y + v * LANES, sum[v]);
}

#define NN_SPARSE_CASE(unused, panels)                                                            \
    case panels:                                                                                  \
        sparse_block(panels, w, w_panel, x, width, index, count, start, start_panel, y);          \
        break;

/* Tile x (k, width) -> the first `samples` lanes of a tile y of m lines. rows: room for (samples, m
 * rounded up to whole panels). */
static NN_TARGET void by_samples(const nn_layer *layer, const void *x_, ptrdiff_t width,
                                 int samples, int vectors, const nn_elements *elements,
                                 void *rows_, void *y, nn_ahead *ahead)
{
    const REAL *x_lines = x_, *bias = layer->panels;
    REAL *rows = rows_;
    const ptrdiff_t w_panel = panel_stride(layer->k);
    const ptrdiff_t panels = panel_count(layer->m);
    const ptrdiff_t words = (layer->k + COLUMNS - 1) / COLUMNS;
    const ptrdiff_t passes = (words + SPARSE_WORDS - 1) / SPARSE_WORDS;
    const ptrdiff_t fetched =
        ahead ? ahead->rows * (ahead->bytes / NN_LINE_BYTES + 1) / (passes * samples) + 1 : 0;
    for (ptrdiff_t word = 0; word < words; word += SPARSE_WORDS) {
        const ptrdiff_t end = word + SPARSE_WORDS < words ? word + SPARSE_WORDS : words;
        for (int s = 0; s < samples; s++) {
            int32_t index[SPARSE_INPUTS + 16];
            const REAL *x = x_lines + s;
            ptrdiff_t count = 0;
            for (ptrdiff_t i = word; i < end; i++)
                for (int c = 0; c < COLUMNS; c += LANES)
                    count += vstore_indices(index + count,
                                            (unsigned)(elements[i][s] >> c) & ((1u << LANES) - 1),
                                            (int32_t)(i * COLUMNS + c));
            for (ptrdiff_t j = 0, now; j < panels; j += now) {
                const REAL *w = bias + j * w_panel + PANEL;
                REAL *y = rows + (s * panels + j) * PANEL;
                const REAL *start = word == 0 ? w - PANEL : y;
                const ptrdiff_t start_panel = word == 0 ? w_panel : PANEL;
                now = panels - j < ROW_PANELS_1 ? panels - j : ROW_PANELS_1;
                switch (now) { NN_CASES_UP_TO(NN_SPARSE_CASE, 1, ROW_PANELS_1) }
            }
            if (ahead)
                fetch(ahead, fetched);
        }
    }
    const ptrdiff_t all = samples * panels * PANEL;
    for (ptrdiff_t i = 0; i < all; i += LANES)
        vstore(rows + i, vadd(vload(rows + i), vset1(0)));
    activate(layer->activation, layer->alpha, layer->beta, rows, rows, all);
    unpack_tile(rows, (int)panels * WIDE, (int)layer->m, samples, y, (ptrdiff_t)vectors * LANES, 1);
}

/* Choose the faster of by_samples and tile_layer by their numbers of multiply-adds of vectors. One
 * of by_samples takes longer, because it waits for its weights, and, if there are fewer than four
 * sums, for the multiply-add before it. The factors were found by measuring. */
static NN_TARGET void first_layer(const nn_layer *layer, const void *x, ptrdiff_t x_width,
                                  const int32_t *index, ptrdiff_t count, int samples, int vectors,
                                  const nn_elements *elements, void *rows, void *y, nn_ahead *ahead)
{
    const ptrdiff_t sums = panel_count(layer->m) * WIDE;
    ptrdiff_t all = 0;
    for (ptrdiff_t i = 0; i * COLUMNS < layer->k; i++)
        for (int s = 0; s < samples; s++)
            all += __builtin_popcountll(elements[i][s]);
    if (layer->skip_zeros && 5 * all * (sums < 4 ? 4 : sums) < 2 * count * layer->m * vectors)
        by_samples(layer, x, x_width, samples, vectors, elements, rows, y, ahead);
    else
        tile_layer(layer, x, x_width, index, count, vectors, y, ahead);
}

/* ---- inference: from the rows of the source, some samples after the others ---- */

/* Who wants speed takes floats, and has vectors: the others are not worth a larger library. */
#define HAS_SPARSE_LAYER (!NN_DOUBLE && ROW_PANELS_2)
#if HAS_SPARSE_LAYER
/* Some samples, from some input on: x[s * ldx + i]. */
typedef struct sparse_inputs {
    const REAL *x;
    ptrdiff_t ldx, count;
    int32_t index[SPARSE_INPUTS + 16]; /* the inputs that are not zero in every sample */
    REAL copies[4][SPARSE_INPUTS];
} sparse_inputs;

/* Inputs `start` to start + columns - 1 of samples row, row + apart, ... These functions are cold:
 * they are to be small, because the time is spent in those that they call. */
__attribute__((cold)) static NN_TARGET void read_inputs(const nn_source *source, ptrdiff_t row,
                                                        ptrdiff_t apart, int samples,
                                                        ptrdiff_t start, ptrdiff_t columns,
                                                        sparse_inputs *inputs)
{
    const char *place = source->data + row * source->row_stride;
    const uintptr_t places = (uintptr_t)place | (uintptr_t)source->row_stride;
    inputs->x = inputs->copies[0];
    inputs->ldx = SPARSE_INPUTS;
    if (is_real(source) && places % sizeof(REAL) == 0) {
        inputs->x = (const REAL *)place + start;
        inputs->ldx = apart * source->row_stride / (ptrdiff_t)sizeof(REAL);
    } else
        for (int s = 0; s < samples; s++)
            load_columns(source, row + s * apart, start, columns, inputs->copies[s]);
    inputs->count = find_nonzero(inputs->x, inputs->ldx, samples, columns, inputs->index);
}

/* Whether lists are faster than a tile for these samples. Their costs are compared as in
 * first_layer, in half multiply-adds of vectors for each sample. To begin a list takes as long as
 * some inputs, and to look for them some time for each vector, more where they are converted. Four
 * samples tell, at distances at which blank ones hardly come. */
__attribute__((cold)) static NN_TARGET int are_sparse(const nn_layer *layer, const nn_source *x,
                                                      ptrdiff_t first, int samples, int vectors,
                                                      sparse_inputs *inputs)
{
    const int seen = samples < 4 ? samples : 4, apart = samples / 10 * 2 + 1;
    const ptrdiff_t k = layer->k, sums = panel_count(layer->m) * WIDE;
    ptrdiff_t lines = 0, nonzeros = 0;
    if (!layer->skip_zeros || k < 64) /* for so few inputs, to look takes too long */
        return 0;
    for (ptrdiff_t start = 0; start < k; start += SPARSE_INPUTS) {
        const ptrdiff_t columns = k - start < SPARSE_INPUTS ? k - start : SPARSE_INPUTS;
        read_inputs(x, first, apart, seen, start, columns, inputs);
        lines += inputs->count;
        for (int s = 0; s < seen; s++)
            nonzeros += find_nonzero(inputs->x + s * inputs->ldx, 0, 1, columns, inputs->index);
    }
    /* A tile leaves out the lines that are zero in all samples: many where these have zeros in the
     * same places, some where they have few others. */
    if (4 * seen * lines > 5 * nonzeros)
        lines = nonzeros * samples < k * seen ? nonzeros * samples / seen : k;
    const ptrdiff_t looks = (is_real(x) ? 12 : 18) * k / LANES;
    const ptrdiff_t lists = 5 * (nonzeros / seen + 6) * (sums < 4 ? 4 : sums) + looks;
    return lists * samples < 2 * lines * layer->m * vectors;
}

/* The samples that are read soon are fetched into the first-level cache, and from memory those
 * that are `ahead`. */
enum { READ_SOON = 8 };

__attribute__((cold)) static NN_TARGET int sparse_layer(const nn_layer *layer, const nn_source *x,
                                                        ptrdiff_t first, int samples, int vectors,
                                                        void *rows_, void *y, nn_ahead *ahead)
{
    const REAL *bias = layer->panels;
    REAL *rows = rows_;
    const ptrdiff_t k = layer->k, w_panel = panel_stride(k), panels = panel_count(layer->m);
    const ptrdiff_t row = panels * PANEL, passes = (k + SPARSE_INPUTS - 1) / SPARSE_INPUTS;
    const ptrdiff_t fetched =
        ahead ? ahead->rows * (ahead->bytes / NN_LINE_BYTES + 1) / (passes * samples) + 1 : 0;
    const int relu = layer->activation == NN_relu;
    /* Two samples have many inputs in common, and twice as many sums, so that none waits for the
     * one before. Four load each weight less often, which pays where it comes from a farther
     * cache. */
    const int most = ROW_PANELS_4 >= 4 && panels > ROW_PANELS_4 ? 4 : 2;
    sparse_inputs inputs;
    if (!are_sparse(layer, x, first, samples, vectors, &inputs))
        return 0;
    for (ptrdiff_t start = 0; start < k; start += SPARSE_INPUTS) {
        const ptrdiff_t columns = k - start < SPARSE_INPUTS ? k - start : SPARSE_INPUTS;
        for (int s = 0, now; s < samples; s += now) {
            REAL *sums = rows + s * row;
            now = samples - s < most ? samples - s : most;
            read_inputs(x, first + s, 1, now, start, columns, &inputs);
            const row_strides apart = {inputs.ldx,         w_panel, start ? row : 0,
                                       start ? PANEL : w_panel, row,     PANEL};
            row_panels(now, panels, &apart, bias + (start + 1) * PANEL, inputs.x, inputs.index,
                       inputs.count, start ? sums : bias, sums, start + columns == k, relu);
            if (!ahead)
                continue;
            fetch(ahead, fetched * now);
            for (int i = s + READ_SOON; i < s + READ_SOON + now && i < samples; i++) {
                const char *place = x->data + (first + i) * x->row_stride;
                for (ptrdiff_t j = 0; j < columns * x->column_stride; j += NN_LINE_BYTES)
                    __builtin_prefetch(place + start * x->column_stride + j);
            }
        }
    }
    if (!relu && layer->activation != NN_identity)
        activate(layer->activation, layer->alpha, layer->beta, rows, rows, samples * row);
    unpack_tile(rows, (int)panels * WIDE, (int)layer->m, samples, y, (ptrdiff_t)vectors * LANES, 1);
    return 1;
}
#endif
