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
 * multiply-add. So lines are widened in memory, AHEAD lines before they are used: these stores and
 * the multiply-adds of other lines go on at the same time. More lines were found to be slower. */
enum { AHEAD = 8, RING = 2 * AHEAD };

/* Widen the weights of line k of w that a block needs: `count` from `from` on, which is 0 or 8. More
 * than 8 are the whole line. */
NN_MATH void widen_line(int from, const int count, const REAL *w, ptrdiff_t k, REAL *wide)
{
    const uint16_t *line = (const uint16_t *)line_at(1, w, k);
    if (count <= 8)
        vwiden_bfloat16(line, from, wide + from);
    else
        NN_UNROLL(16)
        for (int o = 0; o < PANEL; o += LANES)
            vstore(wide + o, vload_bfloat16(line, o));
}

/* tile_block (tile.tpl.h) for narrow weights: the outputs are those from `from` + `at` on of a
 * panel, where `from` is a multiple of 8. */
NN_MATH void narrow_block(const int vectors, int from, const int at, const int outputs,
                          const nn_layer *layer, const REAL *panel, const REAL *x,
                          ptrdiff_t width, const int32_t *index, ptrdiff_t count, REAL *y,
                          int first, int last, ptrdiff_t next_panel)
{
    REAL ring[RING][PANEL] __attribute__((aligned(64)));
    const REAL *w = panel + PANEL, *start = ring[0] + from + at;
    vec sum[TILE_OUTPUTS_1 * TILE_VECTORS];
    panel += from + at;
    y += (from + at) * width;
    NN_UNROLL(16)
    for (int o = 0; o < outputs; o++)
        NN_UNROLL(4)
        for (int v = 0; v < vectors; v++)
            sum[o * vectors + v] = first ? vset1(panel[o]) : vload(y + o * width + v * LANES);
    for (ptrdiff_t i = 0; i < AHEAD && i < count; i++)
        widen_line(from, at + outputs, w, index[i], ring[i]);
    for (ptrdiff_t i = 0; i < count; i++) {
        const ptrdiff_t later = i + AHEAD < count ? i + AHEAD : count - 1;
        const REAL *weights = start + i % RING * PANEL, *lines = x + index[i] * width;
        __builtin_prefetch((const char *)line_at(1, w, index[later]) + next_panel, 0, 2);
        widen_line(from, at + outputs, w, index[later], ring[(i + AHEAD) % RING]);
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
#define NN_NARROW_BLOCK(vectors, from, at, outputs)                                               \
    narrow_block(vectors, from, at, outputs, layer, panel, x, width, index, count, y, first,      \
                 last, next_panel);
#define NN_NARROW_PANEL(vectors, most)                                                            \
    static NN_TARGET __attribute__((noinline)) void narrow_panel_##vectors(                       \
        const nn_layer *layer, const REAL *panel, const REAL *x, ptrdiff_t width,                 \
        const int32_t *index, ptrdiff_t count, REAL *y, int first, int last,                      \
        ptrdiff_t next_panel)                                                                     \
    {                                                                                             \
        if (most >= 16) {                                                                         \
            NN_NARROW_BLOCK(vectors, 0, 0, 16)                                                    \
        } else if (most >= 8) {                                                                   \
            for (int from = 0; from < 16; from += 8)                                              \
                NN_NARROW_BLOCK(vectors, from, 0, 8)                                              \
        } else if (most >= 6) {                                                                   \
            NN_NARROW_BLOCK(vectors, 0, 0, 6)                                                     \
            NN_NARROW_BLOCK(vectors, 0, 6, 5)                                                     \
            NN_NARROW_BLOCK(vectors, 8, 3, 5)                                                     \
        } else                                                                                    \
            for (int from = 0; from < 16; from += 8) {                                            \
                NN_NARROW_BLOCK(vectors, from, 0, 4)                                              \
                NN_NARROW_BLOCK(vectors, from, 4, 4)                                              \
            }                                                                                     \
    }
NN_NARROW_PANEL(1, TILE_OUTPUTS_1)
#if TILE_VECTORS >= 2
NN_NARROW_PANEL(2, TILE_OUTPUTS_2)
#endif
#if TILE_VECTORS >= 3
NN_NARROW_PANEL(3, TILE_OUTPUTS_3)
#endif
