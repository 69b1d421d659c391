/* The row kernel: one sample, or a few, with the lanes over the outputs.
 *
 * Each weight is read once for all of these samples. The sums of several panels are computed side
 * by side, because in one chain alone each multiply-add would wait 4 cycles for the one before. */

static NN_TARGET ptrdiff_t find_nonzero(const void *x_, ptrdiff_t ldx, int rows, ptrdiff_t k,
                                        int32_t *index)
{
    const REAL *x = x_;
    ptrdiff_t count = 0;
    for (ptrdiff_t i = 0; i < k; i += LANES) {
        const int columns = k - i < LANES ? (int)(k - i) : LANES;
        vec any = vset1(0);
        for (int r = 0; r < rows; r++)
            any = vor(any, columns == LANES ? vload(x + r * ldx + i)
                                            : vload_first(x + r * ldx + i, columns, vset1(0)));
        count += vstore_indices(index + count, vnonzero(any), (int32_t)i);
    }
    return count;
}

/* The distances between the rows and between the panels of the arrays of row_block, in REALs. */
typedef struct row_strides {
    ptrdiff_t x_row, w_panel, start_row, start_panel, y_row, y_panel;
} row_strides;

/* The sums of `panels` panels for `rows` rows: y[r] = start[r] + x[r] @ w, one multiply-add after
 * the other.
 *
 * x has rows of inputs, which are x_column apart; with `indexed`, only the `count` columns in index
 * are used, else the first `count`. w has the lines of weights, without the biases, of each panel;
 * narrow: these are narrower than REAL. With each line of the first panel, the memory `fetched`
 * bytes further is fetched, if this is not 0. start and y have PANEL sums for each row and panel.
 * complete: +0.0 is added to the sums. relu: this activation follows while a sum is in its
 * register. */
NN_MATH void row_block(const int rows, const int panels, const int indexed, const int narrow,
                       const row_strides *apart, ptrdiff_t x_column, const int fetched,
                       const REAL *w, const REAL *x, const int32_t *index, ptrdiff_t count,
                       const REAL *start, REAL *y, int complete, int relu)
{
    const int vectors = panels * WIDE;
    const ptrdiff_t ldx = apart->x_row;
    vec sum[ROW_SUMS];
    NN_UNROLL(16)
    for (int r = 0; r < rows; r++)
        NN_UNROLL(24)
        for (int v = 0; v < vectors; v++)
            sum[r * vectors + v] = vload(start + r * apart->start_row
                                         + v / WIDE * apart->start_panel + v % WIDE * LANES);
    for (ptrdiff_t i = 0; i < count; i++) {
        const ptrdiff_t k = indexed ? index[i] : i;
        const REAL *line = line_at(narrow, w, k);
        if (fetched)
            __builtin_prefetch((const char *)line + fetched);
        vec weights[ROW_SUMS];
        NN_UNROLL(24)
        for (int v = 0; v < vectors; v++)
            weights[v] = load_weights(narrow, line + v / WIDE * apart->w_panel, v % WIDE * LANES);
        NN_UNROLL(16)
        for (int r = 0; r < rows; r++) {
            vec input = vset1(x[r * ldx + k * x_column]);
            NN_UNROLL(24)
            for (int v = 0; v < vectors; v++)
                sum[r * vectors + v] = vfma(input, weights[v], sum[r * vectors + v]);
        }
    }
    NN_UNROLL(16)
    for (int r = 0; r < rows; r++)
        NN_UNROLL(24)
        for (int v = 0; v < vectors; v++) {
            vec s = sum[r * vectors + v];
            if (complete) {
                s = vadd(s, vset1(0));
                s = relu ? relu_of(s) : s;
            }
            vstore(y + r * apart->y_row + v / WIDE * apart->y_panel + v % WIDE * LANES, s);
        }
}

#define NN_ROW_CASE(rows, panels)                                                                 \
    case panels:                                                                                  \
        row_block(rows, panels, 1, 0, apart, 1, 0, w, x, index, count, start, y, complete, relu); \
        break;
#define NN_ROW_DENSE_CASE(rows, panels)                                                           \
    case panels:                                                                                  \
        row_block(rows, panels, 0, 0, apart, 1, 0, w, x, index, count, start, y, complete, relu); \
        break;
#define NN_CASES_1(CASE, rows) CASE(rows, 1)
#define NN_CASES_2(CASE, rows) NN_CASES_1(CASE, rows) CASE(rows, 2)
#define NN_CASES_3(CASE, rows) NN_CASES_2(CASE, rows) CASE(rows, 3)
#define NN_CASES_4(CASE, rows) NN_CASES_3(CASE, rows) CASE(rows, 4)
#define NN_CASES_5(CASE, rows) NN_CASES_4(CASE, rows) CASE(rows, 5)
#define NN_CASES_6(CASE, rows) NN_CASES_5(CASE, rows) CASE(rows, 6)
#define NN_CASES_7(CASE, rows) NN_CASES_6(CASE, rows) CASE(rows, 7)
#define NN_CASES_8(CASE, rows) NN_CASES_7(CASE, rows) CASE(rows, 8)
#define NN_CASES_9(CASE, rows) NN_CASES_8(CASE, rows) CASE(rows, 9)
#define NN_CASES_10(CASE, rows) NN_CASES_9(CASE, rows) CASE(rows, 10)
#define NN_CASES_11(CASE, rows) NN_CASES_10(CASE, rows) CASE(rows, 11)
#define NN_CASES_12(CASE, rows) NN_CASES_11(CASE, rows) CASE(rows, 12)
#define NN_CASES_13(CASE, rows) NN_CASES_12(CASE, rows) CASE(rows, 13)
#define NN_CASES_14(CASE, rows) NN_CASES_13(CASE, rows) CASE(rows, 14)
#define NN_CASES_15(CASE, rows) NN_CASES_14(CASE, rows) CASE(rows, 15)
#define NN_CASES_16(CASE, rows) NN_CASES_15(CASE, rows) CASE(rows, 16)
#define NN_CASES_UP_TO_(CASE, rows, panels) NN_CASES_##panels(CASE, rows)
#define NN_CASES_UP_TO(CASE, rows, panels) NN_CASES_UP_TO_(CASE, rows, panels)

/* The sums of `left` panels for `rows` rows, at most `most` panels at a time. */
#define NN_ROW_PANELS(name, rows, most, CASE)                                                     \
    static NN_TARGET void name(ptrdiff_t left, const row_strides *apart, const REAL *w,           \
                               const REAL *x, const int32_t *index, ptrdiff_t count,              \
                               const REAL *start, REAL *y, int complete, int relu)                \
    {                                                                                             \
        for (ptrdiff_t now; left > 0; left -= now) {                                              \
            now = left < most ? left : most;                                                      \
            switch (now) { NN_CASES_UP_TO(CASE, rows, most) }                                     \
            w += now * apart->w_panel;                                                            \
            start += now * apart->start_panel;                                                    \
            y += now * apart->y_panel;                                                            \
        }                                                                                         \
    }

NN_ROW_PANELS(row_panels_dense, 1, ROW_PANELS_1, NN_ROW_DENSE_CASE)
NN_ROW_PANELS(row_panels_1, 1, ROW_PANELS_1, NN_ROW_CASE)
#define ROW_SAMPLES 1
#if ROW_PANELS_2
NN_ROW_PANELS(row_panels_2, 2, ROW_PANELS_2, NN_ROW_CASE)
#undef ROW_SAMPLES
#define ROW_SAMPLES 2
#endif
#if ROW_PANELS_4
NN_ROW_PANELS(row_panels_3, 3, ROW_PANELS_4, NN_ROW_CASE)
NN_ROW_PANELS(row_panels_4, 4, ROW_PANELS_4, NN_ROW_CASE)
#undef ROW_SAMPLES
#define ROW_SAMPLES 4
#endif
#if ROW_PANELS_8
NN_ROW_PANELS(row_panels_5, 5, ROW_PANELS_8, NN_ROW_CASE)
NN_ROW_PANELS(row_panels_6, 6, ROW_PANELS_8, NN_ROW_CASE)
NN_ROW_PANELS(row_panels_7, 7, ROW_PANELS_8, NN_ROW_CASE)
NN_ROW_PANELS(row_panels_8, 8, ROW_PANELS_8, NN_ROW_CASE)
#undef ROW_SAMPLES
#define ROW_SAMPLES 8
#endif

/* The most samples that row_layer takes at once. Where the kernel takes 4, these are twice 4. */
#define ROWS_TOGETHER (ROW_SAMPLES == 4 ? 8 : ROW_SAMPLES)

/* row_block for up to ROWS_TOGETHER rows and any number of panels. If index is NULL, which needs
 * rows = 1, the columns 0 .. count - 1 are used. */
static NN_TARGET void row_panels(int rows, ptrdiff_t panels, const row_strides *apart,
                                 const REAL *w, const REAL *x, const int32_t *index,
                                 ptrdiff_t count, const REAL *start, REAL *y, int complete,
                                 int relu)
{
    static void (*const of_rows[])(ptrdiff_t, const row_strides *, const REAL *, const REAL *,
                                   const int32_t *, ptrdiff_t, const REAL *, REAL *, int, int) = {
        row_panels_dense, row_panels_1,
#if ROW_PANELS_2
        row_panels_2,
#endif
#if ROW_PANELS_4
        row_panels_3,     row_panels_4,
#endif
#if ROW_PANELS_8
        row_panels_5,     row_panels_6, row_panels_7, row_panels_8,
#endif
    };
    if (rows <= ROW_SAMPLES) {
        of_rows[index ? rows : 0](panels, apart, w, x, index, count, start, y, complete, relu);
        return;
    }
    /* The rows after the first find the weights in a nearer cache if all rows take some panels
     * before the next ones. For one or two rows, the sums of a single panel would be too few. */
    const ptrdiff_t most = rows - ROW_SAMPLES > 2 ? 1 : ROW_PANELS_1;
    for (ptrdiff_t p = 0; p < panels; p += most) {
        const ptrdiff_t now = panels - p < most ? panels - p : most;
        for (int r = 0; r < rows; r += ROW_SAMPLES)
            of_rows[rows - r < ROW_SAMPLES ? rows - r : ROW_SAMPLES](
                now, apart, w + p * apart->w_panel, x + r * apart->x_row, index, count,
                start + r * apart->start_row + p * apart->start_panel,
                y + r * apart->y_row + p * apart->y_panel, complete, relu);
    }
}

/* The sums for narrow weights: of 1, 2, 4 or 8 rows, and of `most` panels at a time. If the last
 * panels are fewer, some before them are computed once more. For one row there may be fewer panels
 * in all: they are done one by one. */
NN_MATH void narrow_rows(const int rows, const int most, const int fetched, ptrdiff_t panels,
                         const row_strides *apart, const REAL *w, const REAL *x,
                         const int32_t *index, ptrdiff_t count, const REAL *start, REAL *y,
                         int relu)
{
    for (ptrdiff_t now = rows == 1 && panels < most ? 1 : most, end = now;; end += now) {
        const ptrdiff_t panel = (end < panels ? end : panels) - now, at = panel * apart->w_panel;
        if (rows == 1 && now == 1)
            row_block(1, 1, 1, 1, apart, 1, 0, w + at, x, index, count, start + at,
                      y + panel * PANEL, 1, relu);
        else
            row_block(rows, most, 1, 1, apart, 1, fetched, w + at, x, index, count, start + at,
                      y + panel * PANEL, 1, relu);
        if (end >= panels)
            return;
    }
}

/* row_panels for narrow weights. With 8 rows, one panel has 8 sums, which are enough. */
#define NARROW_PANELS(most) ((most) < 4 ? (most) : 4)
static NN_TARGET void narrow_panels(int rows, ptrdiff_t panels, const row_strides *apart,
                                    const REAL *w, const REAL *x, const int32_t *index,
                                    ptrdiff_t count, const REAL *start, REAL *y, int relu)
{
    const int once = rows < ROW_SAMPLES ? rows : ROW_SAMPLES;
    const int together = once == 2   ? NARROW_PANELS(ROW_PANELS_2)
                         : once == 4 ? NARROW_PANELS(ROW_PANELS_4)
                                     : 1;
    const int most = panels < together ? 1 : once;
    for (int r = 0; r < rows; r += most, x += most * apart->x_row, y += most * apart->y_row) {
        if (most == 1)
            narrow_rows(1, NARROW_PANELS(ROW_PANELS_1), 0, panels, apart, w, x, index, count,
                        start, y, relu);
#if ROW_PANELS_2
        else if (most == 2)
            narrow_rows(2, NARROW_PANELS(ROW_PANELS_2), 0, panels, apart, w, x, index, count,
                        start, y, relu);
#endif
#if ROW_PANELS_4
        else if (most == 4)
            narrow_rows(4, NARROW_PANELS(ROW_PANELS_4), 0, panels, apart, w, x, index, count,
                        start, y, relu);
#endif
#if ROW_PANELS_8
        else
            narrow_rows(8, 1, FETCHED, panels, apart, w, x, index, count, start, y, relu);
#endif
    }
}

static NN_TARGET void row_layer(const nn_layer *layer, const void *x, ptrdiff_t ldx, int rows,
                                const int32_t *index, ptrdiff_t count, void *y_, ptrdiff_t ldy)
{
    const REAL *bias = layer->panels;
    REAL *y = y_;
    const ptrdiff_t panels = panel_count(layer->m), stride = panels_apart(layer);
    const row_strides apart = {ldx, stride, 0, stride, ldy, PANEL};
    const int relu = layer->activation == NN_relu;
    if (is_narrow(layer))
        narrow_panels(rows, panels, &apart, bias + PANEL, x, index, count, bias, y, relu);
    else
        row_panels(rows, panels, &apart, bias + PANEL, x, index, count, bias, y, 1, relu);
    if (layer->activation != NN_relu && layer->activation != NN_identity)
        for (int r = 0; r < rows; r++)
            activate(layer->activation, layer->alpha, layer->beta, y + r * ldy, y + r * ldy,
                     panels * PANEL);
}
