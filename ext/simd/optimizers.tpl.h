/* The optimisers. A step changes the parameters and the optimiser's state by the gradient. The
 * formulas are those of torch.optim.
 *
 * An optimiser has a row in registries.h, a case in constants_of, which prepares a step, and a case
 * in direction, which does its arithmetic for each parameter. */

/* How weights decay: not at all, by a term added to the gradient, or by a factor (AdamW). */
enum decays { NOT, BY_GRADIENT, OF_PARAMETERS };

/* The constants of one step, each in all lanes of a vector. */
typedef struct update_constants {
    vec rate, decay, keep_first, add_first, keep_second, add_second, eps, correction, scale;
    enum decays decays;
} update_constants;

/* base^exponent by repeated squaring. It uses multiplications only, so the bits are the same
 * everywhere, which those of pow() are not. */
static double power(double base, int64_t exponent)
{
    double result = 1;
    for (; exponent > 0; exponent >>= 1) {
        if (exponent & 1)
            result *= base;
        base *= base;
    }
    return result;
}

/* eps is at least the smallest normal number. With eps = 0, a parameter whose gradient has always
 * been 0 would become 0 / 0. There are such parameters in every panel beyond output m, and in the
 * biases of a layer without biases. So small an eps changes no other sum, because the root of any
 * square that is not zero is far larger. */
static NN_TARGET update_constants constants_of(const nn_update *u)
{
    const double least = NN_DOUBLE ? 0x1p-1022 : 0x1p-126;
    double rate = u->rate, decay = 0, eps = 0, correction = 1;
    double keep_first = 0, add_first = 0, keep_second = 0, add_second = 0;
    switch ((nn_optimizer)u->kind) {
    case NN_sgd:
        keep_first = u->sgd.momentum;
        add_first = u->step == 0 ? 1 : 1 - u->sgd.dampening;
        decay = u->sgd.weight_decay;
        break;
    case NN_adagrad:
        rate /= 1 + (double)u->step * u->adagrad.lr_decay;
        eps = u->adagrad.eps;
        decay = u->adagrad.weight_decay;
        break;
    case NN_rmsprop:
        keep_first = u->rmsprop.momentum;
        keep_second = u->rmsprop.alpha;
        add_second = 1 - keep_second;
        eps = u->rmsprop.eps;
        decay = u->rmsprop.weight_decay;
        break;
    case NN_adam:
    case NN_adamw: /* It has the same settings in the same order. */
        keep_first = u->adam.beta1;
        keep_second = u->adam.beta2;
        add_first = 1 - keep_first;
        add_second = 1 - keep_second;
        rate /= 1 - power(keep_first, u->step + 1);
        correction = 1 / __builtin_sqrt(1 - power(keep_second, u->step + 1));
        eps = u->adam.eps;
        decay = u->adam.weight_decay;
        break;
    case NN_OPTIMIZER_COUNT:
        break;
    }
    enum decays decays = decay != 0 ? BY_GRADIENT : NOT;
    if (u->kind == NN_adamw) {
        decay = 1 - u->rate * decay;
        decays = OF_PARAMETERS;
    }
    return (update_constants){
        .rate = vneg(vset1((REAL)rate)),
        .decay = vset1((REAL)decay),
        .keep_first = vset1((REAL)keep_first),
        .add_first = vset1((REAL)add_first),
        .keep_second = vset1((REAL)keep_second),
        .add_second = vset1((REAL)add_second),
        .eps = vset1((REAL)(eps > least ? eps : least)),
        .correction = vset1((REAL)correction),
        .scale = vset1((REAL)u->scale),
        .decays = decays,
    };
}

/* Replace the gradient *d of a vector of parameters by the direction in which the optimiser moves
 * them. first_state and second_state are the optimiser's state of these parameters, NULL if it has
 * no such state; registries.h says how many states a kind has. Return 0 for a kind that does not
 * exist. */
NN_MATH int direction(const nn_update *u, const update_constants *c, vec *d, REAL *first_state,
                      REAL *second_state)
{
    vec mean, squares;
    switch ((nn_optimizer)u->kind) {
    case NN_sgd:
        if (first_state) {
            mean = vfma(c->keep_first, vload(first_state), vmul(c->add_first, *d));
            vstore(first_state, mean);
            *d = u->sgd.nesterov != 0 ? vfma(c->keep_first, mean, *d) : mean;
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
    case NN_adamw:
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
    if (c->decays == OF_PARAMETERS)
        p = vmul(p, c->decay);
    else if (c->decays == BY_GRADIENT)
        d = vfma(c->decay, p, d);
    if (direction(u, c, &d, first_state, second_state))
        vstore(parameters, vfma(c->rate, d, p));
}

/* One step of an optimiser. The parameters, their gradient and the states (or NULL) have n elements
 * each; n is a multiple of PANEL. */
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

/* One step for line `line` of every panel. The gradient of these lines is g (panels, PANEL), or
 * zero if g is NULL. */
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
