/* Cases: the row kernel and the tile kernel, compared with THE RULE OF THE ARITHMETIC of
 * contract.h. */

/* (k, m): 1, less than PANEL, a multiple of PANEL, one more. k = 1025 takes the tile kernel several
 * blocks, k = 12300 that for narrow weights. */
static const ptrdiff_t layer_shapes[][2] = {{1, 1}, {3, 2}, {8, 7}, {15, 16}, {17, 10}, {33, 48},
                                            {64, 33}, {65, 50}, {130, 97}, {1, 130}, {1025, 5},
                                            {12300, 17}};
enum { LAYER_SHAPES = sizeof layer_shapes / sizeof layer_shapes[0] };

/* Inputs x (n, k) -> y (n, m): sums by the rule, then the activation by the kernel `activate`,
 * which has cases of its own. */
static void wanted_layer(const dense *d, const nn_kernels *kernels, const REAL *x, ptrdiff_t n,
                         REAL *y)
{
    plain_layer(d, x, n, y);
    kernels->activate(d->layer.activation, d->layer.alpha, d->layer.beta, y, y, n * d->m);
}

/* x (n, k) -> index: the columns in which any row is not zero. Returns how many there are. */
static ptrdiff_t used_columns(const REAL *x, ptrdiff_t n, ptrdiff_t k, int32_t *index)
{
    ptrdiff_t count = 0;
    for (ptrdiff_t i = 0; i < k; i++) {
        int used = 0;
        for (ptrdiff_t s = 0; s < n; s++)
            used |= !(x[s * k + i] == 0);
        if (used)
            index[count++] = (int32_t)i;
    }
    return count;
}

static void find_nonzero_case(nn_test *t, const nn_kernels *kernels, int row)
{
    (void)row;
    nn_random random = {3};
    for (ptrdiff_t k = 1; k <= 80; k++)
        for (int filling = 0; filling < FILLINGS; filling++)
            for (int rows = 1; rows <= 8; rows *= 2) {
                REAL *x = reals(rows * k);
                int32_t *wanted = indices(k), *got = indices(k);
                fill(&random, filling, x, rows, k);
                const ptrdiff_t used = used_columns(x, rows, k, wanted);
                nn_shape(t, "k %td, rows %d, %s", k, rows, filling_names[filling]);
                const ptrdiff_t count = kernels->find_nonzero(x, k, rows, k, got);
                if (nn_expect_integer(t, "count", 0, count, used))
                    for (ptrdiff_t i = 0; i < used; i++)
                        nn_expect_integer(t, "index", i, got[i], wanted[i]);
                nn_emit_integer(t, count);
                free(x);
                free(wanted);
                free(got);
            }
}

static void find_lines_case(nn_test *t, const nn_kernels *kernels, int row)
{
    (void)row;
    enum { N = NN_MOST_SAMPLES };
    nn_random random = {4};
    const int most = most_vectors(kernels);
    for (ptrdiff_t m = 1; m <= 40; m += 3)
        for (int vectors = 1; vectors <= most; vectors++) {
            const ptrdiff_t width = vectors * kernels->lanes;
            REAL *tile = reals(m * width);
            int32_t *got = indices(m);
            ptrdiff_t used = 0;
            for (ptrdiff_t j = 0; j < m; j++)
                if (j % 3) /* -0.0, which is zero, or a number in one lane, not always the same */
                    tile[j * width + (j * 7 + m) % width] =
                        j % 3 == 1 ? (REAL)-0.0 : real_of_bits(1);
            nn_shape(t, "m %td, %d vectors", m, vectors);
            const ptrdiff_t count = kernels->find_lines(tile, m, vectors, got);
            for (ptrdiff_t j = 2; j < m; j += 3, used++)
                nn_expect_integer(t, "index", used, got[used], j);
            nn_expect_integer(t, "count", 0, count, used);
            free(tile);
            free(got);
        }
    nn_emit_integer(t, (int64_t)nn_next(&random));
}

/* One line is left out of index, and the lines are farther apart than they are long. */
static void finite_lines_case(nn_test *t, const nn_kernels *kernels, int row)
{
    (void)row;
    const REAL bad[] = {NAN, -NAN, INFINITY, -INFINITY};
    const REAL good[] = {0, (REAL)-0.0, real_of_bits(1), NN_DOUBLE ? DBL_MAX : FLT_MAX};
    const int most = most_vectors(kernels);
    for (ptrdiff_t m = 2; m <= 20; m += 3)
        for (int vectors = 1; vectors <= most; vectors++) {
            const ptrdiff_t length = vectors * kernels->lanes, width = length + kernels->lanes;
            const ptrdiff_t out = m / 2;
            REAL *tile = reals(m * width);
            int32_t *index = indices(m);
            ptrdiff_t count = 0;
            for (ptrdiff_t j = 0; j < m; j++) {
                for (ptrdiff_t s = 0; s < width; s++)
                    tile[j * width + s] = s < length && j != out ? good[(j + s) % 4] : bad[s % 4];
                if (j != out)
                    index[count++] = (int32_t)j;
            }
            nn_shape(t, "m %td, %d vectors", m, vectors);
            nn_expect_integer(t, "finite", -1,
                              kernels->finite_lines(tile, width, index, count, vectors), 1);
            nn_expect_integer(t, "no line", -1,
                              kernels->finite_lines(tile, width, index, 0, vectors), 1);
            for (ptrdiff_t j = 0; j < m; j++)
                for (ptrdiff_t s = 0; s < length && j != out; s++) {
                    tile[j * width + s] = bad[(j + s) % 4];
                    nn_expect_integer(t, "place", j * width + s,
                                      kernels->finite_lines(tile, width, index, count, vectors), 0);
                    tile[j * width + s] = good[(j + s) % 4];
                }
            free(tile);
            free(index);
        }
}

/* Run row_layer on `rows` rows of x, with rows of y that are up_to_lines(m) apart. */
static void check_rows(nn_test *t, const nn_kernels *kernels, const dense *d, const REAL *x,
                       int rows, const int32_t *index, ptrdiff_t count, const REAL *wanted)
{
    const ptrdiff_t ldy = up_to_lines(d->m);
    REAL *y = reals(rows * ldy);
    kernels->row_layer(&d->layer, x, d->k, rows, index, count, y, ldy);
    for (int r = 0; r < rows; r++)
        expect_rows(t, "y", y + r * ldy, wanted + r * d->m, d->m);
    free(y);
}

static void row_layer_case(nn_test *t, const nn_kernels *kernels, int activation)
{
    enum { N = 8 };
    nn_random random = {5};
    for (int shape = 0; shape < (2 - NN_DOUBLE) * LAYER_SHAPES; shape++)
        for (int filling = 0; filling < FILLINGS; filling++) {
            const int narrow = shape >= LAYER_SHAPES;
            const ptrdiff_t k = layer_shapes[shape % LAYER_SHAPES][0];
            const ptrdiff_t m = layer_shapes[shape % LAYER_SHAPES][1];
            if (k > 2000)
                continue; /* this kernel has no blocks of lines */
            dense d = make_dense(&random, k, m, activation);
            if (narrow)
                make_narrow(&d);
            REAL *x = reals(N * k), *wanted = reals(N * m);
            int32_t *index = indices(k), *all = indices(k);
            for (ptrdiff_t i = 0; i < k; i++)
                all[i] = (int32_t)i;
            fill(&random, filling, x, N, k);
            wanted_layer(&d, kernels, x, N, wanted);
            for (int rows = 1; rows <= kernels->row_samples; rows = narrow ? rows * 2 : rows + 1)
                for (int s = 0; s + rows <= N; s += rows) {
                    const REAL *from = x + s * k, *to = wanted + s * m;
                    nn_shape(t, "k %td, m %td, %s%s, rows %d to %d", k, m, filling_names[filling],
                             narrow ? ", narrow" : "", s, s + rows - 1);
                    check_rows(t, kernels, &d, from, rows, all, k, to);
                    const ptrdiff_t count = used_columns(from, rows, k, index);
                    check_rows(t, kernels, &d, from, rows, index, count, to);
                    if (rows == 1 && !narrow)
                        check_rows(t, kernels, &d, from, rows, NULL, k, to);
                }
            EMIT(t, wanted, N * m);
            free_dense(&d);
            free(x);
            free(wanted);
            free(index);
            free(all);
        }
}

/* Run tile_layer on a tile of the first `samples` rows of x. With skip, lines that are zero in
 * every sample hold NaN instead, to see that the kernel does not read them. So do the gaps between
 * lines, where there are gaps. */
static void check_tile(nn_test *t, const nn_kernels *kernels, const dense *d, const REAL *x,
                       ptrdiff_t samples, int vectors, int skip, const REAL *wanted)
{
    const ptrdiff_t width = vectors * kernels->lanes, k = d->k;
    const ptrdiff_t lines = d->layer.weights == NN_bfloat16_weights ? up_to_lines(d->m) : d->m;
    const ptrdiff_t x_width = width + (skip ? kernels->lanes : 0);
    REAL *tile = reals(k * x_width), *y = reals(lines * width);
    int32_t *index = indices(k);
    ptrdiff_t count = k;
    plain_tile(x, samples, k, x_width, tile);
    for (ptrdiff_t i = 0; i < k; i++) {
        index[i] = (int32_t)i;
        for (ptrdiff_t s = width; s < x_width; s++)
            tile[i * x_width + s] = (REAL)NAN;
    }
    if (skip) {
        count = used_columns(x, samples, k, index);
        for (ptrdiff_t i = 0, next = 0; i < k; i++)
            if (next < count && index[next] == i)
                next++;
            else
                for (ptrdiff_t s = 0; s < width; s++)
                    tile[i * x_width + s] = (REAL)NAN;
    }
    /* Memory to fetch meanwhile. With it, the kernel also divides its work into smaller blocks. */
    nn_ahead ahead = {.data = (const char *)x, .row_stride = k * (ptrdiff_t)sizeof(REAL),
                      .bytes = k * (ptrdiff_t)sizeof(REAL), .rows = samples};
    kernels->tile_layer(&d->layer, tile, x_width, index, count, vectors, y,
                        vectors % 2 ? &ahead : NULL);
    for (ptrdiff_t s = 0; s < samples; s++)
        for (ptrdiff_t j = 0; j < d->m; j++)
            if (!EXPECT(t, "y", s * d->m + j, y[j * width + s], wanted[s * d->m + j]))
                s = samples;
    if (vectors % 2)
        nn_expect_integer(t, "rows fetched", 0, ahead.row, samples);
    free(tile);
    free(y);
    free(index);
}

/* Test an activation on one shape, but the identity on all shapes. */
static void tile_layer_case(nn_test *t, const nn_kernels *kernels, int activation)
{
    enum { N = NN_MOST_SAMPLES };
    const int all_shapes = activation == NN_identity;
    const int most = most_vectors(kernels);
    nn_random random = {6};
    const int step = all_shapes ? 1 : LAYER_SHAPES; /* the same shape with narrow weights */
    for (int i = all_shapes ? 0 : 4; i < (2 - NN_DOUBLE) * LAYER_SHAPES; i += step)
        for (int filling = 0; filling < FILLINGS; filling++) {
            const int shape = i % LAYER_SHAPES, narrow = i >= LAYER_SHAPES;
            const ptrdiff_t k = layer_shapes[shape][0], m = layer_shapes[shape][1];
            dense d = make_dense(&random, k, m, activation);
            if (narrow)
                make_narrow(&d);
            REAL *x = reals(N * k), *wanted = reals(N * m);
            fill(&random, filling, x, N, k);
            wanted_layer(&d, kernels, x, N, wanted);
            EMIT(t, wanted, N * m);
            for (int v = 1; v <= most; v = next_vectors(v, most, k * m < 100)) {
                ptrdiff_t samples = v * kernels->lanes < N ? v * kernels->lanes : N;
                samples -= v % 3 && samples > 3 ? v % 3 : 0;
                for (int skip = 0; skip <= (filling == SPARSE); skip++) {
                    nn_shape(t, "k %td, m %td, %s%s%s, %td samples in %d vectors", k, m,
                             filling_names[filling], skip ? ", zero lines skipped" : "",
                             narrow ? ", narrow" : "", samples, v);
                    check_tile(t, kernels, &d, x, samples, v, skip, wanted);
                }
            }
            free_dense(&d);
            free(x);
            free(wanted);
        }
}

static void unpack_tile_case(nn_test *t, const nn_kernels *kernels, int row)
{
    (void)row;
    enum { N = NN_MOST_SAMPLES };
    nn_random random = {7};
    const int most = most_vectors(kernels);
    for (ptrdiff_t m = 1; m <= 37; m += 4)
        for (int v = 1; v <= most; v = next_vectors(v, most, 0))
            for (int less = 0; less < 3 && less < v * kernels->lanes; less++) {
                const ptrdiff_t width = v * kernels->lanes, samples = width - less;
                /* Contiguous rows; rows with a gap after each; columns with gaps between
                 * elements. */
                const ptrdiff_t strides[3][2] = {{m, 1}, {m + 5, 1}, {2, 2 * width + 2}};
                REAL *x = reals(width * m), *tile = reals(m * width);
                fill(&random, ODD, x, width, m);
                plain_tile(x, width, m, width, tile);
                for (int way = 0; way < 3; way++) {
                    const ptrdiff_t down = strides[way][0], across = strides[way][1];
                    const ptrdiff_t room = (width - 1) * down + (m - 1) * across + 1;
                    REAL *out = reals(room);
                    for (ptrdiff_t i = 0; i < room; i++)
                        out[i] = 77;
                    nn_shape(t, "m %td, %td samples in %d vectors, strides %td, %td", m, samples, v,
                             down, across);
                    kernels->unpack_tile(tile, v, (int)samples, m, out, down, across);
                    for (ptrdiff_t s = 0; s < samples; s++)
                        for (ptrdiff_t j = 0; j < m; j++) {
                            EXPECT(t, "out", s * m + j, out[s * down + j * across], x[s * m + j]);
                            out[s * down + j * across] = 77;
                        }
                    for (ptrdiff_t i = 0; i < room; i++)
                        EXPECT(t, "between the rows of out", i, out[i], 77);
                    free(out);
                }
                free(x);
                free(tile);
            }
    nn_emit_integer(t, 1);
}
