/* Sums over the outputs of one sample, in the order that contract.h fixes, and softmax. */

/* x (m,) -> y (m,): exp(x - max) / sum, or x - max - log(sum). If the maximum is -infinity or
 * +infinity, x - max is NaN for that element, as IEEE 754 says. A NaN in any element makes the sum
 * NaN, and so every output. */
static NN_TARGET void softmax(int logarithm, const void *x_, void *y_, ptrdiff_t m)
{
    const REAL *x = x_;
    REAL *y = y_;
    const ptrdiff_t whole = m / LANES * LANES;
    const int rest = (int)(m - whole);
    const vec least = vset1((REAL)-__builtin_inf());
    /* The elements after the last whole vector stay in registers: parts of vectors are slow to
     * write, and slower to read back. */
    vec end = rest ? vload_first(x + whole, rest, least) : least, end_power = vset1(0);
    vec top = least, partial[WIDE];
    for (ptrdiff_t j = 0; j < whole; j += LANES)
        top = vmax(vload(x + j), top);
    const vec highest = vset1(vlargest(vmax(end, top)));
    if (rest) {
        /* The lanes after m are 0. As powers of -infinity they would underflow, which takes long.
         * If all x are -infinity, they are NaN, as everything is. */
        const vec z = vsub(end, highest);
        const mask none = vless(z, vset1(EXP_LEAST));
        end_power = vselect(none, vset1(0), exp_negative(vselect(none, vset1(0), z)));
    }
    NN_UNROLL(16)
    for (int v = 0; v < WIDE; v++)
        partial[v] = vset1(0);
    for (ptrdiff_t line = 0; line < m; line += PANEL)
        NN_UNROLL(16)
        for (int v = 0; v < WIDE; v++) {
            const ptrdiff_t j = line + v * LANES;
            if (j >= m)
                break;
            vec e = end_power;
            if (j < whole) {
                e = exp_negative(vsub(vload(x + j), highest));
                if (!logarithm)
                    vstore(y + j, e);
            }
            partial[v] = vadd(partial[v], e);
        }
    NN_UNROLL(4)
    for (int half = WIDE / 2; half > 0; half /= 2)
        NN_UNROLL(8)
        for (int v = 0; v < half; v++)
            partial[v] = vadd(partial[v], partial[v + half]);
    const vec sum = vset1(vsum(partial[0])), total = logarithm ? log_of_sum(sum) : sum;
    for (ptrdiff_t j = 0; j < whole; j += LANES) {
        vec a = vload((logarithm ? x : y) + j);
        vstore(y + j, logarithm ? vsub(vsub(a, highest), total) : vdiv(a, total));
    }
    if (rest)
        vstore_first(y + whole, rest,
                     logarithm ? vsub(vsub(end, highest), total) : vdiv(end_power, total));
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
