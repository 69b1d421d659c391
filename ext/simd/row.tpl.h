/* The row kernel: one sample, or a few, with the lanes over the outputs.
 *
 * Weights stream through once for all its samples. The accumulators of several panels run side by
 * side, because one chain alone would wait 4 cycles for each of its links. */

static NN_TARGET ptrdiff_t find_nonzero(const void *x_, ptrdiff_t ldx, int rows, ptrdiff_t k,
                                        int32_t *index)
{
    const REAL *x = x_;
    ptrdiff_t count = 0, i = 0;
    for (; i + LANES <= k; i += LANES) {
        unsigned bits = 0;
        for (int r = 0; r < rows; r++)
            bits |= vnonzero(vload(x + r * ldx + i));
        count += vstore_indices(index + count, bits, (int32_t)i);
    }
    for (; i < k; i++) {
        int used = 0;
        for (int r = 0; r < rows; r++)
            used |= x[r * ldx + i] != 0;
        index[count] = (int32_t)i;
        count += used;
    }
    return count;
}

/* x (rows, k)  w (panels * PANEL outputs)  ->  y (rows, panels * PANEL); the activation is applied
 * here where it is an instruction or two, by the caller otherwise (returned: whether it is done). */
NN_MATH int row_block(const int rows, const int panels, const int indexed, const nn_layer *layer,
                      const REAL *w, const REAL *x, ptrdiff_t ldx, const int32_t *index,
                      ptrdiff_t count, REAL *y, ptrdiff_t ldy)
{
    enum { MOST = 24 };
    const int vectors = panels * (PANEL / LANES);
    const ptrdiff_t panel_stride = (1 + layer->k) * PANEL;
    vec sum[MOST];
#pragma GCC unroll 24
    for (int v = 0; v < vectors; v++) {
        vec bias = vload(w + v / (PANEL / LANES) * panel_stride + v % (PANEL / LANES) * LANES);
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++)
            sum[r * vectors + v] = bias;
    }
    w += PANEL;
    for (ptrdiff_t i = 0; i < count; i++) {
        const ptrdiff_t k = indexed ? index[i] : i;
        const REAL *line = w + k * PANEL;
        vec weights[MOST];
#pragma GCC unroll 24
        for (int v = 0; v < vectors; v++)
            weights[v] = vload(line + v / (PANEL / LANES) * panel_stride
                               + v % (PANEL / LANES) * LANES);
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
            vec input = vset1(x[r * ldx + k]);
#pragma GCC unroll 24
            for (int v = 0; v < vectors; v++)
                sum[r * vectors + v] = vfma(input, weights[v], sum[r * vectors + v]);
        }
    }
    const int relu = layer->activation == NN_relu;
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 24
        for (int v = 0; v < vectors; v++) {
            vec s = vadd(sum[r * vectors + v], vset1(0));
            vstore(y + r * ldy + v * LANES, relu ? f_relu(s, s) : s);
        }
    return relu || layer->activation == NN_identity;
}

#define NN_ROW_CASE(rows, panels)                                                                 \
    case panels:                                                                                  \
        done = row_block(rows, panels, 1, layer, w, x, ldx, index, count, y, ldy);                \
        break;
#define NN_ROW_DENSE_CASE(rows, panels)                                                           \
    case panels:                                                                                  \
        done = row_block(rows, panels, 0, layer, w, x, ldx, index, count, y, ldy);                \
        break;
#define NN_CASES_1(CASE, rows) CASE(rows, 1)
#define NN_CASES_2(CASE, rows) NN_CASES_1(CASE, rows) CASE(rows, 2)
#define NN_CASES_3(CASE, rows) NN_CASES_2(CASE, rows) CASE(rows, 3)
#define NN_CASES_4(CASE, rows) NN_CASES_3(CASE, rows) CASE(rows, 4)
#define NN_CASES_5(CASE, rows) NN_CASES_4(CASE, rows) CASE(rows, 5)
#define NN_CASES_6(CASE, rows) NN_CASES_5(CASE, rows) CASE(rows, 6)
#define NN_CASES_7(CASE, rows) NN_CASES_6(CASE, rows) CASE(rows, 7)
#define NN_CASES_8(CASE, rows) NN_CASES_7(CASE, rows) CASE(rows, 8)
#define NN_CASES_UP_TO_(CASE, rows, panels) NN_CASES_##panels(CASE, rows)
#define NN_CASES_UP_TO(CASE, rows, panels) NN_CASES_UP_TO_(CASE, rows, panels)

/* All outputs for `rows` samples, `most` panels at a time. */
#define NN_ROW_LAYER(name, rows, most, CASE)                                                      \
    static NN_TARGET void name(const nn_layer *layer, const REAL *x, ptrdiff_t ldx,               \
                               const int32_t *index, ptrdiff_t count, REAL *y, ptrdiff_t ldy)     \
    {                                                                                             \
        const REAL *w = layer->panels;                                                            \
        ptrdiff_t left = (layer->m + PANEL - 1) / PANEL;                                          \
        while (left > 0) {                                                                        \
            const ptrdiff_t now = left < most ? left : most;                                      \
            int done = 1;                                                                         \
            switch (now) { NN_CASES_UP_TO(CASE, rows, most) }                                     \
            if (!done)                                                                            \
                for (int r = 0; r < rows; r++)                                                    \
                    activate(layer->activation, layer->alpha, y + r * ldy, y + r * ldy,           \
                             now * PANEL);                                                        \
            w += now * (1 + layer->k) * PANEL;                                                    \
            y += now * PANEL;                                                                     \
            left -= now;                                                                          \
        }                                                                                         \
    }

NN_ROW_LAYER(row_layer_dense, 1, ROW_PANELS_1, NN_ROW_DENSE_CASE)
NN_ROW_LAYER(row_layer_1, 1, ROW_PANELS_1, NN_ROW_CASE)
#define ROW_SAMPLES 1
#if ROW_PANELS_2
NN_ROW_LAYER(row_layer_2, 2, ROW_PANELS_2, NN_ROW_CASE)
#undef ROW_SAMPLES
#define ROW_SAMPLES 2
#endif
#if ROW_PANELS_4
NN_ROW_LAYER(row_layer_4, 4, ROW_PANELS_4, NN_ROW_CASE)
#undef ROW_SAMPLES
#define ROW_SAMPLES 4
#endif
#if ROW_PANELS_8
NN_ROW_LAYER(row_layer_8, 8, ROW_PANELS_8, NN_ROW_CASE)
#undef ROW_SAMPLES
#define ROW_SAMPLES 8
#endif

static NN_TARGET void row_layer(const nn_layer *layer, const void *x, ptrdiff_t ldx, int rows,
                                const int32_t *index, ptrdiff_t count, void *y, ptrdiff_t ldy)
{
    switch (rows) {
    case 1:
        if (index)
            row_layer_1(layer, x, ldx, index, count, y, ldy);
        else
            row_layer_dense(layer, x, ldx, index, layer->k, y, ldy);
        break;
#if ROW_PANELS_2
    case 2: row_layer_2(layer, x, ldx, index, count, y, ldy); break;
#endif
#if ROW_PANELS_4
    case 4: row_layer_4(layer, x, ldx, index, count, y, ldy); break;
#endif
#if ROW_PANELS_8
    case 8: row_layer_8(layer, x, ldx, index, count, y, ldy); break;
#endif
    }
}
