/* Weights that are narrower than REAL (panels.h). They are widened exactly while they are read.
 * Functions that take `narrow`, a constant, are for lines of bfloat16 weights or of REALs. */

#if NN_DOUBLE /* only floats may have narrow weights */
enum { NARROWER = 1 };
NN_INLINE int is_narrow(const nn_layer *layer) { return (void)layer, 0; }
NN_MATH vec vload_bfloat16(const uint16_t *line, int from) { return (void)line, vset1(from); }
NN_MATH void vwiden_bfloat16(const uint16_t *line, int from, REAL *to) { *to = line[from]; }
#else
enum { NARROWER = 2 }; /* how many narrow weights take the place of a REAL */
NN_INLINE int is_narrow(const nn_layer *layer) { return layer->weights == NN_bfloat16_weights; }
#endif

/* The distance between the panels of a layer, in REALs. */
NN_INLINE ptrdiff_t panels_apart(const nn_layer *layer)
{
    const nn_weights kind = is_narrow(layer) ? NN_bfloat16_weights : WEIGHTS;
    return nn_panel_bytes(kind, layer->k) / (ptrdiff_t)sizeof(REAL);
}

/* Line k of the lines w. */
NN_INLINE const REAL *line_at(const int narrow, const REAL *w, ptrdiff_t k)
{
    return w + k * (PANEL / (narrow ? NARROWER : 1));
}

/* The vector of weights from that of output `from` on. */
NN_MATH vec load_weights(const int narrow, const REAL *line, int from)
{
    return narrow ? vload_bfloat16((const uint16_t *)line, from) : vload(line + from);
}

/* The tile kernel broadcasts each weight. To widen it in its register would take as long as a
 * multiply-add, so lines are widened in memory.
 *
 * If a block has half of a panel's outputs, as most have where there are many registers, each block
 * widens its half of the lines, a few of them before they are used: these stores and the
 * multiply-adds of other lines go on at the same time. Where blocks have fewer outputs, they would
 * widen the same numbers again and again. There WIDENED lines of a panel are widened at a time, for
 * all vectors of the tile. */
#define NN_WIDEN_IN_BLOCKS (!NN_DOUBLE && TILE_VECTORS == 3 && TILE_OUTPUTS_3 == 8)
enum { WIDENED = NN_WIDEN_IN_BLOCKS ? 1 : 128 };

/* Widen the `count` lines of w that are in index, which are less than WIDENED apart. Line k goes to
 * line k - index[0] of `wide`. */
static NN_TARGET void widen_lines(const REAL *w, const int32_t *index, ptrdiff_t count, REAL *wide)
{
    for (ptrdiff_t i = 0; i < count; i++) {
        const REAL *line = line_at(1, w, index[i]);
        REAL *to = wide + (ptrdiff_t)(index[i] - index[0]) * PANEL;
        NN_UNROLL(16)
        for (int o = 0; o < PANEL; o += LANES)
            vstore(to + o, load_weights(1, line, o));
    }
}
