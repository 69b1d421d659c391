/* The backward kernels: what training needs beside the forward ones.
 *
 * An optimiser has one row in registries.h and one case in direction.
 *
 * The gradient of a weight is one chain over the samples, dw[k][j] = fma(x[s][k], delta[s][j], dw):
 * the row kernel with samples in the place of inputs. Zeros are left out here too. The step of the
 * optimiser follows at once where it can, so that the gradient never goes to memory. */

/* d (n,) *= f'(z (n,)) */
static NN_TARGET void backward(int activation, double alpha, double beta, const void *z_, void *d_,
                               ptrdiff_t n)
{
    const REAL *z = z_;
    REAL *d = d_, slope[8 * LANES];
    for (ptrdiff_t i = 0, now; i < n; i += now) {
        now = n - i < 8 * LANES ? n - i : 8 * LANES;
        derive(activation, alpha, beta, z + i, slope, now);
        for (ptrdiff_t j = 0; j < now; j++)
            d[i + j] *= slope[j];
    }
}

/* An optimiser's constants for one step, in vectors. */
typedef struct update_constants {
    vec rate, decay, keep_first, add_first, keep_second, add_second, eps, correction, scale;
} update_constants;

/* eps is at least the smallest normal number. With eps = 0 a parameter whose gradient has always been
 * 0 would become 0 / 0: those beyond m, and the biases of a layer without any. So small an eps
 * changes no other sum: the root of a square that is not zero is far larger. */
NN_MATH update_constants constants_of(const nn_update *u)
{
    const double least = NN_DOUBLE ? 0x1p-1022 : 0x1p-126;
    const double eps = u->eps > least ? u->eps : least;
    return (update_constants){
        vneg(vset1((REAL)u->rate)), vset1((REAL)u->weight_decay), vset1((REAL)u->keep_first),
        vset1((REAL)u->add_first), vset1((REAL)u->keep_second), vset1((REAL)u->add_second), vset1((REAL)eps),
        vset1((REAL)u->correction), vset1((REAL)u->scale)};
}

/* The direction in which an optimiser takes a vector of parameters with the gradient *d: it replaces
 * the gradient. What the optimiser remembers of these parameters is in first_state and second_state,
 * NULL where it has no such state; registries.h says how many a kind has. The formulas are those of
 * torch.optim. Return 0 for a kind that does not exist. */
NN_MATH int direction(const nn_update *u, const update_constants *c, vec *d, REAL *first_state,
                      REAL *second_state)
{
    vec mean, squares;
    switch ((nn_optimizer)u->kind) {
    case NN_sgd:
        if (first_state) {
            mean = vfma(c->keep_first, vload(first_state), vmul(c->add_first, *d));
            vstore(first_state, mean);
            *d = u->nesterov ? vfma(c->keep_second, mean, *d) : mean;
        }
        return 1;
    case NN_adagrad:
        squares = vfma(*d, *d, vload(first_state));
        vstore(first_state, squares);
        *d = vdiv(*d, vadd(vsqrt(squares), c->eps));
        return 1;
    case NN_rmsprop:
        squares = vfma(c->keep_second, vload(first_state), vmul(c->add_second, vmul(*d, *d)));
        vstore(first_state, squares);
        *d = vdiv(*d, vadd(vsqrt(squares), c->eps));
        if (second_state) {
            *d = vfma(c->keep_first, vload(second_state), *d);
            vstore(second_state, *d);
        }
        return 1;
    case NN_adam:
    case NN_adamw: /* correction is 1 / sqrt(1 - beta2^step); rate contains 1 - beta1^step */
        mean = vfma(c->keep_first, vload(first_state), vmul(c->add_first, *d));
        squares = vfma(c->keep_second, vload(second_state), vmul(c->add_second, vmul(*d, *d)));
        vstore(first_state, mean);
        vstore(second_state, squares);
        *d = vdiv(mean, vfma(vsqrt(squares), c->correction, c->eps));
        return 1;
    case NN_OPTIMIZER_COUNT:
        break;
    }
    return 0;
}

/* One step for a vector of parameters. A kind that does not exist changes nothing. */
NN_MATH void update_vector(const nn_update *u, const update_constants *c, vec gradient,
                           REAL *parameters, REAL *first_state, REAL *second_state)
{
    vec p = vload(parameters), d = vmul(gradient, c->scale);
    if (u->kind == NN_adamw)
        p = vmul(p, c->decay);
    else if (u->weight_decay != 0)
        d = vfma(c->decay, p, d);
    if (direction(u, c, &d, first_state, second_state))
        vstore(parameters, vfma(c->rate, d, p));
}

/* One step of an optimiser: parameters, their gradient and its states (or NULL), n elements each, a
 * multiple of a line. */
static NN_TARGET void update(const nn_update *u, void *parameters_, const void *gradient_,
                             void *first_state_, void *second_state_, ptrdiff_t n)
{
    REAL *parameters = parameters_, *first_state = first_state_, *second_state = second_state_;
    const REAL *gradient = gradient_;
    const update_constants c = constants_of(u);
    for (ptrdiff_t i = 0; i < n; i += LANES)
        update_vector(u, &c, vload(gradient + i), parameters + i,
                      first_state ? first_state + i : NULL,
                      second_state ? second_state + i : NULL);
}

/* The same for line `line` of every panel, whose gradient is g (panels, PANEL); NULL: zeros. */
NN_MATH void update_line(const nn_pending *pending, const update_constants *c, ptrdiff_t line,
                         ptrdiff_t panels, ptrdiff_t stride, const REAL *g)
{
    REAL *parameters = pending->weights;
    REAL *first_state = pending->first_state, *second_state = pending->second_state;
    ptrdiff_t at = line * PANEL;
    for (ptrdiff_t p = 0; p < panels; p++, at += stride)
        for (int l = 0; l < PANEL; l += LANES)
            update_vector(&pending->update, c, g ? vload(g + p * PANEL + l) : vset1(0),
                          parameters + at + l, first_state ? first_state + at + l : NULL,
                          second_state ? second_state + at + l : NULL);
}

/* The samples that are not zero in any of `rows` lines x, in order; returns how many. */
NN_MATH ptrdiff_t find_samples(const int rows, const REAL *x, ptrdiff_t width, ptrdiff_t samples,
                               int32_t *index)
{
    ptrdiff_t count = 0;
    for (ptrdiff_t s = 0; s < samples; s += LANES) {
        vec any = vload(x + s);
NN_UNROLL(8)
        for (int r = 1; r < rows; r++)
            any = vor(any, vload(x + r * width + s));
        const unsigned all = (unsigned)(((uint64_t)1 << existing(s, samples)) - 1);
        count += vstore_indices(index + count, vnonzero(any) & all, (int32_t)s);
    }
    return count;
}

/* Lists of the samples that count for `rows` lines x, `room` apart, each for as many lines as is
 * returned. Lines that share a list share each load of delta and one end of a loop, but the zeros
 * of either come along: for neighbours in an image that is a sixth more, for units of a hidden
 * layer half as much again. The limits were found by measuring. */
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

/* Lines x (k, width), of which the `count` in `inputs` count; delta packed in panels of `samples`
 * lines  ->  gradient += in the layout of the packed weights, its bias line left alone.
 * +0.0 is added after each chunk. index has room for ROW_SAMPLES * (width + 16).
 *
 * With pending, the chunk is the whole mini-batch: each line of the gradient is used for the step of
 * its weights as soon as it is known, while the sums of the next run; it is not kept. `gradient`
 * (min(k, ROW_SAMPLES) lines of every panel) holds anything before and after. */
static NN_TARGET void weight_gradient(const nn_layer *layer, const void *x_, ptrdiff_t width,
                                      const int32_t *inputs, ptrdiff_t count, const void *delta,
                                      ptrdiff_t samples, int32_t *index, void *gradient_,
                                      const nn_pending *pending)
{
    static const REAL zeros[PANEL] = {0};
    const REAL *x = x_;
    REAL *gradient = gradient_;
    const ptrdiff_t panels = panel_count(layer->m), stride = panel_stride(layer->k);
    const ptrdiff_t apart_lines = pending ? panels * PANEL : PANEL;
    const row_strides apart = {width, samples * PANEL, pending ? 0 : PANEL, pending ? 0 : stride,
                               apart_lines, pending ? PANEL : stride};
    const ptrdiff_t room = width + 16;
    update_constants c;
    if (pending)
        c = constants_of(&pending->update);
    /* Where a delta is not finite, 0 * delta is NaN: only inputs that are zero alone are left out. */
    vec zero_times = vset1(0);
    for (ptrdiff_t i = 0; i < panels * samples * PANEL; i += LANES)
        zero_times = vfma(vset1(0), vload((const REAL *)delta + i), zero_times);
    const int finite = !vnonzero(zero_times);
    ptrdiff_t next = 0; /* the first line whose step is still to be made */
    for (ptrdiff_t i = 0, rows; i < count; i += rows) {
        ptrdiff_t used[ROW_SAMPLES];
        for (rows = finite ? ROW_SAMPLES : 1; rows > 1; rows /= 2)
            if (i + rows <= count && inputs[i + rows - 1] - inputs[i] == rows - 1)
                break;
        const REAL *from = x + inputs[i] * width;
        const ptrdiff_t each = share_lists(rows, from, width, samples, index, room, used);
        REAL *to = pending ? gradient : gradient + (1 + inputs[i]) * PANEL;
        for (; pending && next < inputs[i]; next++)
            update_line(pending, &c, 1 + next, panels, stride, NULL);
        for (ptrdiff_t r = 0; r < rows; r += each, to += each * apart_lines) {
            row_panels((int)each, panels, &apart, delta, from + r * width, index + r * room,
                       used[r], pending ? zeros : to, to, 1, 0);
            for (ptrdiff_t line = 0; pending && line < each; line++)
                update_line(pending, &c, 1 + next++, panels, stride, to + line * apart_lines);
        }
    }
    for (; pending && next < layer->k; next++)
        update_line(pending, &c, 1 + next, panels, stride, NULL);
}

/* The bias line of the gradient += the sum of delta's lines. With pending, as above, the sum is used
 * for the step of the biases; gradient is not touched. */
static NN_TARGET void bias_gradient(const nn_layer *layer, const void *delta_, ptrdiff_t samples,
                                    void *gradient_, const nn_pending *pending)
{
    const REAL *delta = delta_;
    REAL *gradient = gradient_, sum[PANEL];
    const ptrdiff_t stride = panel_stride(layer->k);
    for (ptrdiff_t j = 0, at = 0; j < layer->m; j += PANEL, at += stride) {
        REAL *to = pending ? memset(sum, 0, sizeof sum) : gradient + at;
        for (ptrdiff_t s = 0; s < samples; s++, delta += PANEL)
            for (int l = 0; l < PANEL; l += LANES)
                vstore(to + l, vadd(vload(to + l), vload(delta + l)));
        if (pending) {
            const update_constants c = constants_of(&pending->update);
            const nn_pending here = {pending->update, (REAL *)pending->weights + at,
                                  pending->first_state ? (REAL *)pending->first_state + at : NULL,
                                  pending->second_state ? (REAL *)pending->second_state + at : NULL};
            update_line(&here, &c, 0, 1, stride, sum);
        }
    }
}
