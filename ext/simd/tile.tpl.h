/* The tile kernel: a batch, with the lanes over the samples.
 *
 * A tile is transposed once, on the way in, and stays so until the last layer is written: no layer
 * is too narrow to fill the lanes, weights are broadcast, activations never leave the cache. */

/* Lines of inputs worked on before the next: NN_TILE_DEPTH lines of the widest tile stay in the
 * first-level cache while all outputs pass over them; partial sums rest in y meanwhile. */
#define NN_TILE_DEPTH (24576 / (TILE_VECTORS * LANES * (int)sizeof(REAL)))

static NN_TARGET ptrdiff_t pack_tile(const nn_source *x, ptrdiff_t first, int samples, ptrdiff_t k,
                                     int skip, int vectors, void *tile, int32_t *index)
{
    enum { COLUMNS = 64 }; /* converted at a time: a tile's worth stays in the first-level cache */
    const ptrdiff_t width = (ptrdiff_t)vectors * LANES;
    const int direct = is_real(x);
    REAL *to = tile;
    REAL converted[TILE_VECTORS * LANES][COLUMNS] __attribute__((aligned(64)));
    const REAL *from[TILE_VECTORS * LANES];
    for (ptrdiff_t s = samples; s < width; s++) {
        memset(converted[s], 0, sizeof converted[s]);
        from[s] = converted[s];
    }
    ptrdiff_t count = 0;
    for (ptrdiff_t start = 0; start < k; start += COLUMNS) {
        const ptrdiff_t columns = k - start < COLUMNS ? k - start : COLUMNS;
        for (int s = 0; s < samples; s++) {
            if (direct && columns == COLUMNS) {
                from[s] = (const REAL *)(x->data + (first + s) * x->row_stride) + start;
                continue;
            }
            if (columns < COLUMNS)
                memset(converted[s], 0, sizeof converted[s]);
            load_columns(x, first + s, start, columns, converted[s]);
            from[s] = converted[s];
        }
        for (int c = 0; c < columns; c += LANES) {
            const int here = columns - c < LANES ? (int)columns - c : LANES;
            unsigned used = (1u << here) - 1;
            if (skip) {
                vec any = vset1(0);
                for (int s = 0; s < samples; s++)
                    any = vor(any, vload(from[s] + c));
                used &= vnonzero(any);
                if (!used)
                    continue;
            }
            ptrdiff_t end = count;
            for (int v = 0; v < vectors; v++) {
                vec square[LANES];
#pragma GCC unroll 16
                for (int s = 0; s < LANES; s++)
                    square[s] = vload(from[v * LANES + s] + c);
                vtranspose(square);
                end = count;
                /* A line left out is overwritten by the one after it. */
#pragma GCC unroll 16
                for (int i = 0; i < LANES; i++) {
                    vstore(to + end * width + v * LANES, square[i]);
                    index[end] = (int32_t)(start + c + i);
                    end += used >> i & 1;
                }
            }
            count = end;
        }
    }
    return count;
}

/* Lines x (count, T)  weights of `outputs` neighbours  ->  lines y (outputs, T).
 * first: the sums start at the bias, else at what y holds. last: the activation follows. */
NN_MATH void tile_block(const int outputs, const int vectors, const nn_layer *layer,
                        const REAL *panel, const REAL *x, const int32_t *index, ptrdiff_t count,
                        REAL *y, int first, int last)
{
    vec sum[TILE_OUTPUTS * TILE_VECTORS];
    const REAL *w = panel + PANEL;
    if (first) {
#pragma GCC unroll 16
        for (int o = 0; o < outputs; o++)
#pragma GCC unroll 4
            for (int v = 0; v < vectors; v++)
                sum[o * vectors + v] = vset1(panel[o]);
    } else {
#pragma GCC unroll 64
        for (int i = 0; i < outputs * vectors; i++)
            sum[i] = vload(y + i * LANES);
    }
    for (ptrdiff_t i = 0; i < count; i++) {
        const REAL *line = w + (ptrdiff_t)index[i] * PANEL;
        vec input[TILE_VECTORS];
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
            input[v] = vload(x + v * LANES);
        x += vectors * LANES;
#pragma GCC unroll 16
        for (int o = 0; o < outputs; o++) {
            vec weight = vset1(line[o]);
#pragma GCC unroll 4
            for (int v = 0; v < vectors; v++)
                sum[o * vectors + v] = vfma(input[v], weight, sum[o * vectors + v]);
        }
    }
    if (!last) {
#pragma GCC unroll 64
        for (int i = 0; i < outputs * vectors; i++)
            vstore(y + i * LANES, sum[i]);
        return;
    }
    const int relu = layer->activation == NN_relu;
#pragma GCC unroll 64
    for (int i = 0; i < outputs * vectors; i++) {
        vec s = vadd(sum[i], vset1(0));
        vstore(y + i * LANES, relu ? f_relu(s, s) : s);
    }
    if (!relu && layer->activation != NN_identity)
        activate(layer->activation, layer->alpha, y, y, outputs * vectors * LANES);
}

#define NN_TILE_CASE(vectors, outputs)                                                            \
    case outputs:                                                                                 \
        tile_block(outputs, vectors, layer, panel, from, index + start, lines, to, start == 0,    \
                   start + lines == count);                                                       \
        break;

/* All outputs of a tile that is `vectors` wide; a block of outputs never crosses a panel. */
#define NN_TILE_LAYER(name, vectors)                                                              \
    static NN_TARGET void name(const nn_layer *layer, const REAL *x, const int32_t *index,        \
                               ptrdiff_t count, REAL *y)                                          \
    {                                                                                             \
        ptrdiff_t start = 0;                                                                      \
        do {                                                                                      \
            const ptrdiff_t lines = count - start < NN_TILE_DEPTH ? count - start : NN_TILE_DEPTH;\
            const REAL *from = x + start * (vectors * LANES);                                     \
            for (ptrdiff_t j = 0; j < layer->m; j += TILE_OUTPUTS) {                              \
                const REAL *panel = (const REAL *)layer->panels                                   \
                                    + j / PANEL * (1 + layer->k) * PANEL + j % PANEL;             \
                REAL *to = y + j * (vectors * LANES);                                             \
                switch (layer->m - j < TILE_OUTPUTS ? layer->m - j : TILE_OUTPUTS) {              \
                    NN_CASES_UP_TO(NN_TILE_CASE, vectors, TILE_OUTPUTS)                           \
                }                                                                                 \
            }                                                                                     \
            start += lines;                                                                       \
        } while (start < count);                                                                  \
    }

NN_TILE_LAYER(tile_layer_1, 1)
#if TILE_VECTORS >= 2
NN_TILE_LAYER(tile_layer_2, 2)
#endif
#if TILE_VECTORS >= 3
NN_TILE_LAYER(tile_layer_3, 3)
#endif
#if TILE_VECTORS >= 4
NN_TILE_LAYER(tile_layer_4, 4)
#endif

static NN_TARGET void tile_layer(const nn_layer *layer, const void *x, const int32_t *index,
                                 ptrdiff_t count, int vectors, void *y)
{
    switch (vectors) {
    case 1: tile_layer_1(layer, x, index, count, y); break;
#if TILE_VECTORS >= 2
    case 2: tile_layer_2(layer, x, index, count, y); break;
#endif
#if TILE_VECTORS >= 3
    case 3: tile_layer_3(layer, x, index, count, y); break;
#endif
#if TILE_VECTORS >= 4
    case 4: tile_layer_4(layer, x, index, count, y); break;
#endif
    }
}

static NN_TARGET void unpack_tile(const void *tile_, int vectors, int samples, ptrdiff_t m,
                                  void *out_, ptrdiff_t row_stride, ptrdiff_t column_stride)
{
    const ptrdiff_t width = (ptrdiff_t)vectors * LANES;
    const REAL *tile = tile_;
    REAL *out = out_;
    for (int v = 0; v * LANES < samples; v++) {
        const int rows = samples - v * LANES < LANES ? samples - v * LANES : LANES;
        for (ptrdiff_t j = 0; j < m; j += LANES) {
            const int columns = m - j < LANES ? (int)(m - j) : LANES;
            vec square[LANES];
#pragma GCC unroll 16
            for (int i = 0; i < LANES; i++)
                square[i] = vload(tile + (j + (i < columns ? i : 0)) * width + v * LANES);
            vtranspose(square);
            for (int s = 0; s < rows; s++) {
                REAL line[LANES];
                REAL *to = out + (v * LANES + s) * row_stride + j * column_stride;
                if (column_stride == 1 && columns == LANES) {
                    vstore(to, square[s]);
                    continue;
                }
                vstore(line, square[s]);
                for (int i = 0; i < columns; i++)
                    to[i * column_stride] = line[i];
            }
        }
    }
}
