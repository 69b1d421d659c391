/* The first layer of a batch whose samples have many zeros. Each sample has a list of its own
 * inputs that are not zero. The lanes are over the outputs, as in the row kernel, but x is a tile,
 * and so is the result.
 *
 * A line of a tile is rarely zero in all samples, so the tile kernel would multiply by most
 * zeros. */

/* All samples use the weights for 64 * SPARSE_WORDS inputs, which are then in the cache, before the
 * next inputs follow. */
enum { SPARSE_WORDS = 3 };

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
            int32_t index[SPARSE_WORDS * COLUMNS + 16];
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
