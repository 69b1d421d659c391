/* The tile kernel for narrow weights. tile.tpl.h includes this file before its loops over panels.
 *
 * The tile kernel broadcasts each weight. To widen it in its register would take as long as a
 * multiply-add. So it is widened as a part of its line: in registers for few vectors of samples, in
 * memory for more. */

/* For up to WIDEN_VECTORS vectors the lanes are over the outputs, as in the row kernel, and the
 * inputs of WIDEN_SAMPLES samples are broadcast.
 *
 * Blocks of lines are long, so that few of them end: fetching ahead begins anew with each. Each
 * multiply-add reads few bytes of the tile. */
enum { NARROW_BLOCK_BYTES = 384 << 10 };

/* Lines x (k, x_width) -> lines y (PANEL, width): tile_panel for whole panels. While the sums are
 * not complete, y has them by samples: (width, PANEL). */
static NN_TARGET void narrow_panel(const nn_layer *layer, const REAL *bias, const REAL *w,
                                   const REAL *x, ptrdiff_t x_width, const int32_t *index,
                                   ptrdiff_t count, REAL *y, ptrdiff_t width, int first, int last)
{
    const int relu = layer->activation == NN_relu;
    const row_strides apart = {1, 0, first ? 0 : PANEL, 0, PANEL, 0};
    REAL rows[WIDEN_VECTORS * LANES * PANEL] __attribute__((aligned(64)));
    REAL *sums = last ? rows : y;
    for (ptrdiff_t s = 0; s < width; s += WIDEN_SAMPLES)
        row_block(WIDEN_SAMPLES, 1, 1, 1, &apart, x_width, FETCHED, w, x + s, index, count,
                  first ? bias : y + s * PANEL, sums + s * PANEL, 0, 0);
    for (ptrdiff_t s = 0; last && s < width; s += LANES)
        for (int o = 0; o < PANEL; o += LANES) {
            vec square[LANES];
            NN_UNROLL(16)
            for (int i = 0; i < LANES; i++)
                square[i] = vadd(vload(rows + (s + i) * PANEL + o), vset1(0));
            vtranspose(square);
            NN_UNROLL(16)
            for (int i = 0; i < LANES; i++)
                vstore(y + (o + i) * width + s, relu ? relu_of(square[i]) : square[i]);
        }
}

/* For more vectors, so many lines of a panel are widened at a time: 1 where no tile has more. */
enum { WIDENED = WIDEN_VECTORS < TILE_VECTORS * WIDE_GROUPS ? 128 : 1 };

NN_MATH void widen_line(const REAL *line, REAL *wide)
{
    NN_UNROLL(16)
    for (int o = 0; o < PANEL; o += LANES)
        vstore(wide + o, load_weights(1, line, o));
}

/* Widen the lines of w that are in index into `wide`, where each is as far from the first as it is
 * in w. The last is less than WIDENED lines from the first. */
static NN_TARGET void widen_lines(const REAL *w, const int32_t *index, ptrdiff_t count, REAL *wide)
{
    const ptrdiff_t from = index[0], all = index[count - 1] - from + 1;
    const REAL *lines = line_at(1, w, from);
    if (all < 2 * count) /* to look into index takes longer than to widen those that are not there */
        for (ptrdiff_t i = 0; i < all; i++)
            widen_line(line_at(1, lines, i), wide + i * PANEL);
    else
        for (ptrdiff_t i = 0; i < count; i++)
            widen_line(line_at(1, lines, index[i] - from), wide + (index[i] - from) * PANEL);
}
