/* Tests of the verbs of one vec_*.h: each must give what vec_scalar.h says, lane by lane. Like
 * ext/simd/instance.c, this file is compiled once for each pair of -DNN_ISA and -DNN_DOUBLE, and is
 * empty if the target does not have these instructions.
 *
 * Every instruction set gets the same numbers in the same order, LANES of them at a time. harness.c
 * compares the results of verbs that treat each lane alone with those of the scalar verbs. Results
 * that depend on several lanes are compared with plain C here. */
#define NN_TEXT_OF(name) #name
#define NN_TEXT(name) NN_TEXT_OF(name)
#define NN_JOINED(first, second) first##second
#define NN_JOIN(first, second) NN_JOINED(first, second)

#include "reals.h"

#include NN_TEXT(simd/NN_JOIN(vec_, NN_ISA).h)

#ifdef NN_TARGET

enum { MOST_LANES = 16, MOST_PAIRS = MOST_SPECIAL * MOST_SPECIAL };

static ptrdiff_t up_to_lanes(ptrdiff_t n) { return (n + MOST_LANES - 1) / MOST_LANES * MOST_LANES; }

/* Compute and emit n results of a verb, one vector at a time. `result` is an expression of A, B and
 * C, the vectors of a, b and c at the same place. a, b, c and y have room for whole vectors. */
#define EACH(verb, n, result)                                                                     \
    nn_shape(t, verb);                                                                            \
    for (ptrdiff_t i = 0; i < (n); i += LANES) {                                                  \
        const vec A = vload(a + i), B = vload(b + i), C = vload(c + i);                           \
        (void)A, (void)B, (void)C;                                                                \
        vstore(y + i, result);                                                                    \
    }                                                                                             \
    EMIT(t, y, n);

static NN_TARGET void lane_by_lane(nn_test *t)
{
    REAL special[MOST_SPECIAL];
    const ptrdiff_t count = special_values(special), pairs = count * count;
    const ptrdiff_t room = up_to_lanes(pairs * count);
    REAL *a = reals(room), *b = reals(room), *c = reals(room), *y = reals(room);
    const vec zero = vset1(0), one = vset1(1);
    for (ptrdiff_t i = 0; i < pairs * count; i++) {
        a[i] = special[i % count];
        b[i] = special[i / count % count];
        c[i] = special[i / pairs];
    }
    EACH("vload", count, A)
    EACH("vset1", count, vmul(vset1(a[0]), A))
    EACH("vadd", pairs, vadd(A, B))
    EACH("vsub", pairs, vsub(A, B))
    EACH("vmul", pairs, vmul(A, B))
    EACH("vdiv", pairs, vdiv(A, B))
    EACH("vmax", pairs, vmax(A, B))
    EACH("vmin", pairs, vmin(A, B))
    EACH("vcopysign", pairs, vcopysign(A, B))
    EACH("vor", pairs, vor(A, B))
    EACH("vxor", pairs, vxor(A, B))
    EACH("vless", pairs, vselect(vless(A, B), one, zero))
    EACH("vselect", pairs, vselect(vless(A, B), A, B))
    EACH("visnan", count, vselect(visnan(A), one, zero))
    EACH("vsqrt", count, vsqrt(A))
    EACH("vabs", count, vabs(A))
    EACH("vneg", count, vneg(A))
    EACH("vrint", count, vrint(A))
    EACH("vfma", pairs * count, vfma(A, B, C))
    free(a);
    free(b);
    free(c);
    free(y);
}

/* Verbs that are defined for certain numbers only; and other verbs with random numbers. */
static NN_TARGET void within_limits(nn_test *t)
{
    enum { N = 4096, LEAST = NN_DOUBLE ? -1150 : -252 };
    nn_random random = {18};
    REAL *a = reals(N), *b = reals(N), *c = reals(N), *y = reals(N), *exponent = reals(N);
    for (int i = 0; i < N; i++) /* the exponents of all normal numbers */
        a[i] = (REAL)(i % (2 * EXPONENT_BIAS) + 1 - EXPONENT_BIAS);
    EACH("vpow2", 2 * EXPONENT_BIAS / MOST_LANES * MOST_LANES, vpow2(A))
    for (int i = 0; i < N; i++) {
        a[i] = (REAL)nn_between(&random, 0x1p-1, 1);
        for (int halvings = nn_below(&random, 80) - 40; halvings; halvings += halvings < 0 ? 1 : -1)
            a[i] = halvings < 0 ? a[i] * 2 : a[i] / 2;
        a[i] = i % 64 == 1 ? 0 : i % 64 == 2 ? (REAL)NAN : i % 2 ? a[i] : -a[i];
        b[i] = (REAL)(LEAST + i % (1 - LEAST));
        c[i] = real_of_bits((BITS)nn_next(&random));
    }
    EACH("vscale", N, vscale(A, B))
    EACH("vfma of random bits", N, vfma(C, A, B))
    EACH("vadd of random bits", N, vadd(C, A))
    EACH("vrint of random numbers", N, vrint(vmul(A, vset1(8))))
    EACH("vrint of random bits", N, vrint(C))
    EACH("vsqrt of random bits", N, vsqrt(C))
    for (int i = 0; i < N; i++) {
        c[i] = real_of_bits((BITS)nn_next(&random));
        c[i] = c[i] >= SQRT_HALF && c[i] - c[i] == 0 ? c[i] : (REAL)SQRT_HALF;
        a[i] = (REAL)nn_between(&random, 1, 1000);
    }
    nn_shape(t, "vsplit");
    for (int i = 0; i < N; i += LANES) {
        vec e;
        vstore(y + i, vsplit(vload(i % 2048 < 1024 ? c + i : a + i), &e));
        vstore(exponent + i, e);
    }
    EMIT(t, y, N);
    EMIT(t, exponent, N);
    free(a);
    free(b);
    free(c);
    free(y);
    free(exponent);
}

static NN_TARGET void parts_of_vectors(nn_test *t)
{
    for (int n = 0; n <= LANES; n++) {
        REAL *from = reals(n), to[LANES + 1], loaded[LANES], rest[LANES];
        for (int l = 0; l < LANES; l++)
            rest[l] = (REAL)(100 + l);
        for (int l = 0; l < n; l++)
            from[l] = (REAL)(1 + l);
        nn_shape(t, "vload_first, n %d", n);
        vstore(loaded, vload_first(from, n, vload(rest)));
        for (int l = 0; l < LANES; l++)
            EXPECT(t, "lane", l, loaded[l], l < n ? from[l] : rest[l]);
        nn_shape(t, "vstore_first, n %d", n);
        for (int l = 0; l <= LANES; l++)
            to[l] = 77;
        vstore_first(to, n, vload(rest));
        for (int l = 0; l <= LANES; l++)
            EXPECT(t, "memory", l, to[l], l < n ? rest[l] : 77);
        free(from);
    }
    uint8_t bytes[256];
    REAL loaded[LANES];
    for (int i = 0; i < 256; i++)
        bytes[i] = (uint8_t)i;
    nn_shape(t, "vload_bytes");
    for (int i = 0; i < 256; i += LANES) {
        vstore(loaded, vload_bytes(bytes + i));
        for (int l = 0; l < LANES; l++)
            EXPECT(t, "byte", i + l, loaded[l], (REAL)(i + l));
    }
#if !NN_DOUBLE
    nn_shape(t, "vload_bfloat16");
    uint16_t memory[1 + PANEL] = {0x7fc1}, *line = memory + 1; /* two bytes before may be read */
    for (unsigned i = 0; i < 1u << 16; i += PANEL) {
        for (unsigned o = 0; o < PANEL; o++)
            line[NN_BFLOAT16_PLACE(o)] = (uint16_t)(i + o);
        for (unsigned o = 0; o < PANEL; o++) {
            const REAL wanted = real_of_bits((BITS)(i + o) << 16);
            if (o % LANES == 0)
                vstore(loaded, vload_bfloat16(line, (int)o));
            EXPECT(t, "vload_bfloat16", i + o, loaded[o % LANES], wanted);
        }
    }
#endif
}

/* Verbs that combine lanes, with each special value in every lane. */
static NN_TARGET void over_lanes(nn_test *t)
{
    REAL special[MOST_SPECIAL], lanes[LANES], folded[LANES];
    const int count = special_values(special);
    nn_random random = {19};
    for (int i = 0; i < 64 * count; i++) {
        for (int l = 0; l < LANES; l++)
            lanes[l] = nn_below(&random, 3) ? (REAL)nn_between(&random, -9, 9)
                                            : special[nn_below(&random, count)];
        lanes[i % LANES] = special[i / 64];
        unsigned bits = 0;
        for (int l = 0; l < LANES; l++)
            bits |= (unsigned)!(lanes[l] == 0) << l;
        nn_shape(t, "vnonzero");
        nn_expect_integer(t, "bits", i, vnonzero(vload(lanes)), bits);
        bits = 0;
        for (int l = 0; l < LANES; l++)
            bits |= (unsigned)(fpclassify(lanes[l]) == FP_SUBNORMAL) << l;
        nn_shape(t, "vsubnormal");
        nn_expect_integer(t, "bits", i, vsubnormal(vload(lanes)), bits);
        nn_shape(t, "vsum");
        memcpy(folded, lanes, sizeof lanes);
        for (int half = LANES / 2; half; half /= 2)
            for (int l = 0; l < half; l++)
                folded[l] += folded[l + half];
        EXPECT(t, "sum", i, vsum(vload(lanes)), folded[0]);
        nn_shape(t, "vlargest");
        memcpy(folded, lanes, sizeof lanes);
        for (int half = LANES / 2; half; half /= 2)
            for (int l = 0; l < half; l++)
                folded[l] = folded[l] > folded[l + half] ? folded[l] : folded[l + half];
        EXPECT(t, "largest", i, vlargest(vload(lanes)), folded[0]);
    }
    nn_shape(t, "vstore_indices");
    for (unsigned bits = 0; bits < 1u << LANES; bits++) {
        int32_t index[LANES + 16];
        int used = 0;
        const int stored = vstore_indices(index, bits, 1000);
        for (int l = 0; l < LANES; l++)
            if (bits >> l & 1)
                nn_expect_integer(t, "index", bits, index[used++], 1000 + l);
        nn_expect_integer(t, "stored", bits, stored, used);
    }
}

static NN_TARGET void squares(nn_test *t)
{
    REAL from[LANES][LANES], to[LANES][LANES], apart[LANES][LANES + 3];
    char rows[LANES][20];
    const char *starts[LANES];
    uint8_t columns[16 * LANES];
    vec r[LANES];
    for (int l = 0; l < LANES; l++) {
        for (int c = 0; c < LANES; c++)
            from[l][c] = (REAL)(l * LANES + c);
        r[l] = vload(from[l]);
        for (int c = 0; c < 20; c++)
            rows[l][c] = (char)(l * 20 + c);
        starts[l] = rows[l];
    }
    nn_shape(t, "vtranspose");
    vtranspose(r);
    for (int l = 0; l < LANES; l++) {
        vstore(to[l], r[l]);
        for (int c = 0; c < LANES; c++)
            EXPECT(t, "row and column", l * LANES + c, to[l][c], from[c][l]);
    }
    nn_shape(t, "vload_transposed");
    for (int l = 0; l < LANES; l++) {
        memset(apart[l], 0, sizeof apart[l]);
        memcpy(apart[l] + 3, from[l], sizeof from[l]);
        starts[l] = (const char *)apart[l];
    }
    vload_transposed(starts, 3, r);
    for (int l = 0; l < LANES; l++) {
        vstore(to[l], r[l]);
        for (int c = 0; c < LANES; c++)
            EXPECT(t, "row and column", l * LANES + c, to[l][c], from[c][l]);
        starts[l] = rows[l];
    }
    nn_shape(t, "vtranspose_bytes");
    vtranspose_bytes(starts, 3, columns);
    for (int c = 0; c < 16; c++)
        for (int l = 0; l < LANES; l++)
            nn_expect_integer(t, "column and row", c * LANES + l, columns[c * LANES + l],
                              (uint8_t)rows[l][3 + c]);
}

static void run(nn_test *t)
{
    lane_by_lane(t);
    within_limits(t);
    parts_of_vectors(t);
    over_lanes(t);
    squares(t);
}

static __attribute__((constructor)) void add(void)
{
    static nn_verbs verbs = {NN_TEXT(NN_ISA), NN_DOUBLE ? "f64" : "f32", run, NULL};
    nn_add_verbs(&verbs);
}
#endif
