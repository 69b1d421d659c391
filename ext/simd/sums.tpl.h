/* Sums over the outputs of one sample, in the order that contract.h fixes, and softmax on them. */

/* Partial sums (PANEL,) -> their sum; destroys them. */
NN_MATH REAL fold(REAL *partial)
{
    for (int half = PANEL / 2; half > 0; half /= 2)
        for (int r = 0; r < half; r++)
            partial[r] += partial[r + half];
    return partial[0];
}

/* A line of PANEL elements from x, of which only `valid` exist: the rest is -infinity. */
NN_MATH const REAL *whole_line(const REAL *x, ptrdiff_t valid, REAL *line)
{
    if (valid >= PANEL)
        return x;
    for (int r = 0; r < PANEL; r++)
        line[r] = r < valid ? x[r] : (REAL)-__builtin_inf();
    return line;
}

/* x (m,) -> y (m,): exp(x - max) / sum, or x - max - log(sum). A maximum of -infinity or +infinity
 * makes NaN of inf - inf, as IEEE 754 has it; a NaN anywhere reaches every output by the sum. */
static NN_TARGET void softmax(int logarithm, const void *x_, void *y_, ptrdiff_t m)
{
    const REAL *x = x_;
    REAL *y = y_, line[PANEL], partial[PANEL];
    vec top[PANEL / LANES], sum[PANEL / LANES];
    for (int v = 0; v < PANEL / LANES; v++) {
        top[v] = vset1((REAL)-__builtin_inf());
        sum[v] = vset1(0);
    }
    for (ptrdiff_t j = 0; j < m; j += PANEL) {
        const REAL *from = whole_line(x + j, m - j, line);
        for (int v = 0; v < PANEL / LANES; v++)
            top[v] = vmax(vload(from + v * LANES), top[v]);
    }
    for (int v = 0; v < PANEL / LANES; v++)
        vstore(partial + v * LANES, top[v]);
    REAL largest = partial[0];
    for (int r = 1; r < PANEL; r++)
        largest = partial[r] > largest ? partial[r] : largest;
    vec highest = vset1(largest);
    for (ptrdiff_t j = 0; j < m; j += PANEL) {
        const REAL *from = whole_line(x + j, m - j, line);
        REAL *to = logarithm || m - j < PANEL ? line : y + j;
        for (int v = 0; v < PANEL / LANES; v++) {
            vec e = exp_negative(vsub(vload(from + v * LANES), highest));
            vstore(to + v * LANES, e);
            sum[v] = vadd(sum[v], e);
        }
        if (!logarithm && m - j < PANEL)
            memcpy(y + j, line, (size_t)(m - j) * sizeof(REAL));
    }
    for (int v = 0; v < PANEL / LANES; v++)
        vstore(partial + v * LANES, sum[v]);
    vec total = vset1(fold(partial));
    if (logarithm)
        total = log_of_sum(total);
    for (ptrdiff_t j = 0; j < m; j += PANEL) {
        const REAL *from = whole_line((logarithm ? x : y) + j, m - j, line);
        REAL *to = m - j < PANEL ? line : y + j;
        for (int v = 0; v < PANEL / LANES; v++) {
            vec a = vload(from + v * LANES);
            vstore(to + v * LANES, logarithm ? vsub(vsub(a, highest), total) : vdiv(a, total));
        }
        if (m - j < PANEL)
            memcpy(y + j, line, (size_t)(m - j) * sizeof(REAL));
    }
}

/* The same over the m lines of a tile, each lane a sample; in place. */
static NN_TARGET void tile_softmax(int logarithm, void *tile_, ptrdiff_t m, int vectors)
{
    const ptrdiff_t width = (ptrdiff_t)vectors * LANES;
    for (int v = 0; v < vectors; v++) {
        REAL *tile = (REAL *)tile_ + v * LANES;
        vec partial[PANEL], highest = vset1((REAL)-__builtin_inf());
        for (ptrdiff_t j = 0; j < m; j++)
            highest = vmax(vload(tile + j * width), highest);
        for (int r = 0; r < PANEL; r++)
            partial[r] = vset1(0);
        for (ptrdiff_t j = 0; j < m; j++) {
            vec e = exp_negative(vsub(vload(tile + j * width), highest));
            if (!logarithm)
                vstore(tile + j * width, e);
            partial[j % PANEL] = vadd(partial[j % PANEL], e);
        }
        for (int half = PANEL / 2; half > 0; half /= 2)
            for (int r = 0; r < half; r++)
                partial[r] = vadd(partial[r], partial[r + half]);
        vec total = logarithm ? log_of_sum(partial[0]) : partial[0];
        for (ptrdiff_t j = 0; j < m; j++) {
            vec a = vload(tile + j * width);
            a = logarithm ? vsub(vsub(a, highest), total) : vdiv(a, total);
            vstore(tile + j * width, a);
        }
    }
}
