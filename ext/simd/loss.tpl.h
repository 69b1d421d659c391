/* The losses: the weighted loss of each sample, in double, and its derivative by each output. The
 * caller adds up the losses sample by sample, so that the order of this sum is fixed.
 *
 * A loss has one row in registries.h and one case in element_loss. If it needs functions of all
 * outputs first, such as their softmax, `prepare` computes them.
 *
 * A NaN in an output makes its derivative NaN. */

/* This stands at the beginning of a loop's body: what is in memory is then read again in each round.
 * If the compiler knows that a condition does not change, it writes the whole loop twice, for true
 * and for false; four conditions make sixteen loops. */
#define NN_READ_AGAIN __asm__ volatile("" ::: "memory")

static double weight_of(const nn_targets *t, ptrdiff_t i)
{
    if (!t->weights)
        return 1;
    return (double)((const REAL *)t->weights)[t->order ? (ptrdiff_t)t->order[i] : i];
}

static double total_weight(const nn_targets *t, ptrdiff_t first, ptrdiff_t samples)
{
    double total = 0;
    for (ptrdiff_t i = first; i < first + samples; i++)
        total += weight_of(t, i);
    return total;
}

/* Labels and shares of the total weight of `samples` samples, from `first` on. */
static void gather_labels(const nn_targets *t, ptrdiff_t first, int samples, double total,
                          double *share, REAL *label)
{
    for (int s = 0; s < samples; s++) {
        NN_READ_AGAIN;
        share[s] = weight_of(t, first + s) / total;
        label[s] = (REAL)t->labels[t->order ? (ptrdiff_t)t->order[first + s] : first + s];
    }
}

/* Cross-entropy with labels, lanes over samples: one pass of exponentials gives the loss
 * -log softmax(z)[label] and d = (softmax(z) - onehot(label)) * share. */
static NN_TARGET ptrdiff_t label_loss(const nn_targets *t, ptrdiff_t first, int samples,
                                      int vectors, ptrdiff_t m, double total, const REAL *z,
                                      REAL *d, double *losses)
{
    const ptrdiff_t width = (ptrdiff_t)vectors * LANES;
    ptrdiff_t right = 0;
    for (int v = 0; v < vectors; v++, z += LANES, d += LANES) {
        const int now = samples - v * LANES < LANES ? samples - v * LANES : LANES;
        REAL label[LANES] = {0}, factor[LANES] = {0}, high[LANES], log_sum[LANES], answer[LANES];
        double share[LANES] = {0};
        gather_labels(t, first + v * LANES, now, total, share, label);
        for (int s = 0; s < LANES; s++)
            factor[s] = (REAL)share[s];
        vec best = vset1(0), top = vload(z), highest;
        for (ptrdiff_t j = 1; j < m; j++) {
            const vec here = vload(z + j * width);
            const mask larger = vless(top, here);
            top = vselect(larger, here, top);
            best = vselect(larger, vset1((REAL)j), best);
        }
        const vec sum = exponentials(z, d, m, width, &highest);
        const vec labels = vload(label), factors = vload(factor), one = vset1(1);
        for (ptrdiff_t j = 0; j < m; j++) {
            /* 1 if label = j, else 0; float labels are exact, because m is less than 2^23 */
            const vec target = vsub(one, vmin(one, vabs(vsub(labels, vset1((REAL)j)))));
            const vec p = vdiv(vload(d + j * width), sum);
            vstore(d + j * width, vmul(vsub(p, target), factors));
        }
        vstore(high, highest);
        vstore(log_sum, log_of_sum(sum));
        vstore(answer, best);
        for (int s = 0; s < now; s++) {
            const REAL log_p = (z[(ptrdiff_t)label[s] * width + s] - high[s]) - log_sum[s];
            losses[v * LANES + s] = share[s] * -(double)log_p;
            right += answer[s] == label[s];
        }
    }
    return right;
}

/* Compute the functions of all outputs that a loss needs: for cross_entropy, d = softmax(z) and
 * more = log softmax(z); for binary_cross_entropy, d = sigmoid(z) and more = log(1 + exp(-|z|));
 * for poisson, d = exp(z) and more = exp(z) - max(z, 0), so that the formulas of
 * binary_cross_entropy are right for it, too. */
static NN_TARGET void prepare(int kind, ptrdiff_t m, int vectors, const REAL *z, REAL *d,
                              REAL *more)
{
    const ptrdiff_t n = m * vectors * LANES;
    if (kind == NN_cross_entropy) {
        memcpy(d, z, (size_t)n * sizeof(REAL));
        memcpy(more, z, (size_t)n * sizeof(REAL));
        tile_softmax(0, d, m, vectors);
        tile_softmax(1, more, m, vectors);
    } else if (kind == NN_binary_cross_entropy) {
        for (ptrdiff_t i = 0; i < n; i++)
            more[i] = z[i] > 0 ? -z[i] : z[i];
        activate(NN_softplus, 0, 0, more, more, n);
        activate(NN_sigmoid, 0, 0, z, d, n);
    } else if (kind == NN_poisson) {
        for (ptrdiff_t i = 0; i < n; i += LANES) {
            const vec x = vload(z + i), below_one = exp_negative(vneg(vabs(x)));
            const vec y = vselect(vless(vset1(0), x), vdiv(vset1(1), below_one), below_one);
            vstore(d + i, keep_nan(x, y));
            vstore(more + i, keep_nan(x, vsub(y, vmax(vset1(0), x))));
        }
    }
}

/* Return the loss of one output z of one sample, and in *d its derivative times factor. `more` and
 * *d hold what `prepare` has computed for this output. */
NN_MATH double element_loss(const int kind, REAL z, REAL target, REAL more, REAL factor, REAL *d)
{
    const double difference = (double)z - (double)target;
    const double size = difference > 0 ? difference : -difference;
    const REAL sign = (REAL)((difference > 0) - (difference < 0));
    switch ((nn_loss)kind) {
    case NN_cross_entropy:
        *d = (*d - target) * factor;
        return target != 0 ? -((double)target * (double)more) : 0;
    case NN_binary_cross_entropy:
    case NN_poisson:
        *d = (*d - target) * factor;
        return (double)(z > 0 ? z : 0) - (double)z * (double)target + (double)more;
    case NN_mse:
        *d = 2 * (z - target) * factor;
        return difference * difference;
    case NN_mae:
        *d = difference != difference ? (REAL)difference : factor * sign;
        return size;
    case NN_huber:
        if (size > 1) {
            *d = factor * sign;
            return size - 0.5;
        }
        *d = (z - target) * factor;
        return 0.5 * difference * difference;
    case NN_LOSS_COUNT:
        break;
    }
    *d = 0;
    return 0;
}

/* The place of the greatest of m numbers, which are `width` apart: of the first one if several. */
static __attribute__((noinline)) ptrdiff_t place_of_greatest(const REAL *x, ptrdiff_t width,
                                                             ptrdiff_t m)
{
    ptrdiff_t best = 0;
    for (ptrdiff_t j = 1; j < m; j++)
        if (x[j * width] > x[best * width])
            best = j;
    return best;
}

enum { MADE = 64 }; /* targets of one sample, at a time */

/* `n` of the m targets of a sample, from `start` on -> made: labels as zeros and a one, smoothed. */
static __attribute__((noinline)) const REAL *make_targets(const nn_targets *t, const REAL *wanted,
                                                          ptrdiff_t label, ptrdiff_t start,
                                                          ptrdiff_t n, ptrdiff_t m, REAL *made)
{
    for (ptrdiff_t i = 0; i < n; i++) {
        NN_READ_AGAIN;
        REAL target = wanted ? wanted[start + i] : (REAL)(start + i == label);
        if (t->smoothing != 0)
            target = (REAL)((1 - t->smoothing) * (double)target + t->smoothing / (double)m);
        made[i] = target;
    }
    return made;
}

#define NN_LOSS_CASE(name, ...)                                                                   \
    case NN_##name:                                                                               \
        if (NN_##name == NN_poisson) /* it takes the code of binary_cross_entropy */              \
            break;                                                                                \
        for (; j < end; j++, targets++) {                                                         \
            __asm__ volatile(""); /* in vectors it would be more code, and slower */              \
            each += element_loss(NN_##name, z[j * width], *targets, more[j * width], factor,      \
                                 &d[j * width]);                                                  \
            if (NN_##name == NN_binary_cross_entropy)                                             \
                agree &= (z[j * width] > 0) == (*targets > (REAL)0.5);                            \
        }                                                                                         \
        break;

/* Outputs z (m, width) of samples first .. first + samples - 1 of the targets -> the loss of each
 * sample, weighted by its share of `total`, and d (m, width), the derivative of the sum of these
 * losses. For the cross-entropies, z are the logits. more: room for (m, width). Returns how many
 * samples are classified right. */
static NN_TARGET ptrdiff_t loss(const nn_targets *t, ptrdiff_t first, int samples, int vectors,
                                ptrdiff_t m, double total, const void *z_, void *d_, void *more_,
                                double *losses)
{
    const ptrdiff_t width = (ptrdiff_t)vectors * LANES;
    const REAL *z = z_;
    REAL *d = d_, *more = more_, made[MADE];
    ptrdiff_t right = 0;
    if (t->kind == NN_cross_entropy && t->labels && t->smoothing == 0 && m < 1 << 23)
        return label_loss(t, first, samples, vectors, m, total, z, d, losses);
    prepare(t->kind, m, vectors, z, d, more);
    const nn_loss kind = t->kind == NN_poisson ? NN_binary_cross_entropy : (nn_loss)t->kind;
    for (int s = 0; s < samples; s++, z++, d++, more++) {
        NN_READ_AGAIN;
        const ptrdiff_t row = t->order ? (ptrdiff_t)t->order[first + s] : first + s;
        const ptrdiff_t label = t->labels ? t->labels[row] : -1;
        const REAL *wanted = t->labels ? NULL : (const REAL *)t->rows + row * m;
        const double share =
            weight_of(t, first + s) / total / (double)(kind == NN_cross_entropy ? 1 : m);
        const REAL factor = (REAL)share;
        double each = 0;
        int agree = kind == NN_binary_cross_entropy;
        for (ptrdiff_t j = 0; j < m;) {
            const ptrdiff_t end = m - j < MADE ? m : j + MADE;
            const REAL *targets = wanted && t->smoothing == 0
                                      ? wanted + j
                                      : make_targets(t, wanted, label, j, end - j, m, made);
            switch (kind) {
                NN_LOSSES(NN_LOSS_CASE)
            default:
                each = __builtin_nan(""); /* there is no such loss: no step follows */
            }
            j = end;
        }
        losses[s] = share * each;
        if (kind == NN_cross_entropy)
            agree = place_of_greatest(z, width, m) ==
                    (wanted ? place_of_greatest(wanted, 1, m) : label);
        right += agree;
    }
    return right;
}
