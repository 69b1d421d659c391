/* The activations and their derivatives, each written once in the verbs of vec_*.h.
 *
 * Every exponential here is of an argument z <= 0: large arguments are turned round by symmetry, so
 * nothing overflows. Polynomials were fitted by tools/fit_polynomials.py, which says how. NaN goes
 * through everything. References: Cody and Waite (1980) for the range reduction; Higham (2002),
 * section 1.14.1, for why expm1 and log1p; Tang (1990) for the log1p series in s = f / (2 + f).
 */
#define NN_MATH NN_INLINE NN_TARGET

#if NN_DOUBLE
#define LOG2_E 0x1.71547652b82fep+0
#define LN2_HIGH 0x1.62e42fefa39efp-1
#define LN2_LOW 0x1.abc9e3b39803fp-56
#define EXP_LEAST -760.0               /* 760 exp(-760) is under half the smallest subnormal */
#define EXPM1_LEAST (REAL)-700.0      /* expm1 is -1 from -37 on; 2^n stays normal */
#define TAIL_END (REAL)38.7           /* x Phi(-x) rounds to zero from here on */
static const REAL EXPM1[] = { /* (exp(r) - 1 - r) / r^2, |r| <= ln2 / 2; error 2^-56.5 */
    0.50000000000000111, 0.1666666666666641, 0.041666666666529198, 0.0083333333334956183,
    0.0013888888943920424, 0.00019841269504772396, 2.4801492764897285e-5, 2.7557587339083027e-6,
    2.7630377918370901e-7, 2.4999965477620264e-8};
static const REAL LOG1P[] = { /* 2 (atanh(s) / s - 1) / z, z = s^2 <= 1/9; error 2^-58.6 */
    0.66666666666666674, 0.39999999999993979, 0.2857142857251001, 0.22222222125472058,
    0.18181823202856326, 0.15384451933801696, 0.13336805793483683, 0.11715950913351909,
    0.10972565372761628, 0.069942518479276947, 0.16467627542867883};
static const REAL TAIL[] = { /* (t + 4) Phi(-t) exp(t^2/2), y = (t - 4) / (t + 4); error 2^-52 */
    0.75528513041575152, -0.60789664197189075, 0.38713740074222308, -0.18652185795979848,
    0.060396574890530477, -0.0075401889624343195, -0.0034796923594609098, 0.0016308183983722081,
    0.00013334422829891949, -0.00023109448962373781, -1.9077101613650656e-6,
    3.5142687219864033e-5, 7.1434282223674316e-7, -5.9146217122230035e-6, -6.2318641640488946e-7,
    1.0120550145475029e-6, 2.5987365912232844e-7, -1.4558925291350598e-7, -7.1697296985964918e-8,
    9.1101522744125499e-9, 1.0675812238820146e-8, 1.5597152317140321e-9};
#else
#define LOG2_E 0x1.715476p+0f
#define LN2_HIGH 0x1.62e43p-1f
#define LN2_LOW -0x1.05c61p-29f
#define EXP_LEAST -115.0f
#define EXPM1_LEAST -80.0f
#define TAIL_END 14.5f
static const REAL EXPM1[] = { /* (exp(r) - 1 - r) / r^2, |r| <= ln2 / 2; error 2^-27.8 */
    0.49999994f, 0.166665196f, 0.0416683927f, 0.00836877991f, 0.00138144509f};
static const REAL LOG1P[] = { /* 2 (atanh(s) / s - 1) / z, z = s^2 <= 1/9; error 2^-30.4 */
    0.666666746f, 0.39998877f, 0.286168814f, 0.21427682f, 0.243008465f};
static const REAL TAIL[] = { /* (t + 4) Phi(-t) exp(t^2/2), y = (t - 4) / (t + 4); error 2^-23 */
    0.755285203f, -0.607896686f, 0.387133479f, -0.186520532f, 0.0604438931f, -0.0075348122f,
    -0.0036704489f, 0.00152939488f, 0.00038513969f};
#endif
#define COUNT(table) ((int)(sizeof(table) / sizeof(table)[0]))

/* Horner's rule; the loop is unrolled, count being a constant. */
NN_MATH vec polynomial(const REAL *c, int count, vec x)
{
    vec sum = vset1(c[count - 1]);
NN_UNROLL(32)
    for (int i = count - 2; i >= 0; i--)
        sum = vfma(sum, x, vset1(c[i]));
    return sum;
}

/* z = n ln2 + r with |r| <= ln2 / 2 */
NN_MATH vec reduced(vec z, vec *n)
{
    *n = vrint(vmul(z, vset1(LOG2_E)));
    return vfma(*n, vset1(-LN2_LOW), vfma(*n, vset1(-LN2_HIGH), z));
}

NN_MATH vec expm1_reduced(vec r) /* |r| <= ln2 / 2 */
{
    return vfma(vmul(r, r), polynomial(EXPM1, COUNT(EXPM1), r), r);
}

/* exp(z) = p * 2^n for z <= 0, apart, so that a factor can be put in before the one rounding. */
NN_MATH vec exp_parts(vec z, vec *n)
{
    return vadd(vset1(1), expm1_reduced(reduced(vmax(vset1(EXP_LEAST), z), n)));
}

NN_MATH vec exp_negative(vec z) /* z <= 0 */
{
    vec n, p = exp_parts(z, &n);
    return vscale(p, n);
}

NN_MATH vec expm1_negative(vec z) /* z <= 0 */
{
    vec n, p = expm1_reduced(reduced(vmax(vset1(EXPM1_LEAST), z), &n));
    vec power = vpow2(n);
    return vfma(power, p, vsub(power, vset1(1)));
}

/* log(1 + f) for sqrt(1/2) - 1 <= f <= 1: with s = f / (2 + f) it is 2 atanh(s) = f - s (f - R). */
NN_MATH vec log1p_small(vec f)
{
    vec s = vdiv(f, vadd(f, vset1(2)));
    vec z = vmul(s, s);
    vec rest = vmul(z, polynomial(LOG1P, COUNT(LOG1P), z));
    return vfma(vneg(s), vsub(f, rest), f);
}

NN_MATH vec log_of_sum(vec x) /* x >= 1, or NaN */
{
    vec exponent, mantissa = vsplit(x, &exponent);
    vec f = log1p_small(vsub(mantissa, vset1(1)));
    f = vfma(exponent, vset1(LN2_HIGH), vfma(exponent, vset1(LN2_LOW), f));
    return vselect(visnan(x), x, f);
}

/* Phi(-t) = ratio * exp(-t^2 / 2), 0 <= t <= TAIL_END, Phi the normal distribution's function:
 * returns ratio * p, exp being p * 2^n. t^2 is taken in two parts: its rounding error times t^2
 * would be the largest of all. */
NN_MATH vec normal_tail(vec t, vec *p, vec *n)
{
    vec weight = vdiv(vset1(1), vadd(t, vset1(4)));
    vec y = vfma(vset1(-8), weight, vset1(1));
    vec ratio = vmul(weight, polynomial(TAIL, COUNT(TAIL), y));
    vec square = vmul(t, t), low = vfma(t, t, vneg(square));
    vec r = reduced(vmul(square, vset1((REAL)-0.5)), n);
    *p = vadd(vset1(1), expm1_reduced(vfma(low, vset1((REAL)-0.5), r)));
    return vmul(ratio, *p);
}

NN_MATH vec keep_nan(vec x, vec y) { return vselect(visnan(x), x, y); }
NN_MATH mask positive(vec x) { return vless(vset1(0), x); }
NN_MATH mask negative(vec x) { return vless(x, vset1(0)); }

/* One expression an activation: f_NAME(x, alpha) and its derivative d_NAME(x, alpha). */

NN_MATH vec f_identity(vec x, vec alpha) { (void)alpha; return x; }
NN_MATH vec d_identity(vec x, vec alpha) { (void)alpha; return keep_nan(x, vset1(1)); }

NN_MATH vec f_step(vec x, vec alpha)
{
    (void)alpha;
    return keep_nan(x, vselect(positive(x), vset1(1), vset1(0)));
}
NN_MATH vec d_step(vec x, vec alpha) { (void)alpha; return keep_nan(x, vset1(0)); }

NN_MATH vec f_relu(vec x, vec alpha) { (void)alpha; return vmax(vset1(0), x); }
NN_MATH vec d_relu(vec x, vec alpha) { return f_step(x, alpha); }

NN_MATH vec f_leaky_relu(vec x, vec alpha) { return vselect(positive(x), x, vmul(alpha, x)); }
NN_MATH vec d_leaky_relu(vec x, vec alpha)
{
    return keep_nan(x, vselect(positive(x), vset1(1), alpha));
}

/* 1 / (1 + e^-x) = e^x / (1 + e^x): the one whose exponential is at most 1. */
NN_MATH vec f_sigmoid(vec x, vec alpha)
{
    (void)alpha;
    vec e = exp_negative(vneg(vabs(x)));
    return vdiv(vselect(negative(x), e, vset1(1)), vadd(vset1(1), e));
}
NN_MATH vec d_sigmoid(vec x, vec alpha)
{
    (void)alpha;
    vec e = exp_negative(vneg(vabs(x))), sum = vadd(vset1(1), e);
    return vdiv(e, vmul(sum, sum));
}

/* tanh |x| = -expm1(-2|x|) / (2 + expm1(-2|x|)) */
NN_MATH vec f_tanh(vec x, vec alpha)
{
    (void)alpha;
    vec e = expm1_negative(vmul(vset1(-2), vabs(x)));
    return vcopysign(vdiv(e, vadd(vset1(2), e)), x);
}
NN_MATH vec d_tanh(vec x, vec alpha) /* 4 e / (1 + e)^2, e = exp(-2|x|) */
{
    return vmul(vset1(4), d_sigmoid(vmul(vset1(2), x), alpha));
}

NN_MATH vec f_elu(vec x, vec alpha)
{
    (void)alpha;
    return vselect(positive(x), x, expm1_negative(vmin(vset1(0), x)));
}
NN_MATH vec d_elu(vec x, vec alpha)
{
    (void)alpha;
    return vselect(positive(x), vset1(1), exp_negative(vmin(vset1(0), x)));
}

/* x sigmoid(x); for x < 0 the factor x goes in before the scaling by 2^n, which rounds once. */
NN_MATH vec f_silu(vec x, vec alpha)
{
    (void)alpha;
    vec n, z = vmax(vset1(EXP_LEAST), vneg(vabs(x)));
    vec p = exp_parts(z, &n), sum = vadd(vset1(1), vscale(p, n));
    vec below = vscale(vdiv(vmul(z, p), sum), n);
    return vselect(negative(x), below, vdiv(x, sum));
}
NN_MATH vec d_silu(vec x, vec alpha) /* s (1 + x (1 - s)) = (1 + x e / (1 + e)) s, sides by sign */
{
    (void)alpha;
    vec n, z = vmax(vset1(EXP_LEAST), vneg(vabs(x)));
    vec p = exp_parts(z, &n), e = vscale(p, n), sum = vadd(vset1(1), e);
    vec above = vdiv(vfma(vneg(z), vdiv(e, sum), vset1(1)), sum);
    vec below = vscale(vdiv(vmul(p, vadd(vset1(1), vdiv(z, sum))), sum), n);
    return vselect(negative(x), below, above);
}

/* x Phi(x), exact form; for x < 0 the tail itself, for x > 0 what it leaves of x. */
NN_MATH vec f_gelu(vec x, vec alpha)
{
    (void)alpha;
    vec p, n, t = vmin(vset1(TAIL_END), vabs(x)), tail = vmul(t, normal_tail(t, &p, &n));
    return vselect(negative(x), vneg(vscale(tail, n)), vsub(x, vscale(tail, n)));
}
NN_MATH vec d_gelu(vec x, vec alpha) /* Phi(x) + x phi(x), phi = exp(-x^2/2) / sqrt(2 pi) */
{
    (void)alpha;
    vec p, n, t = vmin(vset1(TAIL_END), vabs(x)), tail = normal_tail(t, &p, &n);
    vec slope = vmul(vmul(t, p), vset1((REAL)0.39894228040143267794));
    vec left = vscale(vsub(tail, slope), n);
    return vselect(negative(x), left, vsub(vset1(1), left));
}

/* log(1 + e^x) = max(x, 0) + log1p(e^-|x|) */
NN_MATH vec f_softplus(vec x, vec alpha)
{
    (void)alpha;
    return vadd(vmax(vset1(0), x), log1p_small(exp_negative(vneg(vabs(x)))));
}
NN_MATH vec d_softplus(vec x, vec alpha) { return f_sigmoid(x, alpha); }

/* Applies one expression to n elements, the last few in a vector that is partly filled. */
#define NN_CASE(expression, name)                                                                 \
    case NN_##name:                                                                               \
        for (; i + LANES <= n; i += LANES)                                                        \
            vstore(y + i, expression##_##name(vload(x + i), a));                                  \
        if (i < n)                                                                                \
            vstore_first(y + i, (int)(n - i),                                                     \
                         expression##_##name(vload_first(x + i, (int)(n - i), vset1(0)), a));     \
        break;
#define NN_F(name, ...) NN_CASE(f, name)
#define NN_D(name, ...) NN_CASE(d, name)

/* x (n,) -> y (n,), y[i] = f(x[i]) */
static NN_TARGET void activate(int activation, double alpha, const void *x_, void *y_, ptrdiff_t n)
{
    const REAL *x = x_;
    REAL *y = y_;
    vec a = vset1((REAL)alpha);
    ptrdiff_t i = 0;
    switch (activation) { NN_ACTIVATIONS(NN_F) }
}

/* x (n,) -> y (n,), y[i] = f'(x[i]) */
static NN_TARGET void derive(int activation, double alpha, const void *x_, void *y_, ptrdiff_t n)
{
    const REAL *x = x_;
    REAL *y = y_;
    vec a = vset1((REAL)alpha);
    ptrdiff_t i = 0;
    switch (activation) { NN_ACTIVATIONS(NN_D) }
}
