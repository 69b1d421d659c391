/* Cases: activations and their derivatives, softmax, and whether they are near the true values. */

enum { FUNCTION_VALUES = 6000 };

/* Numbers with all exponents, numbers from the range where the functions are curved, and the
 * special values. */
static ptrdiff_t function_inputs(REAL *x)
{
    nn_random random = {1};
    ptrdiff_t n = special_values(x);
    for (; n < FUNCTION_VALUES / 2; n++)
        x[n] = real_of_bits((BITS)nn_next(&random));
    for (; n < FUNCTION_VALUES; n++) {
        static const double ranges[] = {1, 4, 20, 100, 800};
        const double most = ranges[nn_below(&random, 5)];
        x[n] = (REAL)nn_between(&random, -most, most);
    }
    return n;
}

/* Test all numbers at once, then in place every length up to 70, from an address that is not
 * aligned to vectors. */
static void elementwise(nn_test *t, int activation,
                        void (*apply)(int, double, double, const void *, void *, ptrdiff_t))
{
    static const double parameters[][2] = {{0.01, 0.99}, {1, 1}, {-0.3, 0.5}};
    REAL *x = reals(FUNCTION_VALUES), *y = reals(FUNCTION_VALUES), *part = reals(72);
    const ptrdiff_t n = function_inputs(x);
    for (int p = 0; p < 3; p++) {
        const double alpha = parameters[p][0], beta = parameters[p][1];
        nn_shape(t, "alpha %g, beta %g, n %td", alpha, beta, n);
        apply(activation, alpha, beta, x, y, n);
        EMIT(t, y, n);
        for (ptrdiff_t length = 0; length <= 70; length++) {
            nn_shape(t, "alpha %g, beta %g, n %td, in place", alpha, beta, length);
            memcpy(part, x + length, 72 * sizeof(REAL));
            apply(activation, alpha, beta, part + 1, part + 1, length);
            expect_rows(t, "y", part + 1, y + length + 1, length);
            EXPECT(t, "before y", 0, part[0], x[length]);
            if (length < 70)
                EXPECT(t, "behind y", length, part[1 + length], x[2 * length + 1]);
        }
    }
    free(x);
    free(y);
    free(part);
}

static void activate_case(nn_test *t, const nn_kernels *kernels, int activation)
{
    elementwise(t, activation, kernels->activate);
}

static void derive_case(nn_test *t, const nn_kernels *kernels, int activation)
{
    elementwise(t, activation, kernels->derive);
}

/* True values, computed by the C library in long double. An activation that is not listed here is
 * still compared between instruction sets. */
#define SIGMOID(x) (1 / (1 + expl(-(x))))
#define SELU_L 1.0507009873554805L
#define NN_TRUE_VALUES(X)                                                                         \
    X(identity, x) X(step, x > 0) X(sigmoid, SIGMOID(x)) X(tanh, tanhl(x)) X(relu, x > 0 ? x : 0) \
    X(elu, x > 0 ? x : expm1l(x)) X(gelu, x / 2 * erfcl(-x / sqrtl(2))) X(silu, x * SIGMOID(x))   \
    X(softplus, x > 0 ? x + log1pl(expl(-x)) : log1pl(expl(x)))                                   \
    X(selu, x > 0 ? SELU_L * x : SELU_L * 1.6732632423543772L * expm1l(x))                        \
    X(relu6, fminl(fmaxl(x, 0), 6)) X(clip, fminl(fmaxl(x, -1), 1))                               \
    X(hard_swish, x * (fminl(fmaxl(x + 3, 0), 6) / 6)) X(softsign, x / (1 + fabsl(x)))            \
    X(mish, x * tanhl(log1pl(expl(x))))                                                           \
    X(gelu_tanh, x * SIGMOID(sqrtl(8 / 3.14159265358979323846L) * (x + 0.044715L * x * x * x)))
#define NN_TRUE_FUNCTION(name, formula)                                                           \
    static long double true_##name(long double x) { return formula; }
NN_TRUE_VALUES(NN_TRUE_FUNCTION)

/* This bound is far larger than the errors that the tests in Python measure. It is there to find a
 * wrong constant, not a lost bit. */
enum { ULP_BOUND = 10 };

static void near_case(nn_test *t, const nn_kernels *kernels, int row)
{
    (void)row;
    REAL *x = reals(FUNCTION_VALUES), *y = reals(FUNCTION_VALUES);
    const ptrdiff_t n = function_inputs(x);
    const long double least = NN_DOUBLE ? 0x1p-1074L : 0x1p-149L;
#define NN_NEAR(name, formula)                                                                    \
    nn_shape(t, #name ": more than %d ULP from the C library's", ULP_BOUND);                      \
    kernels->activate(NN_##name, nn_activations[NN_##name].alpha, nn_activations[NN_##name].beta, \
                      x, y, n);                                                                   \
    for (ptrdiff_t i = 0; i < n; i++) {                                                           \
        const long double wanted = true_##name((long double)x[i]);                                \
        long double ulp = fabsl(wanted) * (NN_DOUBLE ? 0x1p-52L : 0x1p-23L);                      \
        ulp = ulp > least ? ulp : least;                                                          \
        if (isfinite(x[i]) && !(fabsl((long double)y[i] - wanted) <= ULP_BOUND * ulp)             \
            && !EXPECT(t, "y", i, y[i], (REAL)wanted))                                            \
            break;                                                                                \
    }
    NN_TRUE_VALUES(NN_NEAR)
    nn_emit_integer(t, 1);
    free(x);
    free(y);
}

/* Rows of lengths up to a little more than four panels, alone and as the samples of tiles. */
static void softmax_case(nn_test *t, const nn_kernels *kernels, int logarithm)
{
    enum { N = NN_MOST_SAMPLES };
    nn_random random = {2};
    const int most = most_vectors(kernels);
    for (ptrdiff_t m = 1; m <= 4 * PANEL + 3; m += m < 2 * PANEL ? 1 : 5) {
        REAL *x = reals(N * m), *y = reals(N * m), *row = reals(m);
        for (ptrdiff_t i = 0; i < N * m; i++)
            x[i] = (REAL)nn_between(&random, -30, 30);
        fill(&random, ODD, x + N / 2 * m, N / 4, m);
        for (ptrdiff_t s = 0; s < N; s++) {
            nn_shape(t, "m %td, row %td", m, s);
            kernels->softmax(logarithm, x + s * m, y + s * m, m);
            EMIT(t, y + s * m, m);
            memcpy(row, x + s * m, (size_t)m * sizeof(REAL));
            kernels->softmax(logarithm, row, row, m);
            expect_rows(t, "y in place", row, y + s * m, m);
        }
        for (int vectors = 1; vectors <= most; vectors = next_vectors(vectors, most, m < 4)) {
            const ptrdiff_t width = vectors * kernels->lanes;
            const ptrdiff_t samples = width < N ? width : N;
            REAL *tile = reals(m * width);
            plain_tile(x, samples, m, width, tile);
            kernels->tile_softmax(logarithm, tile, m, vectors);
            for (ptrdiff_t s = 0; s < samples; s++) {
                nn_shape(t, "tile_softmax: m %td, %d vectors, sample %td", m, vectors, s);
                for (ptrdiff_t j = 0; j < m; j++)
                    if (!EXPECT(t, "y", j, tile[j * width + s], y[s * m + j]))
                        break;
            }
            free(tile);
        }
        free(x);
        free(y);
        free(row);
    }
}
