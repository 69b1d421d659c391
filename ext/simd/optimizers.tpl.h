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
    vec unmoved; /* a subnormal mean cannot change a parameter of a larger magnitude */
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
    double rate = u->rate, decay = 0, correction = 1;
    double eps = 1; /* for an optimiser that divides by nothing */
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
    /* A step by a subnormal mean of floats is below rate / eps * 2^-126, where a larger eps counts
     * as 1. No parameter above 2^26 times that is changed by it. For doubles, less would do. */
    eps = eps > least ? eps : least;
    double unmoved = rate / (eps < 1 ? eps : 1) * 0x1p-100;
    /* set_aside needs factors up to 1, of which 0 would lose the sign of a mean; the root of a
     * subnormal mean of squares must not count beside eps; and infinity times 0 is NaN. */
    const int loses_sign = u->kind != NN_rmsprop && (REAL)keep_first == 0;
    if (keep_first > 1 || keep_second > 1 || loses_sign || eps < correction * 0x1p-36 ||
        __builtin_isinf((REAL)rate))
        unmoved = __builtin_inf(); /* none is set aside */
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
        .eps = vset1((REAL)eps),
        .correction = vset1((REAL)correction),
        .scale = vset1((REAL)u->scale),
        .unmoved = vset1((REAL)unmoved),
        .decays = decays,
    };
}

/* Where no sample reaches a unit any more, its gradient stays zero, and the means of it become
 * subnormal. Factors above 0.5 leave them so for ever, because rounding ends the decay: 0.9 times 4
 * units in the last place are 4 again. In networks with relu that soon happens to every sixth
 * weight, and a step of Adam takes Zen 4 twice as long then. That is due to divisions and roots.
 * Its multiply-adds are as fast with subnormal numbers, so momentum is left alone: looking for them
 * would take 1.5 times as long.
 *
 * Return, for the lanes of *state that are subnormal, whose gradient d is zero, and whose parameter
 * the step cannot change by a bit, what keep times the state is; and make these lanes zero in
 * *state. Means of squares are never negative. Adding 2^MANTISSA_BITS to a whole number rounds as
 * subnormal numbers are rounded. */
NN_MATH vec set_aside(const update_constants *c, vec keep, vec d, vec parameter, vec *state)
{
    const vec zero = vset1(0), unit = vset1((REAL)((int64_t)1 << MANTISSA_BITS));
    const vec least = vset1((REAL)(NN_DOUBLE ? 0x1p-1074 : 0x1p-149));
    const vec least_normal = vset1((REAL)(NN_DOUBLE ? 0x1p-1022 : 0x1p-126));
    vec aside = vselect(vless(vabs(*state), least_normal), *state, zero);
    aside = vselect(vless(vabs(d), least), aside, zero);
    aside = vselect(vless(c->unmoved, vabs(parameter)), aside, zero);
    aside = vselect(vless(zero, vabs(aside)), aside, zero); /* -0.0 is not subnormal */
    *state = vxor(*state, aside);
    const vec whole = vsub(vor(vabs(aside), unit), unit);
    const vec kept = vcopysign(vxor(vfma(keep, whole, unit), unit), aside);
    return vselect(vless(zero, vabs(aside)), kept, zero); /* infinity times 0 is NaN */
}

/* Whether there may be lanes to set aside. */
NN_MATH int has_faded(const REAL *state)
{
    return SLOW_SUBNORMALS && vsubnormal(vload(state));
}

/* One step of a mean of gradients or of their squares: return keep * state + added. Where that is
 * subnormal, it may return zero, which gives the same parameters. */
NN_MATH vec next_mean(const update_constants *c, int faded, vec keep, vec added, vec d,
                      vec parameter, REAL *state)
{
    vec mean = vload(state);
    if (__builtin_expect(faded, 0)) {
        const vec aside = set_aside(c, keep, d, parameter, &mean);
        mean = vfma(keep, mean, added);
        vstore(state, vor(mean, aside));
    } else {
        mean = vfma(keep, mean, added);
        vstore(state, mean);
    }
    return mean;
}

/* Replace the gradient *d of a vector of parameters p by the direction in which the optimiser moves
 * them. Element `at` of the states is the first of this vector; a state is NULL if the optimiser
 * has no such state, and registries.h says how many a kind has. Return 0 for a kind that does not
 * exist. */
NN_MATH int direction(const nn_update *u, const update_constants *c, vec p, vec *d,
                      REAL *first_state, REAL *second_state, ptrdiff_t at)
{
    vec mean, squares;
    int faded;
    switch ((nn_optimizer)u->kind) {
    case NN_sgd:
        if (first_state) {
            mean = vfma(c->keep_first, vload(first_state + at), vmul(c->add_first, *d));
            vstore(first_state + at, mean);
            *d = u->sgd.nesterov != 0 ? vfma(c->keep_first, mean, *d) : mean;
        }
        return 1;
    case NN_adagrad:
        squares = vfma(*d, *d, vload(first_state + at));
        vstore(first_state + at, squares);
        *d = vdiv(*d, vadd(vsqrt(squares), c->eps));
        return 1;
    case NN_rmsprop:
        faded = has_faded(first_state + at);
        squares = vmul(c->add_second, vmul(*d, *d));
        squares = next_mean(c, faded, c->keep_second, squares, *d, p, first_state + at);
        *d = vdiv(*d, vadd(vsqrt(squares), c->eps));
        if (second_state) {
            *d = vfma(c->keep_first, vload(second_state + at), *d);
            vstore(second_state + at, *d);
        }
        return 1;
    case NN_adam:
    case NN_adamw:
        faded = has_faded(first_state + at);
        mean = next_mean(c, faded, c->keep_first, vmul(c->add_first, *d), *d, p, first_state + at);
        /* The squares fade much later than the mean, which with beta1 <= 0.5 is zero by then. */
        faded = faded && has_faded(second_state + at);
        squares = vmul(c->add_second, vmul(*d, *d));
        squares = next_mean(c, faded, c->keep_second, squares, *d, p, second_state + at);
        *d = vdiv(mean, vfma(vsqrt(squares), c->correction, c->eps));
        return 1;
    case NN_OPTIMIZER_COUNT:
        break;
    }
    return 0;
}

/* One step for `lines` lines of every panel, from number `line` on. The gradient of the first is
 * g (panels, PANEL), the next are `apart` elements from each other; or it is zero, if g is NULL. A
 * kind that does not exist changes nothing.
 *
 * This goes from panel to panel, in more rows of memory than the CPU can foresee, so it asks for
 * the parameters and states that the step of a later input takes. Two inputs ahead gain less than
 * four, eight no more. SGD without states needs none of this: the forward pass has just read its
 * weights. */
NN_ONE_COPY void update_lines(const nn_pending *pending, const update_constants *constants,
                              ptrdiff_t line, ptrdiff_t lines, ptrdiff_t panels, ptrdiff_t stride,
                              const REAL *g, ptrdiff_t apart)
{
    static const REAL zeros[PANEL] = {0};
    const update_constants c = *constants; /* in registers, where there are enough */
    const nn_update u = pending->update;
    REAL *weights = pending->weights, *first_state = pending->first_state;
    REAL *second_state = pending->second_state;
    const ptrdiff_t later = 4 * PANEL, next_panel = g ? PANEL : 0;
    if (!g && pending->spares_zeros)
        return;
    g = g ? g : zeros;
    for (ptrdiff_t end = line + lines; line < end; line++, g += apart) {
        ptrdiff_t at = line * PANEL;
        const REAL *gradient = g;
        for (ptrdiff_t j = 0; j < panels; j++, at += stride, gradient += next_panel) {
            REAL *parameters = weights + at;
            if (first_state) {
                __builtin_prefetch(parameters + later, 0, 2);
                __builtin_prefetch(first_state + at + later, 0, 2);
            }
            if (second_state)
                __builtin_prefetch(second_state + at + later, 0, 2);
            NN_UNROLL(2)
            for (int l = 0; l < PANEL; l += LANES) {
                vec p = vload(parameters + l), d = vmul(vload(gradient + l), c.scale);
                if (c.decays == OF_PARAMETERS)
                    p = vmul(p, c.decay);
                else if (c.decays == BY_GRADIENT)
                    d = vfma(c.decay, p, d);
                if (direction(&u, &c, p, &d, first_state, second_state, at + l))
                    vstore(parameters + l, vfma(c.rate, d, p));
            }
        }
    }
}

/* One step of an optimiser. The parameters, their gradient and the states (or NULL) have n elements
 * each; n is a multiple of PANEL. */
static NN_TARGET void update(const nn_update *u, void *parameters, const void *gradient,
                             void *first_state, void *second_state, ptrdiff_t n)
{
    const nn_pending all = {*u, parameters, first_state, second_state, 0};
    const update_constants c = constants_of(u);
    update_lines(&all, &c, 0, 1, n / PANEL, PANEL, gradient, 0);
}
