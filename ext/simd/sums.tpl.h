/* Sums over the outputs of one sample, in the order that contract.h fixes, and softmax. */

/* How many lanes of a vector that begins with output j belong to outputs that exist. */
NN_MATH int existing(ptrdiff_t j, ptrdiff_t m) { return m - j < LANES ? (int)(m - j) : LANES; }

/* x (m,) -> y (m,): exp(x - max) / sum, or x - max - log(sum). If the maximum is -infinity or
 * +infinity, x - max is NaN for that element, as IEEE 754 says. A NaN in any element makes the sum
 * NaN, and so every output. */
static NN_TARGET void softmax(int logarithm, const void *x_, void *y_, ptrdiff_t m)
{
    const REAL *x = x_;
    REAL *y = y_;
    const vec least = vset1((REAL)-__builtin_inf());
    vec top = least, partial[WIDE];
    for (ptrdiff_t j = 0; j < m; j += LANES)
        top = vmax(vload_first(x + j, existing(j, m), least), top);
    const vec highest = vset1(vlargest(top));
    NN_UNROLL(16)
    for (int v = 0; v < WIDE; v++)
        partial[v] = vset1(0);
    /* Lanes beyond m are exp(-inf - highest) = 0, or NaN if all x are -inf and everything is
     * NaN. */
    for (ptrdiff_t line = 0; line < m; line += PANEL)
        NN_UNROLL(16)
        for (int v = 0; v < WIDE; v++) {
            const ptrdiff_t j = line + v * LANES;
            if (j >= m)
                break;
            const int n = existing(j, m);
            vec e = exp_negative(vsub(vload_first(x + j, n, least), highest));
            if (!logarithm)
                vstore_first(y + j, n, e);
            partial[v] = vadd(partial[v], e);
        }
    NN_UNROLL(4)
    for (int half = WIDE / 2; half > 0; half /= 2)
        NN_UNROLL(8)
        for (int v = 0; v < half; v++)
            partial[v] = vadd(partial[v], partial[v + half]);
    const vec sum = vset1(vsum(partial[0])), total = logarithm ? log_of_sum(sum) : sum;
    for (ptrdiff_t j = 0; j < m; j += LANES) {
        const int n = existing(j, m);
        vec a = vload_first((logarithm ? x : y) + j, n, least);
        vstore_first(y + j, n, logarithm ? vsub(vsub(a, highest), total) : vdiv(a, total));
    }
}

/* m lines x, in which each lane is a sample -> for each sample the greatest of its elements, and
 * y = exp(x - greatest), unless y is NULL. Returns the sums of these exponentials. y may be x. */
NN_MATH vec exponentials(const REAL *x, REAL *y, ptrdiff_t m, ptrdiff_t width, vec *greatest)
{
    vec partial[PANEL], highest = vset1((REAL)-__builtin_inf());
    for (ptrdiff_t j = 0; j < m; j++)
        highest = vmax(vload(x + j * width), highest);
    for (int r = 0; r < PANEL; r++)
        partial[r] = vset1(0);
    for (ptrdiff_t j = 0; j < m; j++) {
        vec e = exp_negative(vsub(vload(x + j * width), highest));
        if (y)
            vstore(y + j * width, e);
        partial[j % PANEL] = vadd(partial[j % PANEL], e);
    }
    for (int half = PANEL / 2; half > 0; half /= 2)
        for (int r = 0; r < half; r++)
            partial[r] = vadd(partial[r], partial[r + half]);
    *greatest = highest;
    return partial[0];
}

/* Softmax or its logarithm over the m lines of a tile, in place. */
static NN_TARGET void tile_softmax(int logarithm, void *tile_, ptrdiff_t m, int vectors)
{
    const ptrdiff_t width = (ptrdiff_t)vectors * LANES;
    for (int v = 0; v < vectors; v++) {
        REAL *tile = (REAL *)tile_ + v * LANES;
        vec highest, total = exponentials(tile, logarithm ? NULL : tile, m, width, &highest);
        total = logarithm ? log_of_sum(total) : total;
        for (ptrdiff_t j = 0; j < m; j++) {
            vec a = vload(tile + j * width);
            a = logarithm ? vsub(vsub(a, highest), total) : vdiv(a, total);
            vstore(tile + j * width, a);
        }
    }
}
