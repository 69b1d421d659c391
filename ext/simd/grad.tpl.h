/* The backward kernels, which training needs in addition to the forward kernels.
 *
 * The gradient of a weight is one chain over the samples: dw[k][j] = fma(x[s][k], delta[s][j],
 * dw[k][j]) for s = 0, 1, ... The row kernel computes it, with samples in the place of inputs, and
 * zeros are left out here too. If possible, the step of the optimiser follows at once, so that the
 * gradient is never written to memory. */

/* d (n,) *= f'(z (n,)) */
static NN_TARGET void backward(int activation, double alpha, double beta, const void *z_, void *d_,
                               ptrdiff_t n)
{
    const REAL *z = z_;
    REAL *d = d_, slope[8 * LANES];
    for (ptrdiff_t i = 0, now; i < n; i += now) {
        now = n - i < 8 * LANES ? n - i : 8 * LANES;
        derive(activation, alpha, beta, z + i, slope, now);
        NN_FOR_EACH(j, now, d[i + j] *= slope[j];);
    }
}

static const nn_update no_update = {.kind = NN_OPTIMIZER_COUNT};

/* `rows` lines x -> index: the samples that are not zero in at least one of these lines, in order.
 * Returns how many there are. */
NN_MATH ptrdiff_t find_samples(const int rows, const REAL *x, ptrdiff_t width, ptrdiff_t samples,
                               int32_t *index)
{
    ptrdiff_t count = 0;
    for (ptrdiff_t s = 0; s < samples; s += LANES) {
        vec any = vload(x + s);
        NN_UNROLL(8)
        for (int r = 1; r < rows; r++)
            any = vor(any, vload(x + r * width + s));
        const ptrdiff_t existing = samples - s < LANES ? samples - s : LANES;
        const unsigned all = (unsigned)(((uint64_t)1 << existing) - 1);
        count += vstore_indices(index + count, vnonzero(any) & all, (int32_t)s);
    }
    return count;
}

/* `rows` lines x -> lists of their samples that are not zero, `room` apart in index. Returns for
 * how many lines each list is. Lines that share a list share each load of delta and the end of one
 * loop, but a list also has the samples that are zero in only some of its lines: between
 * neighbouring pixels of an image a sixth more, between units of a hidden layer half as many again.
 * The limits were found by measuring. */
NN_MATH ptrdiff_t share_lists(ptrdiff_t rows, const REAL *x, ptrdiff_t width, ptrdiff_t samples,
                              int32_t *index, ptrdiff_t room, ptrdiff_t *used)
{
    if (rows > 1) {
        const ptrdiff_t alone = find_samples(1, x, width, samples, index) +
                                find_samples(1, x + width, width, samples, index);
        ptrdiff_t in_pairs = used[0] = find_samples(2, x, width, samples, index);
        if (3 * used[0] <= 2 * alone || 4 * used[0] > 3 * samples) {
            for (ptrdiff_t r = 2; r < rows; r += 2)
                in_pairs += used[r] = find_samples(2, x + r * width, width, samples,
                                                   index + r * room);
            if (rows < ROW_SAMPLES || 16 * in_pairs <= 7 * rows * samples)
                return 2;
            used[0] = find_samples(ROW_SAMPLES, x, width, samples, index);
            return rows;
        }
    }
    for (ptrdiff_t r = 0; r < rows; r++)
        used[r] = find_samples(1, x + r * width, width, samples, index + r * room);
    return 1;
}

/* Whether all numbers of so many lines of delta are finite: 0 times one that is not is NaN. */
NN_MATH int all_finite(const REAL *delta, ptrdiff_t lines)
{
    vec any = vset1(0);
    for (ptrdiff_t i = 0; i < lines * PANEL; i += LANES)
        any = vor(any, vmul(vset1(0), vload(delta + i)));
    return !vnonzero(any);
}

/* What the `count` lines in `inputs`, all of them from line `start` to end - 1, add to the gradient,
 * which has the layout of the packed weights. Lines that are not in `inputs` are zero in all
 * samples. +0.0 is added after the last sample. index has room for ROW_SAMPLES * (width + 16)
 * entries.
 *
 * With pending, the chunk is the whole mini-batch. Each line of the gradient is then used for the
 * step of its weights as soon as it is known, while the CPU already computes the next sums, and it
 * is not kept. `gradient` is then only working memory for min(end - start, ROW_SAMPLES) lines of
 * every panel. */
static NN_TARGET void weight_gradient(const nn_layer *layer, const nn_chunk *chunk,
                                      ptrdiff_t start, ptrdiff_t end, const int32_t *inputs,
                                      ptrdiff_t count, int32_t *index, void *gradient_,
                                      const nn_pending *pending)
{
    static const REAL zeros[PANEL] = {0};
    REAL *gradient = gradient_;
    const ptrdiff_t panels = panel_count(layer->m), stride = panel_stride(layer->k);
    const ptrdiff_t samples = chunk->samples, width = chunk->width, room = width + 16;
    const ptrdiff_t apart_lines = pending ? panels * PANEL : PANEL;
    const ptrdiff_t apart_panels = pending ? PANEL : stride;
    const row_strides apart = {width, samples * PANEL, pending ? 0 : apart_lines,
                               pending ? 0 : apart_panels, apart_lines, apart_panels};
    const update_constants c = constants_of(pending ? &pending->update : &no_update);
    /* An input that is zero, but stands in the list for the sake of another line, must not make
     * NaN: lines only share a list if all deltas are finite. */
    const int finite = all_finite(chunk->delta, panels * samples);
    ptrdiff_t next = start; /* the first line whose step is still to be made */
    for (ptrdiff_t i = 0, rows; i < count; i += rows) {
        for (rows = finite ? ROW_SAMPLES : 1; rows > 1; rows /= 2)
            if (i + rows <= count && inputs[i + rows - 1] - inputs[i] == rows - 1)
                break;
        REAL *sums = pending ? gradient : gradient + (1 + inputs[i]) * PANEL;
        if (pending)
            update_lines(pending, &c, 1 + next, inputs[i] - next, panels, stride, NULL, 0);
        const REAL *x = (const REAL *)chunk->x + inputs[i] * width;
        ptrdiff_t used[ROW_SAMPLES];
        const ptrdiff_t each = share_lists(rows, x, width, samples, index, room, used);
        for (ptrdiff_t r = 0; r < rows; r += each) {
            REAL *to = sums + r * apart_lines;
            row_panels((int)each, panels, &apart, chunk->delta, x + r * width, index + r * room,
                       used[r], pending ? zeros : to, to, 1, 0);
        }
        if (pending)
            update_lines(pending, &c, 1 + inputs[i], rows, panels, stride, sums, apart_lines);
        next = inputs[i] + rows;
    }
    if (pending)
        update_lines(pending, &c, 1 + next, end - next, panels, stride, NULL, 0);
}

/* The bias line of the gradient += the sum of delta's lines. With pending, the sum is used for the
 * step of the biases instead, and gradient is not used. */
static NN_TARGET void bias_gradient(const nn_layer *layer, const nn_chunk *chunk, void *gradient_,
                                    const nn_pending *pending)
{
    REAL *gradient = gradient_, line[PANEL];
    const ptrdiff_t panels = panel_count(layer->m), stride = panel_stride(layer->k);
    const update_constants c = constants_of(pending ? &pending->update : &no_update);
    for (ptrdiff_t j = 0, at = 0; j < panels; j++, at += stride) {
        REAL *to = pending ? memset(line, 0, sizeof line) : gradient + at;
        const REAL *delta = (const REAL *)chunk->delta + j * chunk->samples * PANEL;
        for (int l = 0; l < PANEL; l += LANES) {
            vec sum = vload(to + l);
            for (ptrdiff_t s = 0; s < chunk->samples; s++)
                sum = vadd(sum, vload(delta + s * PANEL + l));
            vstore(to + l, sum);
        }
        if (pending) {
            const nn_pending here = {
                pending->update, (REAL *)pending->weights + at,
                pending->first_state ? (REAL *)pending->first_state + at : NULL,
                pending->second_state ? (REAL *)pending->second_state + at : NULL, 0};
            update_lines(&here, &c, 0, 1, 1, stride, line, 0);
        }
    }
}
