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

#if NN_WIDEN_IN_BLOCKS
enum { AHEAD = 8, RING = 2 * AHEAD };

/* Widen the 8 weights of line k of w that begin with output `from`. */
NN_MATH void widen_half_line(int from, const REAL *w, ptrdiff_t k, REAL *wide)
{
    vwiden_bfloat16((const uint16_t *)line_at(1, w, k), from, wide + from);
}

/* tile_block (tile.tpl.h) for narrow weights: the 8 outputs of a panel from `from` on, 0 or 8. */
NN_MATH void narrow_block(const int vectors, int from, const nn_layer *layer, const REAL *panel,
                          const REAL *x, ptrdiff_t width, const int32_t *index, ptrdiff_t count,
                          REAL *y, int first, int last, ptrdiff_t next_panel)
{
    enum { outputs = 8 };
    REAL ring[RING][PANEL] __attribute__((aligned(64)));
    const REAL *w = panel + PANEL, *start = ring[0] + from;
    vec sum[outputs * TILE_VECTORS];
    panel += from;
    y += from * width;
    NN_UNROLL(16)
    for (int o = 0; o < outputs; o++)
        NN_UNROLL(4)
        for (int v = 0; v < vectors; v++)
            sum[o * vectors + v] = first ? vset1(panel[o]) : vload(y + o * width + v * LANES);
    for (ptrdiff_t i = 0; i < AHEAD && i < count; i++)
        widen_half_line(from, w, index[i], ring[i]);
    for (ptrdiff_t i = 0; i < count; i++) {
        const ptrdiff_t later = i + AHEAD < count ? i + AHEAD : count - 1;
        const REAL *weights = start + i % RING * PANEL, *lines = x + index[i] * width;
        __builtin_prefetch((const char *)line_at(1, w, index[later]) + next_panel, 0, 2);
        widen_half_line(from, w, index[later], ring[(i + AHEAD) % RING]);
        vec input[TILE_VECTORS];
        NN_UNROLL(4)
        for (int v = 0; v < vectors; v++)
            input[v] = vload(lines + v * LANES);
        NN_UNROLL(16)
        for (int o = 0; o < outputs; o++) {
            vec weight = vset1(weights[o]);
            NN_UNROLL(4)
            for (int v = 0; v < vectors; v++)
                sum[o * vectors + v] = vfma(input[v], weight, sum[o * vectors + v]);
        }
    }
    const int relu = layer->activation == NN_relu;
    NN_UNROLL(16)
    for (int o = 0; o < outputs; o++)
        NN_UNROLL(4)
        for (int v = 0; v < vectors; v++) {
            vec s = sum[o * vectors + v];
            if (last) {
                s = vadd(s, vset1(0));
                s = relu ? relu_of(s) : s;
            }
            vstore(y + o * width + v * LANES, s);
        }
}

/* All outputs of a panel. */
#define NN_NARROW_PANEL(vectors)                                                                  \
    static NN_TARGET __attribute__((noinline)) void narrow_panel_##vectors(                       \
        const nn_layer *layer, const REAL *panel, const REAL *x, ptrdiff_t width,                 \
        const int32_t *index, ptrdiff_t count, REAL *y, int first, int last,                      \
        ptrdiff_t next_panel)                                                                     \
    {                                                                                             \
        for (int from = 0; from < PANEL; from += 8)                                               \
            narrow_block(vectors, from, layer, panel, x, width, index, count, y, first, last,     \
                         next_panel);                                                             \
    }
NN_NARROW_PANEL(1)
NN_NARROW_PANEL(2)
NN_NARROW_PANEL(3)
#endif
