/* The tile kernel for narrow weights where each block widens its lines itself: narrow.tpl.h says
 * where. tile.tpl.h includes this file between its steps and its loops over panels. */
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
    begin_sums(outputs, vectors, panel, y, width, first, sum);
    for (ptrdiff_t i = 0; i < AHEAD && i < count; i++)
        widen_half_line(from, w, index[i], ring[i]);
    for (ptrdiff_t i = 0; i < count; i++) {
        const ptrdiff_t later = i + AHEAD < count ? i + AHEAD : count - 1;
        const REAL *weights = start + i % RING * PANEL, *lines = x + index[i] * width;
        __builtin_prefetch((const char *)line_at(1, w, index[later]) + next_panel, 0, 2);
        widen_half_line(from, w, index[later], ring[(i + AHEAD) % RING]);
        add_products(outputs, vectors, weights, lines, sum);
    }
    end_sums(outputs, vectors, layer, sum, y, width, last);
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
