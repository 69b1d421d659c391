/* Cases: reading the user's memory, whatever its type and layout, into rows and tiles. */

/* binary16 by its definition: sign, exponent, fraction. Every operation is exact. */
static float plain_half(uint16_t half)
{
    const int exponent = half >> 10 & 31, fraction = half & 1023;
    float value = (float)(exponent ? fraction + 1024 : fraction);
    for (int e = exponent ? exponent : 1; e < 25; e++)
        value /= 2;
    for (int e = 25; e < exponent; e++)
        value *= 2;
    if (exponent == 31)
        value = fraction ? NAN : INFINITY;
    return half & 0x8000 ? -value : value;
}

/* X(type, C type, conversion) for every nn_type. For NumPy, every byte except 0 is true. */
#define NN_TYPES(X)                                                                               \
    X(float32, float, ) X(float64, double, ) X(float16, uint16_t, plain_half) X(uint8, uint8_t, ) \
    X(int8, int8_t, ) X(uint16, uint16_t, ) X(int16, int16_t, ) X(uint32, uint32_t, )             \
    X(int32, int32_t, ) X(uint64, uint64_t, ) X(int64, int64_t, ) X(bool, uint8_t, !!)

static const struct type_row {
    int type;
    const char *name;
    int size;
} types[] = {
#define NN_TYPE_ROW(name, ctype, convert) {NN_##name, #name, sizeof(ctype)},
    NN_TYPES(NN_TYPE_ROW)};
enum { TYPES = sizeof types / sizeof types[0] };

/* Convert one element to REAL, with one rounding. */
static REAL plain_element(int type, const char *at)
{
    switch (type) {
#define NN_ELEMENT(name, ctype, convert)                                                          \
    case NN_##name: {                                                                             \
        ctype element;                                                                            \
        memcpy(&element, at, sizeof element);                                                     \
        return (REAL)convert(element);                                                            \
    }
        NN_TYPES(NN_ELEMENT)
    }
    abort();
}

/* Layouts of an array (rows, k). gap: elements between the end of a row and the next row.
 * columns_apart: the distance of columns, in elements. offset: bytes before the first element. */
typedef struct layout {
    const char *name;
    int gap, columns_apart, reversed, offset, broadcast, ordered, last_row_ends_memory;
} layout;
static const layout layouts[] = {
    {.name = "contiguous", .columns_apart = 1, .last_row_ends_memory = 1},
    {.name = "rows apart", .columns_apart = 1, .gap = 5},
    {.name = "columns apart", .columns_apart = 3},
    {.name = "reversed columns", .columns_apart = 1, .reversed = 1},
    {.name = "unaligned", .columns_apart = 1, .offset = 1},
    {.name = "one row, again and again", .columns_apart = 1, .broadcast = 1},
    {.name = "rows in an order", .columns_apart = 1, .ordered = 1},
};
enum { LAYOUTS = sizeof layouts / sizeof layouts[0] };

/* The user's array, and the values that its samples must have as REALs. */
typedef struct source {
    nn_source x;
    char *memory;
    int64_t *order;
    REAL *wanted; /* (n, k) */
} source;

static void free_source(source *s)
{
    free(s->memory);
    free(s->order);
    free(s->wanted);
}

/* Write an element with random bytes, or mostly zeros. Floats get numbers from -1 to 1 and special
 * values instead, because random bytes are rarely useful numbers. */
static void write_element(nn_random *random, int type, enum filling filling, char *at, int size)
{
    const int zero = filling == SPARSE && nn_below(random, 4);
    uint64_t bits = nn_next(random);
    if (type == NN_float32 || type == NN_float64) {
        REAL special[MOST_SPECIAL];
        const int count = special_values(special);
        double value = (double)(int64_t)bits * 0x1p-63; /* as a float this has to be rounded */
        if (filling == ODD && bits % 16 == 0)
            value = (double)special[nn_below(random, count)];
        if (zero)
            value = bits % 8 ? 0.0 : -0.0;
        const float single = (float)value;
        memcpy(at, type == NN_float32 ? (const void *)&single : (const void *)&value, (size_t)size);
    } else {
        bits = zero ? 0 : bits;
        for (int i = 0; i < size; i++) /* any order of the bytes will do: they are random */
            at[i] = (char)(bits >> 8 * i);
    }
}

/* Whether two floats give the same result as a double scale for all bytes: nn_source.split. */
static int bytes_split(float high, float low, double scale)
{
    for (int i = 0; i < 256; i++)
        if (fmaf((float)i, high, (float)i * low) != (float)((double)i * scale))
            return 0;
    return 1;
}

static source make_source(nn_random *random, int type, const layout *layout, enum filling filling,
                          double scale, ptrdiff_t n, ptrdiff_t k)
{
    const ptrdiff_t size = types[type].size;
    const ptrdiff_t columns = ((k - 1) * layout->columns_apart + 1) * size;
    const ptrdiff_t row = layout->broadcast ? 0 : columns + layout->gap * size;
    const ptrdiff_t bytes = layout->offset + (n - 1) * row + columns
                            + (layout->last_row_ends_memory ? 0 : 2 * NN_LINE_BYTES);
    source s = {.memory = nn_memory((size_t)bytes), .order = nn_memory((size_t)n * sizeof(int64_t)),
                .wanted = reals(n * k)};
    char *first = s.memory + layout->offset;
    for (ptrdiff_t r = 0; r < (layout->broadcast ? 1 : n); r++)
        for (ptrdiff_t c = 0; c < k; c++)
            write_element(random, type, filling, first + r * row + c * layout->columns_apart * size,
                          (int)size);
    for (ptrdiff_t r = 0; r < n; r++)
        s.order[r] = nn_below(random, (int)n);
    s.x = (nn_source){.data = first, .row_stride = row, .type = type,
                      .column_stride = layout->columns_apart * size,
                      .gapless_end = row <= columns ? first + (n - 1) * row + columns : NULL,
                      .scale = scale, .preprocess = scale != 0 ? NN_rescale : NN_unchanged,
                      .order = layout->ordered ? s.order : NULL};
    if (layout->reversed) {
        s.x.data = first + columns - size;
        s.x.gapless_end = NULL;
        s.x.column_stride = -s.x.column_stride;
    }
    s.x.scale_high = (float)scale;
    s.x.scale_low = (float)(scale - (double)s.x.scale_high);
    s.x.split = !NN_DOUBLE && scale != 0 && bytes_split(s.x.scale_high, s.x.scale_low, scale);
    for (ptrdiff_t r = 0; r < n; r++)
        for (ptrdiff_t c = 0; c < k; c++) {
            const ptrdiff_t from = layout->ordered ? (ptrdiff_t)s.order[r] : r;
            const REAL element =
                plain_element(type, s.x.data + from * row + c * s.x.column_stride);
            s.wanted[r * k + c] = scale != 0 ? (REAL)((double)element * scale) : element;
        }
    return s;
}

static const double scales[] = {0, 1.0 / 255, 0.1};
static const ptrdiff_t source_columns[] = {1, 5, 16, 50, 64, 65, 129, 200};
enum { SOURCE_COLUMNS = sizeof source_columns / sizeof source_columns[0] };

static void load_row_case(nn_test *t, const nn_kernels *kernels, int type)
{
    enum { N = 3 };
    nn_random random = {8};
    for (int i = 0; i < LAYOUTS; i++)
        for (int c = 0; c < SOURCE_COLUMNS; c++)
            for (int scaled = 0; scaled < 3; scaled++) {
                const ptrdiff_t k = source_columns[c];
                source s = make_source(&random, type, &layouts[i], ODD, scales[scaled], N, k);
                REAL *y = reals(k);
                for (ptrdiff_t r = 0; r < N; r++) {
                    const ptrdiff_t row = s.x.order ? (ptrdiff_t)s.order[r] : r;
                    nn_shape(t, "%s, k %td, times %g, row %td", layouts[i].name, k, scales[scaled],
                             r);
                    kernels->load_row(&s.x, row, k, y);
                    expect_rows(t, "y", y, s.wanted + r * k, k);
                    EMIT(t, y, k);
                }
                free(y);
                free_source(&s);
            }
}

/* Pack samples first .. first + samples - 1 into a tile, with or without the bits of its
 * elements. */
static void check_packed(nn_test *t, const nn_kernels *kernels, const source *s, ptrdiff_t first,
                         int samples, ptrdiff_t k, int skip, int vectors, int with_elements)
{
    const ptrdiff_t filled = vectors * kernels->lanes;
    const ptrdiff_t width = filled + (skip ? kernels->lanes : 0);
    REAL *tile = reals((k + 16) * width);
    int32_t *index = indices(k), *wanted_index = indices(k);
    nn_elements *elements = nn_memory((size_t)(k + 63) / 64 * sizeof *elements);
    const REAL *wanted = s->wanted + first * k;
    const ptrdiff_t used = used_columns(wanted, samples, k, wanted_index);
    for (ptrdiff_t i = 0; i < (k + 16) * width; i++)
        tile[i] = 77;
    const ptrdiff_t count = kernels->pack_tile(&s->x, first, samples, k, skip, vectors, tile, width,
                                               index, with_elements ? elements : NULL);
    if (nn_expect_integer(t, "count", 0, count, skip ? used : k))
        for (ptrdiff_t i = 0; i < count; i++) {
            const ptrdiff_t line = skip ? wanted_index[i] : i;
            if (!nn_expect_integer(t, "index", i, index[i], line))
                break;
            for (ptrdiff_t lane = 0; lane < width; lane++)
                if (!EXPECT(t, "tile", line * width + lane, tile[line * width + lane],
                            lane < samples ? wanted[lane * k + line] : lane < filled ? 0 : 77))
                    break;
        }
    for (ptrdiff_t i = 0; with_elements && i < k; i++)
        for (int lane = 0; lane < samples; lane++)
            nn_expect_integer(t, "elements", i * samples + lane,
                              (int64_t)(elements[i / 64][lane] >> i % 64 & 1),
                              !(wanted[lane * k + i] == 0));
    free(tile);
    free(index);
    free(wanted_index);
    free(elements);
}

static void pack_tile_case(nn_test *t, const nn_kernels *kernels, int type)
{
    enum { N = 100 };
    nn_random random = {9};
    const int most = most_vectors(kernels);
    for (int i = 0; i < LAYOUTS; i++)
        for (int c = 0; c < SOURCE_COLUMNS; c++) {
            const ptrdiff_t k = source_columns[c];
            const enum filling filling = (enum filling)((i + c) % FILLINGS);
            /* A kernel may skip a number that is not zero but becomes zero by its scale. To know
             * which lines are listed, such sources are not scaled. */
            const double scale = filling == ODD && types[type].type <= NN_float16 ? 0
                                                                                 : scales[c % 3];
            source s = make_source(&random, type, &layouts[i], filling, scale, N, k);
            EMIT(t, s.wanted, N * k);
            for (int v = 1; v <= most; v = next_vectors(v, most, 0)) {
                const int lanes = v * kernels->lanes;
                const int samples = lanes < N ? lanes - (lanes > 1 ? c % 2 : 0) : N;
                if (lanes >= N + kernels->lanes)
                    break;
                for (int first = 0; first <= N - samples; first += N - samples ? N - samples : 1)
                    for (int way = 0; way < 4; way++) {
                        nn_shape(t, "%s, %s, k %td, times %g, %d samples from %d in %d vectors%s%s",
                                 layouts[i].name, filling_names[filling], k, scale, samples, first,
                                 v, way & 1 ? ", zeros skipped" : "", way & 2 ? ", elements" : "");
                        check_packed(t, kernels, &s, first, samples, k, way & 1, v, way & 2);
                    }
            }
            free_source(&s);
        }
}

/* Run first_layer on tiles whose elements are known. */
static void first_layer_case(nn_test *t, const nn_kernels *kernels, int activation)
{
    enum { N = NN_MOST_SAMPLES };
    nn_random random = {10};
    const int all_shapes = activation == NN_identity, most = most_vectors(kernels);
    for (int shape = all_shapes ? 0 : 4; shape < (all_shapes ? LAYER_SHAPES : 5); shape++)
        for (int filling = 0; filling < FILLINGS; filling++) {
            const ptrdiff_t k = layer_shapes[shape][0], m = layer_shapes[shape][1];
            const int type = shape % 2 ? NN_uint8 : NN_DOUBLE ? NN_float64 : NN_float32;
            dense d = make_dense(&random, k, m, activation);
            source s = make_source(&random, type, &layouts[0], filling, shape % 2 ? 1.0 / 255 : 0,
                                   N, k);
            REAL *wanted = reals(N * m), *rows = reals(N * up_to_lines(m));
            wanted_layer(&d, kernels, s.wanted, N, wanted);
            EMIT(t, wanted, N * m);
            for (int v = 1; v <= most; v = next_vectors(v, most, 0)) {
                const ptrdiff_t width = v * kernels->lanes;
                const int samples = width < N ? (int)width - (width > 1 ? shape % 2 : 0) : N;
                const ptrdiff_t x_width = width + v % 2 * kernels->lanes;
                REAL *tile = reals((k + 16) * x_width), *y = reals(m * width);
                int32_t *index = indices(k);
                nn_elements *elements = nn_memory((size_t)(k + 63) / 64 * sizeof *elements);
                nn_shape(t, "k %td, m %td, %s, %d samples in %d vectors", k, m,
                         filling_names[filling], samples, v);
                const ptrdiff_t count =
                    kernels->pack_tile(&s.x, 0, samples, k, 1, v, tile, x_width, index, elements);
                kernels->first_layer(&d.layer, tile, x_width, index, count, samples, v,
                                     (const nn_elements *)elements, rows, y, NULL);
                for (ptrdiff_t i = 0; i < samples * m; i++)
                    if (!EXPECT(t, "y", i, y[i % m * width + i / m], wanted[i]))
                        break;
                free(tile);
                free(y);
                free(index);
                free(elements);
            }
            free_dense(&d);
            free_source(&s);
            free(wanted);
            free(rows);
        }
}

/* Run sparse_layer on samples of every layout but those in an order. Where few of their inputs are
 * not zero it gives what first_layer gives; where many are it must refuse. */
static void sparse_layer_case(nn_test *t, const nn_kernels *kernels, int activation)
{
    enum { N = NN_MOST_SAMPLES };
    nn_random random = {11};
    const int most = most_vectors(kernels);
    const ptrdiff_t k = 401, sizes[] = {1, 33, 64, 130};
    for (int i = 0; kernels->sparse_layer && i < LAYOUTS; i++)
        for (int j = 0; j < 4 && !layouts[i].ordered; j++) {
            const ptrdiff_t m = sizes[(i + j) % 4];
            const enum filling filling = j ? SPARSE : ODD;
            const int type = j == 3 ? NN_uint8 : j == 2 ? NN_float64 : NN_float32;
            dense d = make_dense(&random, k, m, activation);
            source s = make_source(&random, type, &layouts[i], filling, j == 3 ? 1.0 / 255 : 0, N,
                                   k);
            REAL *wanted = reals(N * m), *rows = reals(N * up_to_lines(m));
            wanted_layer(&d, kernels, s.wanted, N, wanted);
            for (int v = 1; v <= most; v = next_vectors(v, most, 0)) {
                const ptrdiff_t width = v * kernels->lanes;
                const int samples = width < N ? (int)width - i % 3 : N, first = N - samples;
                nn_ahead ahead = {.data = s.x.data, .row_stride = s.x.row_stride,
                                  .bytes = k * s.x.column_stride, .rows = first};
                REAL *y = reals(m * width);
                nn_shape(t, "%s, %s %s, m %td, %d samples in %d vectors", layouts[i].name,
                         filling_names[filling], types[type].name, m, samples, v);
                const int done = kernels->sparse_layer(&d.layer, &s.x, first, samples, v, rows, y,
                                                       layouts[i].columns_apart == 1 &&
                                                       !layouts[i].reversed && v % 2 ? &ahead
                                                                                     : NULL);
                /* For fewer outputs, these zeros may be too few; so are those that all share. */
                if (filling == ODD || (m >= 64 && !layouts[i].broadcast))
                    nn_expect_integer(t, "done", 0, done, filling == SPARSE);
                for (ptrdiff_t e = 0; done && e < samples * m; e++)
                    if (!EXPECT(t, "y", e, y[e % m * width + e / m], wanted[first * m + e]))
                        break;
                free(y);
            }
            free_dense(&d);
            free_source(&s);
            free(wanted);
            free(rows);
        }
}
