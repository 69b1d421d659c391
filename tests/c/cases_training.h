/* Cases: losses, dropout, clipping, gradients and the optimisers' steps. */

static void loss_case(nn_test *t, const nn_kernels *kernels, int kind)
{
    enum { N = 60, ALL = N + 9, FIRST = 4 };
    static const ptrdiff_t outputs[] = {1, 2, 3, 10, 17, 40};
    nn_random random = {11};
    const int most = most_vectors(kernels);
    for (int o = 0; o < 6; o++) {
        const ptrdiff_t m = outputs[o];
        REAL *z = reals(N * m), *targets = reals(ALL * m), *weights = reals(ALL), *d = reals(N * m);
        int32_t *labels = indices(ALL);
        int64_t *order = nn_memory(ALL * sizeof *order);
        double *losses = nn_memory(N * sizeof *losses);
        for (ptrdiff_t i = 0; i < N * m; i++)
            z[i] = (REAL)nn_between(&random, -6, 6);
        fill(&random, ODD, z + N / 2 * m, N / 4, m);
        for (ptrdiff_t i = 0; i < ALL * m; i++)
            targets[i] = i % 3 ? (REAL)(i % 2) : (REAL)nn_between(&random, 0, 1);
        for (int i = 0; i < ALL; i++) {
            weights[i] = (REAL)nn_between(&random, 0, 2);
            labels[i] = nn_below(&random, (int)m);
            order[i] = nn_below(&random, ALL);
        }
        for (int way = 0; way < 16; way++) {
            const nn_targets wanted = {.kind = kind, .labels = way & 1 ? labels : NULL,
                                       .rows = way & 1 ? NULL : targets,
                                       .weights = way & 2 ? weights : NULL,
                                       .order = way & 4 ? order : NULL,
                                       .smoothing = way & 8 ? 0.1 : 0};
            const double total = kernels->total_weight(&wanted, FIRST, N);
            nn_shape(t, "m %td, way %d: total weight", m, way);
            nn_emit_f64(t, &total, 1);
            ptrdiff_t right = 0;
            for (int v = most; v >= 1; v -= v > 4 ? 3 : 1) { /* the first tile has all samples */
                const ptrdiff_t width = v * kernels->lanes;
                const int samples = width < N ? (int)width : N;
                REAL *tile = reals(m * width), *slope = reals(m * width), *more = reals(m * width);
                double each[N];
                plain_tile(z, samples, m, width, tile);
                nn_shape(t, "m %td, way %d, %d samples in %d vectors", m, way, samples, v);
                const ptrdiff_t now = kernels->loss(&wanted, FIRST, samples, v, m, total, tile,
                                                    slope, more, each);
                if (v == most)
                    right = now;
                if (samples == N)
                    nn_expect_integer(t, "right", 0, now, right);
                for (int s = 0; s < samples; s++) {
                    if (v == most)
                        losses[s] = each[s];
                    nn_expect_f64(t, "losses", s, each[s], losses[s]);
                    for (ptrdiff_t j = 0; j < m; j++) {
                        if (v == most)
                            d[s * m + j] = slope[j * width + s];
                        EXPECT(t, "d", s * m + j, slope[j * width + s], d[s * m + j]);
                    }
                }
                free(tile);
                free(slope);
                free(more);
            }
            nn_shape(t, "m %td, way %d: losses, then d, then the number of right ones", m, way);
            nn_emit_f64(t, losses, N);
            EMIT(t, d, N * m);
            nn_emit_integer(t, right);
        }
        free(z);
        free(targets);
        free(weights);
        free(d);
        free(labels);
        free(order);
        free(losses);
    }
}

static void drop_case(nn_test *t, const nn_kernels *kernels, int row)
{
    (void)row;
    enum { N = 50, M = 9, FIRST = 3 };
    nn_random random = {12};
    REAL *x = reals(N * M);
    fill(&random, ODD, x, N, M);
    for (int rate = 0; rate < 10; rate += 3) {
        const ptrdiff_t width = (N + kernels->lanes - 1) / kernels->lanes * kernels->lanes;
        REAL *tile = reals(M * width), *kept = reals(M * width);
        plain_tile(x, N, M, width, tile);
        kernels->drop(tile, kept, M, width, rate / 10.0, 99, FIRST);
        nn_shape(t, "rate 0.%d: a and kept, unit by unit", rate);
        for (ptrdiff_t j = 0; j < M; j++) {
            EMIT(t, tile + j * width, N);
            EMIT(t, kept + j * width, N);
            for (ptrdiff_t s = 0; s < N; s++)
                EXPECT(t, "a", s * M + j, tile[j * width + s], x[s * M + j] * kept[j * width + s]);
        }
        free(tile);
        free(kept);
    }
    free(x);
}

/* multiply, clip and sum_of_squares, each of which is one loop. */
static void simple_case(nn_test *t, const nn_kernels *kernels, int row)
{
    (void)row;
    nn_random random = {13};
    for (ptrdiff_t n = 0; n <= 96; n += 8) {
        REAL *a = reals(n), *b = reals(n), *y = reals(n);
        fill(&random, ODD, a, 1, n);
        fill(&random, ODD, b, 1, n);
        memcpy(y, a, (size_t)n * sizeof(REAL));
        nn_shape(t, "multiply, n %td", n);
        kernels->multiply(y, b, n);
        EMIT(t, y, n);
        for (ptrdiff_t i = 0; i < n; i++)
            EXPECT(t, "a", i, y[i], a[i] * b[i]);
        nn_shape(t, "clip, n %td", n);
        memcpy(y, a, (size_t)n * sizeof(REAL));
        kernels->clip(y, n, 0.25);
        EMIT(t, y, n);
        for (ptrdiff_t i = 0; i < n; i++)
            EXPECT(t, "x", i, y[i], a[i] > (REAL)0.25 ? (REAL)0.25
                                    : a[i] < (REAL)-0.25 ? (REAL)-0.25 : a[i]);
        fill(&random, n % 16 ? DENSE : ODD, a, 1, n);
        nn_shape(t, "sum_of_squares, n %td", n);
        double sum = kernels->sum_of_squares(a, n), partial[8] = {0};
        for (ptrdiff_t i = 0; i < n; i++)
            partial[i % 8] += (double)a[i] * (double)a[i];
        for (int r = 1; r < 8; r++)
            partial[0] += partial[r];
        nn_expect_f64(t, "sum", 0, sum, partial[0]);
        nn_emit_f64(t, &sum, 1);
        free(a);
        free(b);
        free(y);
    }
}

static void backward_case(nn_test *t, const nn_kernels *kernels, int activation)
{
    nn_random random = {14};
    for (ptrdiff_t n = 1; n <= 300; n = n * 2 + 1) {
        REAL *z = reals(n), *d = reals(n), *y = reals(n), *slope = reals(n);
        fill(&random, ODD, z, 1, n);
        fill(&random, DENSE, d, 1, n);
        memcpy(y, d, (size_t)n * sizeof(REAL));
        nn_shape(t, "n %td", n);
        kernels->backward(activation, 0.01, 0.99, z, y, n);
        kernels->derive(activation, 0.01, 0.99, z, slope, n);
        for (ptrdiff_t i = 0; i < n; i++)
            EXPECT(t, "d", i, y[i], d[i] * slope[i]);
        EMIT(t, y, n);
        free(z);
        free(d);
        free(y);
        free(slope);
    }
}

/* An optimiser's step with various settings. Bits of `way`: 1 for eps and nesterov, 2 for weight
 * decay and the scale of clipping, 4 for a step after the first one. */
static nn_update make_update(int kind, int way)
{
    nn_update u = {.kind = kind, .step = way & 4 ? 12345 : 0, .rate = 0.05,
                   .scale = way % 3 == 2 ? 0.5 : 1};
    for (int i = 0; nn_optimizer_settings[kind][i]; i++) {
        const char *name = nn_optimizer_settings[kind][i];
        u.settings[i] = !strcmp(name, "eps")            ? (way & 1 ? 1e-8 : 0)
                        : !strcmp(name, "weight_decay") ? (way & 2 ? 0.01 : 0)
                        : !strcmp(name, "nesterov")     ? way & 1
                        : !strcmp(name, "beta2")        ? 0.999
                                                        : 0.9;
    }
    return u;
}

/* Fill the arrays of an optimiser's state. Sums of squares are not negative, so no number is. */
static void fill_states(nn_random *random, REAL *first, REAL *second, ptrdiff_t n)
{
    fill(random, DENSE, first, 1, n);
    fill(random, DENSE, second, 1, n);
    for (ptrdiff_t i = 0; i < n; i++) {
        first[i] = (REAL)fabs((double)first[i]);
        second[i] = (REAL)fabs((double)second[i]);
    }
}

static int states_of(int kind, int with_momentum)
{
    return nn_optimizer_states[kind] + (with_momentum ? nn_optimizer_momentum_states[kind] : 0);
}

static void update_case(nn_test *t, const nn_kernels *kernels, int kind)
{
    enum { N = 256 };
    nn_random random = {15};
    REAL *w = reals(N), *g = reals(N), *first = reals(N), *second = reals(N);
    for (int way = 0; way < 8; way++)
        for (int filling = 0; filling < FILLINGS; filling++) {
            const nn_update u = make_update(kind, way);
            const int states = states_of(kind, way & 4);
            fill(&random, DENSE, w, 1, N);
            fill(&random, filling, g, 1, N);
            fill_states(&random, first, second, N);
            if (filling == SPARSE) /* as beyond output m, where all numbers were always zero */
                memset(first, 0, N / 2 * sizeof(REAL)), memset(second, 0, N / 2 * sizeof(REAL)),
                    memset(g, 0, N / 2 * sizeof(REAL));
            for (int round = 0; round < 3; round++) {
                nn_shape(t, "way %d, gradient %s, step %d: weights, then states", way,
                         filling_names[filling], round);
                kernels->update(&u, w, g, states > 0 ? first : NULL, states > 1 ? second : NULL, N);
                EMIT(t, w, N);
                EMIT(t, first, N);
                EMIT(t, second, N);
            }
        }
    free(w);
    free(g);
    free(first);
    free(second);
}

/* Numbers for steps by means that have faded: nothing, a few units of the smallest number, any
 * subnormal number, numbers of any size, special ones. */
static REAL faded_number(nn_random *random, const REAL *special, int count)
{
    const BITS bits = (BITS)nn_next(random), sign = (BITS)1 << (sizeof(REAL) * 8 - 1);
    switch (nn_below(random, 8)) {
    case 0: case 1: return real_of_bits(bits & sign);
    case 2: case 3: return real_of_bits(bits & (sign | 15));
    case 4: return real_of_bits(bits & (sign | (((BITS)1 << MANTISSA) - 1)));
    case 5: return (REAL)(nn_between(random, -1, 1) * pow(2, -nn_below(random, 140)));
    case 6: return nn_below(random, 16) ? (REAL)1 : special[nn_below(random, count)];
    default: return (REAL)nn_between(random, -1, 1);
    }
}

/* Steps where the vector kernels set lanes aside, which the scalar ones do not. */
static void faded_case(nn_test *t, const nn_kernels *kernels, int kind)
{
    static const double factors[] = {0, 1e-60, 0.3, 0.5, 0.9, 0.999, 1 - 0x1p-30, 1, 1.5, 1e60};
    static const double small[] = {0, 1e-300, 1e-12, 1e-8, 1e-3, 3};
    static const double rates[] = {1e-30, 1e-3, 1e4, 1e39};
    enum { N = 256 };
    nn_random random = {23};
    REAL special[MOST_SPECIAL], *arrays[4];
    const int count = special_values(special);
    for (int i = 0; i < 4; i++)
        arrays[i] = reals(N);
    for (int way = 0; way < 200; way++) {
        nn_update u = {.kind = kind, .step = way % 3 * 17, .rate = rates[nn_below(&random, 4)],
                       .scale = 1};
        for (int i = 0; nn_optimizer_settings[kind][i]; i++) {
            const char *name = nn_optimizer_settings[kind][i];
            u.settings[i] = !strcmp(name, "eps")            ? small[nn_below(&random, 6)]
                            : !strcmp(name, "weight_decay") ? (nn_below(&random, 3) ? 0 : 0.01)
                            : !strcmp(name, "nesterov")     ? nn_below(&random, 2)
                                                            : factors[nn_below(&random, 10)];
        }
        const int momentum = kind == NN_sgd       ? u.sgd.momentum != 0
                             : kind == NN_rmsprop ? u.rmsprop.momentum != 0
                                                  : 0;
        const int states = states_of(kind, momentum);
        for (int i = 0; i < 4; i++)
            for (int j = 0; j < N; j++)
                arrays[i][j] = faded_number(&random, special, count);
        REAL *squares = arrays[1 + nn_optimizer_states[kind]]; /* or the gradient's: no matter */
        for (int j = 0; j < N; j++) {
            squares[j] = (REAL)fabs((double)squares[j]);
            if (nn_below(&random, 4))
                arrays[1][j] = nn_below(&random, 2) ? (REAL)0 : (REAL)-0.0;
        }
        for (int round = 0; round < 3; round++) {
            nn_shape(t, "way %d, step %d: weights, then states", way, round);
            kernels->update(&u, arrays[0], arrays[1], states > 0 ? arrays[2] : NULL,
                            states > 1 ? arrays[3] : NULL, N);
            EMIT(t, arrays[0], N);
            EMIT(t, arrays[2], N);
            EMIT(t, arrays[3], N);
        }
    }
    for (int i = 0; i < 4; i++)
        free(arrays[i]);
}

/* A mini-batch for the gradients of a layer (k, m): x (n, k) and its tile, delta (n, m) and its
 * panels. */
typedef struct batch {
    ptrdiff_t n, k, m;
    REAL *x, *delta, *panels, *tile;
    ptrdiff_t width;
    int32_t *inputs, *index;
    ptrdiff_t count;
} batch;

static batch make_batch(nn_random *random, const nn_kernels *kernels, enum filling filling,
                        ptrdiff_t n, ptrdiff_t k, ptrdiff_t m)
{
    const ptrdiff_t width = (n + kernels->lanes - 1) / kernels->lanes * kernels->lanes;
    batch b = {n, k, m, reals(n * k), reals(n * m), reals(n * up_to_lines(m)), reals(k * width),
               width, indices(k), indices(16 * (width + 16)), 0};
    fill(random, filling, b.x, n, k);
    fill(random, filling == ODD ? ODD : DENSE, b.delta, n, m);
    for (ptrdiff_t s = 0; s < n; s++)
        for (ptrdiff_t j = 0; j < m; j++)
            b.panels[(j / PANEL * n + s) * PANEL + j % PANEL] = b.delta[s * m + j];
    plain_tile(b.x, n, k, width, b.tile);
    b.count = used_columns(b.x, n, k, b.inputs);
    return b;
}

static void free_batch(batch *b)
{
    free(b->x);
    free(b->delta);
    free(b->panels);
    free(b->tile);
    free(b->inputs);
    free(b->index);
}

/* Add the gradient of a mini-batch to `gradient`, which has the layout of packed weights. Each
 * weight has one chain over the samples, without those whose input is zero; each bias has the sum
 * of the samples' deltas in order. */
static void plain_gradient(const batch *b, REAL *gradient)
{
    for (ptrdiff_t j = 0; j < b->m; j++) {
        REAL *bias = gradient + packed_at(b->k, 0, j);
        for (ptrdiff_t s = 0; s < b->n; s++)
            *bias += b->delta[s * b->m + j];
        for (ptrdiff_t i = 0, next = 0; i < b->k; i++) {
            REAL *g = gradient + packed_at(b->k, 1 + i, j);
            if (next == b->count || b->inputs[next] != i)
                continue;
            next++;
            for (ptrdiff_t s = 0; s < b->n; s++)
                if (b->x[s * b->k + i] != 0)
                    *g = CHAIN(b->x[s * b->k + i], b->delta[s * b->m + j], *g);
            *g += (REAL)0;
        }
    }
}

static const ptrdiff_t gradient_shapes[][3] = {{1, 1, 1}, {5, 3, 2}, {32, 20, 17}, {50, 33, 48},
                                               {100, 64, 10}, {17, 130, 130}};
enum { GRADIENT_SHAPES = sizeof gradient_shapes / sizeof gradient_shapes[0] };

/* Lines in two calls must give the same as all lines in one. */
static void expect_same_in_pieces(nn_test *t, const nn_kernels *kernels, const nn_layer *layer,
                                  const batch chunks[2], const REAL *wanted)
{
    const ptrdiff_t k = layer->k, size = packed_size(k, layer->m), middle = k / 2;
    REAL *got = reals(size);
    int32_t *lines = indices(k); /* all, as if none of them were zero */
    for (ptrdiff_t i = 0; i < k; i++)
        lines[i] = (int32_t)i;
    for (int i = 0; i < 2; i++) {
        const batch *b = &chunks[i];
        const nn_chunk chunk = {b->tile, b->panels, b->width, b->n};
        kernels->bias_gradient(layer, &chunk, got, NULL);
        kernels->weight_gradient(layer, &chunk, middle, k, lines + middle, k - middle, b->index,
                                 got, NULL);
        kernels->weight_gradient(layer, &chunk, 0, middle, lines, middle, b->index, got, NULL);
    }
    for (ptrdiff_t j = 0; j < layer->m; j++)
        for (ptrdiff_t i = 0; i <= k; i++)
            EXPECT(t, "gradient in pieces", packed_at(k, i, j), got[packed_at(k, i, j)],
                   wanted[packed_at(k, i, j)]);
    free(lines);
    free(got);
}

/* Add up the gradients of two chunks of a mini-batch. Numbers beyond output m are only compared
 * between instruction sets. */
static void gradient_case(nn_test *t, const nn_kernels *kernels, int row)
{
    (void)row;
    nn_random random = {16};
    for (int shape = 0; shape < GRADIENT_SHAPES; shape++)
        for (int filling = 0; filling < FILLINGS; filling++) {
            const ptrdiff_t n = gradient_shapes[shape][0], k = gradient_shapes[shape][1];
            const ptrdiff_t m = gradient_shapes[shape][2], size = packed_size(k, m);
            const nn_layer layer = {.k = k, .m = m};
            REAL *wanted = reals(size), *got = reals(size);
            batch chunks[2];
            for (int i = 0; i < 2; i++) {
                const batch b = chunks[i] = make_batch(&random, kernels, filling, n, k, m);
                plain_gradient(&b, wanted);
                const nn_chunk chunk = {b.tile, b.panels, b.width, n};
                kernels->bias_gradient(&layer, &chunk, got, NULL);
                kernels->weight_gradient(&layer, &chunk, 0, k, b.inputs, b.count, b.index, got,
                                         NULL);
                nn_shape(t, "%td samples, k %td, m %td, %s, chunk %d", n, k, m,
                         filling_names[filling], i);
                for (ptrdiff_t j = 0; j < m; j++)
                    for (ptrdiff_t line = 0; line <= k; line++)
                        EXPECT(t, "gradient", packed_at(k, line, j), got[packed_at(k, line, j)],
                               wanted[packed_at(k, line, j)]);
            }
            expect_same_in_pieces(t, kernels, &layer, chunks, wanted);
            for (int i = 0; i < 2; i++)
                free_batch(&chunks[i]);
            EMIT(t, got, size);
            free(wanted);
            free(got);
        }
}

/* The same for lines in two calls. */
static void expect_pending_in_pieces(nn_test *t, const nn_kernels *kernels, const nn_update *u,
                                     int states, nn_random *random, const batch *b)
{
    const nn_layer layer = {.k = b->k, .m = b->m};
    const nn_chunk chunk = {b->tile, b->panels, b->width, b->n};
    const ptrdiff_t size = packed_size(b->k, b->m), middle = b->k / 2;
    REAL *both[2][3], *gradient = reals(size);
    int32_t *lines = indices(b->k);
    for (ptrdiff_t i = 0; i < b->k; i++)
        lines[i] = (int32_t)i;
    for (int i = 0; i < 3; i++)
        both[0][i] = reals(size);
    fill(random, DENSE, both[0][0], 1, size);
    fill_states(random, both[0][1], both[0][2], size);
    for (int i = 0; i < 3; i++)
        both[1][i] = memcpy(reals(size), both[0][i], (size_t)size * sizeof(REAL));
    const nn_pending pending = {.update = *u, .weights = both[0][0],
                                .first_state = states > 0 ? both[0][1] : NULL,
                                .second_state = states > 1 ? both[0][2] : NULL};
    kernels->bias_gradient(&layer, &chunk, gradient, NULL);
    kernels->weight_gradient(&layer, &chunk, 0, b->k, lines, b->k, b->index, gradient, NULL);
    kernels->update(u, both[1][0], gradient, states > 0 ? both[1][1] : NULL,
                    states > 1 ? both[1][2] : NULL, size);
    kernels->bias_gradient(&layer, &chunk, NULL, &pending);
    kernels->weight_gradient(&layer, &chunk, middle, b->k, lines + middle, b->k - middle, b->index,
                             gradient, &pending);
    kernels->weight_gradient(&layer, &chunk, 0, middle, lines, middle, b->index, gradient,
                             &pending);
    expect_rows(t, "weights in pieces", both[0][0], both[1][0], size);
    expect_rows(t, "first state in pieces", both[0][1], both[1][1], size);
    expect_rows(t, "second state in pieces", both[0][2], both[1][2], size);
    for (int i = 0; i < 3; i++) {
        free(both[0][i]);
        free(both[1][i]);
    }
    free(gradient);
    free(lines);
}

/* A step that uses the gradient at once must give the same as the gradient followed by a step. From
 * way 8 on, the rate is absurd, and some weights are -0.0. */
static void pending_case(nn_test *t, const nn_kernels *kernels, int kind)
{
    static const double absurd[] = {-0.5, -0.0, 0.0, INFINITY, 1e39, NAN};
    nn_random random = {17};
    for (int shape = 0; shape < GRADIENT_SHAPES; shape++)
        for (int way = 0; way < 20; way++) {
            const ptrdiff_t n = gradient_shapes[shape][0], k = gradient_shapes[shape][1];
            const ptrdiff_t m = gradient_shapes[shape][2], size = packed_size(k, m);
            const nn_layer layer = {.k = k, .m = m};
            const int states = states_of(kind, way & 4);
            batch b = make_batch(&random, kernels, way % 2 ? SPARSE : DENSE, n, k, m);
            REAL *both[2][3], *gradient = reals(size);
            for (int i = 0; i < 3; i++)
                both[0][i] = reals(size);
            fill(&random, DENSE, both[0][0], 1, size);
            for (ptrdiff_t i = 0; i < size && way >= 8; i += 3)
                both[0][0][i] = (REAL)-0.0;
            fill_states(&random, both[0][1], both[0][2], size);
            for (int i = 0; i < 3; i++)
                both[1][i] = memcpy(reals(size), both[0][i], (size_t)size * sizeof(REAL));
            nn_update u = make_update(kind, way < 8 ? way : way % 2);
            if (way >= 8)
                u.rate = absurd[way / 2 - 4];
            nn_pending pending = {.update = u, .weights = both[0][0],
                                  .first_state = states > 0 ? both[0][1] : NULL,
                                  .second_state = states > 1 ? both[0][2] : NULL};
            pending.spares_zeros = nn_spares_zeros(&pending);
            nn_shape(t, "%td samples, k %td, m %td, way %d", n, k, m, way);
            const nn_chunk chunk = {b.tile, b.panels, b.width, n};
            kernels->bias_gradient(&layer, &chunk, gradient, NULL);
            kernels->weight_gradient(&layer, &chunk, 0, k, b.inputs, b.count, b.index, gradient,
                                     NULL);
            kernels->update(&u, both[1][0], gradient, states > 0 ? both[1][1] : NULL,
                            states > 1 ? both[1][2] : NULL, size);
            kernels->bias_gradient(&layer, &chunk, NULL, &pending);
            kernels->weight_gradient(&layer, &chunk, 0, k, b.inputs, b.count, b.index, gradient,
                                     &pending);
            expect_rows(t, "weights", both[0][0], both[1][0], size);
            expect_rows(t, "first state", both[0][1], both[1][1], size);
            expect_rows(t, "second state", both[0][2], both[1][2], size);
            for (int i = 0; i < 3; i++) {
                EMIT(t, both[0][i], size);
                free(both[0][i]);
                free(both[1][i]);
            }
            expect_pending_in_pieces(t, kernels, &u, states, &random, &b);
            free(gradient);
            free_batch(&b);
        }
}
