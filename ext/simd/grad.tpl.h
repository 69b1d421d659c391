/* The backward kernels: what training needs beside the forward ones.
 *
 * The gradient of a weight is one chain over the samples, dw[k][j] = fma(x[s][k], delta[s][j], dw):
 * the row kernel with samples in the place of inputs. Zeros are left out here too. */

/* d (n,) *= f'(z (n,)) */
static NN_TARGET void backward(int activation, double alpha, const void *z_, void *d_, ptrdiff_t n)
{
    const REAL *z = z_;
    REAL *d = d_, slope[8 * LANES];
    for (ptrdiff_t i = 0, now; i < n; i += now) {
        now = n - i < 8 * LANES ? n - i : 8 * LANES;
        derive(activation, alpha, z + i, slope, now);
        for (ptrdiff_t j = 0; j < now; j++)
            d[i + j] *= slope[j];
    }
}

/* Lines x (k, width), of which the `count` in `inputs` count; delta packed in panels of `samples`
 * lines  ->  gradient += in the layout of the packed weights, its bias line left alone.
 * +0.0 is added after each chunk. index has room for ROW_SAMPLES * (width + 16). */
static NN_TARGET void weight_gradient(const nn_layer *layer, const void *x_, ptrdiff_t width,
                                      const int32_t *inputs, ptrdiff_t count, const void *delta,
                                      ptrdiff_t samples, int32_t *index, void *gradient_)
{
    const REAL *x = x_;
    REAL *gradient = (REAL *)gradient_ + PANEL;
    const ptrdiff_t panels = (layer->m + PANEL - 1) / PANEL, stride = (1 + layer->k) * PANEL;
    const row_strides apart = {width, samples * PANEL, PANEL, stride, PANEL, stride};
    const ptrdiff_t room = width + 16;
    /* Where a delta is not finite, 0 * delta is NaN: only inputs that are zero alone are left out. */
    vec zero_times = vset1(0);
    for (ptrdiff_t i = 0; i < panels * samples * PANEL; i += LANES)
        zero_times = vfma(vset1(0), vload((const REAL *)delta + i), zero_times);
    const int finite = !vnonzero(zero_times);
    for (ptrdiff_t i = 0, rows; i < count; i += rows) {
        ptrdiff_t used[ROW_SAMPLES], all = 0;
        rows = count - i < ROW_SAMPLES ? 1 : ROW_SAMPLES;
        if (inputs[i + rows - 1] - inputs[i] != rows - 1)
            rows = 1;
        const REAL *from = x + inputs[i] * width;
        for (ptrdiff_t r = 0; r < rows; r++)
            all += used[r] = find_nonzero(from + r * width, width, 1, samples, index + r * room);
        REAL *to = gradient + inputs[i] * PANEL;
        if (rows > 1 && finite && 4 * all > 3 * rows * samples) {
            /* Few zeros: several lines share each load of delta. Their zeros come along. */
            const ptrdiff_t everything = find_nonzero(from, width, (int)rows, samples, index);
            row_panels((int)rows, panels, &apart, delta, from, index, everything, to, to, 1, 0);
            continue;
        }
        for (ptrdiff_t r = 0; r < rows; r++, to += PANEL)
            row_panels(1, panels, &apart, delta, from + r * width, index + r * room, used[r], to, to, 1,
                       0);
    }
}

/* The bias line of the gradient += the sum of delta's lines. */
static NN_TARGET void bias_gradient(const nn_layer *layer, const void *delta_, ptrdiff_t samples,
                                    void *gradient_)
{
    const REAL *delta = delta_;
    REAL *gradient = gradient_;
    for (ptrdiff_t j = 0; j < layer->m; j += PANEL, gradient += (1 + layer->k) * PANEL)
        for (ptrdiff_t s = 0; s < samples; s++, delta += PANEL)
            for (int l = 0; l < PANEL; l += LANES)
                vstore(gradient + l, vadd(vload(gradient + l), vload(delta + l)));
}

/* One step of an optimiser: parameters w, gradient g, state s and t, n elements each, a multiple of
 * a line. The formulas are those of torch.optim; u holds their constants for this step. */
static NN_TARGET void update(const nn_update *u, void *w_, const void *g_, void *s_, void *t_,
                             ptrdiff_t n)
{
    REAL *w = w_, *s = s_, *t = t_;
    const REAL *g = g_;
    const vec rate = vset1((REAL)u->rate), decay = vset1((REAL)u->weight_decay);
    const vec keep = vset1((REAL)u->keep), keep2 = vset1((REAL)u->keep2);
    /* Where gradient and state have always been 0, as beyond m and for a bias that is not there,
     * eps = 0 would make 0 / 0 of them. This is too little to change any other sum below: the root
     * of the smallest number there is, is far larger. */
    const double least = NN_DOUBLE ? 0x1p-1022 : 0x1p-126;
    const vec eps = vset1((REAL)(u->eps > least ? u->eps : least));
    const vec add = vset1((REAL)u->add), add2 = vset1((REAL)u->add2);
    const vec correction = vset1((REAL)u->correction), scale = vset1((REAL)u->scale);
    for (ptrdiff_t i = 0; i < n; i += LANES) {
        vec p = vload(w + i), d = vmul(vload(g + i), scale);
        if (u->kind == NN_adamw)
            p = vmul(p, decay);
        else if (u->weight_decay != 0)
            d = vfma(decay, p, d);
        switch (u->kind) {
        case NN_sgd:
            if (s) {
                vec momentum = vfma(keep, vload(s + i), vmul(add, d));
                vstore(s + i, momentum);
                d = u->nesterov ? vfma(keep2, momentum, d) : momentum;
            }
            break;
        case NN_adagrad: {
            vec squares = vfma(d, d, vload(s + i));
            vstore(s + i, squares);
            d = vdiv(d, vadd(vsqrt(squares), eps));
            break;
        }
        case NN_rmsprop: {
            vec squares = vfma(keep2, vload(s + i), vmul(add2, vmul(d, d)));
            vstore(s + i, squares);
            d = vdiv(d, vadd(vsqrt(squares), eps));
            if (t) {
                d = vfma(keep, vload(t + i), d);
                vstore(t + i, d);
            }
            break;
        }
        default: { /* adam, adamw; correction is 1 / sqrt(1 - beta2^step), rate has 1 - beta1^step */
            vec mean = vfma(keep, vload(s + i), vmul(add, d));
            vec squares = vfma(keep2, vload(t + i), vmul(add2, vmul(d, d)));
            vstore(s + i, mean);
            vstore(t + i, squares);
            d = vdiv(mean, vfma(vsqrt(squares), correction, eps));
        }
        }
        vstore(w + i, vfma(vneg(rate), d, p));
    }
}
