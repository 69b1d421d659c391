/* The activations and their derivatives, each written once in the verbs of vec_*.h. The page that
 * shows a network in a browser takes the same steps in JavaScript: nncore/page/activations.js.
 *
 * Every exponential here has an argument z <= 0: symmetry takes care of the others, so that nothing
 * overflows. The polynomials were fitted by tools/fit_polynomials.py, which explains how. A NaN as
 * argument gives NaN everywhere. References: Cody and Waite (1980) for the range reduction; Higham
 * (2002), section 1.14.1, for the reason to use expm1 and log1p; Tang (1990) for the series of
 * log1p in s = f / (2 + f).
 */
#define NN_MATH NN_INLINE NN_TARGET

#if NN_DOUBLE
#define LOG2_E 0x1.71547652b82fep+0
#define LN2_HIGH 0x1.62e42fefa39efp-1
#define LN2_LOW 0x1.abc9e3b39803fp-56
#define EXP_LEAST -760.0         /* 760 exp(-760) is less than half of the smallest subnormal */
#define EXPM1_LEAST (REAL)-700.0 /* expm1 is -1 below -37; above -700, 2^n is a normal number */
#define TAIL_END (REAL)38.7      /* x Phi(-x) rounds to zero for larger x */
/* GELU_LINEAR + GELU_LINEAR_LOW is 2 sqrt(2 / pi); GELU_CUBIC + GELU_CUBIC_LOW is 0.044715 of
 * that. */
#define GELU_LINEAR 0x1.9884533d43651p+0
#define GELU_LINEAR_LOW -0x1.cbc0d30ebfd15p-54
#define GELU_CUBIC 0x1.2444f2a4d8b4bp-4
#define GELU_CUBIC_LOW -0x1.6c843a29d1c7p-61
/* x exp(-x (GELU_LINEAR + GELU_CUBIC x^2)) rounds to zero for larger x. */
#define GELU_TANH_END 21.7
/* f_selu explains these. */
#define SELU_ABOVE 0x1.0cfabd6a91132p+0
#define SELU_ABOVE_LOW 0x1.6fc7d272f2695p-55
#define SELU_BELOW 0x1.c212cc640f031p+0
#define SELU_BELOW_LOW 0x1.05161b045a1fep-56
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
#define GELU_LINEAR 0x1.988454p+0f
#define GELU_LINEAR_LOW -0x1.857936p-25f
#define GELU_CUBIC 0x1.2444f2p-4f
#define GELU_CUBIC_LOW 0x1.49b16ap-29f
#define GELU_TANH_END 11.1f
#define SELU_ABOVE 0x1.0cfabcp+0f
#define SELU_ABOVE_LOW 0x1.6a9114p-24f
#define SELU_BELOW 0x1.c212ccp+0f
#define SELU_BELOW_LOW 0x1.903c0cp-26f
static const REAL EXPM1[] = { /* (exp(r) - 1 - r) / r^2, |r| <= ln2 / 2; error 2^-27.8 */
    0.49999994f, 0.166665196f, 0.0416683927f, 0.00836877991f, 0.00138144509f};
static const REAL LOG1P[] = { /* 2 (atanh(s) / s - 1) / z, z = s^2 <= 1/9; error 2^-30.4 */
    0.666666746f, 0.39998877f, 0.286168814f, 0.21427682f, 0.243008465f};
static const REAL TAIL[] = { /* (t + 4) Phi(-t) exp(t^2/2), y = (t - 4) / (t + 4); error 2^-23 */
    0.755285203f, -0.607896686f, 0.387133479f, -0.186520532f, 0.0604438931f, -0.0075348122f,
    -0.0036704489f, 0.00152939488f, 0.00038513969f};
#endif
#define COUNT(table) ((int)(sizeof(table) / sizeof(table)[0]))

/* Horner's rule. count is a constant, so the loop is unrolled. */
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

/* p and n with exp(z) = p * 2^n, for z <= 0. They are separate, so that p can be multiplied by a
 * factor before the only rounding to a subnormal. */
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

/* log(1 + f) for sqrt(1/2) - 1 <= f <= 1. With s = f / (2 + f) and z = s^2, it is
 * 2 atanh(s) = f - s (f - R), where R = z * LOG1P(z). */
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

/* Phi(-t) = ratio * exp(-t^2 / 2) for 0 <= t <= TAIL_END, where Phi is the distribution function of
 * the normal distribution and exp(-t^2 / 2) = p * 2^n. Returns ratio * p. t^2 is the sum of two
 * numbers, because its rounding error, which exp multiplies by t^2, would be the largest error. */
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

/* For each activation an expression F(name) and its derivative D(name). They are functions of the
 * vector x and of the vectors alpha and beta, which hold a parameter of the activation in each
 * lane. */
#define NN_PARAMETERS __attribute__((unused)) vec alpha, __attribute__((unused)) vec beta
#define F(name) NN_MATH vec f_##name(vec x, NN_PARAMETERS)
#define D(name) NN_MATH vec d_##name(vec x, NN_PARAMETERS)

F(identity) { return x; }
D(identity) { return keep_nan(x, vset1(1)); }

F(step) { return keep_nan(x, vselect(positive(x), vset1(1), vset1(0))); }
D(step) { return keep_nan(x, vset1(0)); }

NN_MATH vec relu_of(vec x) { return vmax(vset1(0), x); }
F(relu) { return relu_of(x); }
D(relu) { return f_step(x, alpha, beta); }

F(leaky_relu) { return vselect(positive(x), x, vmul(alpha, x)); }
D(leaky_relu) { return keep_nan(x, vselect(positive(x), vset1(1), alpha)); }

/* x, but at least `least` and at most `most`. If `least` is larger than `most`, the result is
 * `most`. */
NN_MATH vec between(vec least, vec x, vec most) { return vmin(most, vmax(least, x)); }
/* `inside` if both conditions hold, else 0; NaN if x is NaN. */
NN_MATH vec only_where(mask above, mask below, vec inside, vec x)
{
    return keep_nan(x, vselect(above, vselect(below, inside, vset1(0)), vset1(0)));
}

F(clip) { return between(alpha, x, beta); }
D(clip) { return only_where(vless(alpha, x), vless(x, beta), vset1(1), x); }

F(relu6) { return between(vset1(0), x, vset1(6)); }
D(relu6) { return only_where(positive(x), vless(x, vset1(6)), vset1(1), x); }

F(hard_sigmoid) { return between(vset1(0), vfma(alpha, x, beta), vset1(1)); }
/* A sum that is just below 1 may be rounded to 1, so the sum with beta - 1 is compared with 0. */
D(hard_sigmoid)
{
    mask below = negative(vfma(alpha, x, vsub(beta, vset1(1))));
    return only_where(positive(vfma(alpha, x, beta)), below, alpha, x);
}

/* The factor x is at least -3, so that -infinity is not multiplied by 0. */
F(hard_swish)
{
    vec share = vdiv(between(vset1(0), vadd(x, vset1(3)), vset1(6)), vset1(6));
    return vmul(vmax(vset1(-3), x), share);
}
D(hard_swish)
{
    vec inside = vdiv(vfma(vset1(2), x, vset1(3)), vset1(6));
    vec above = vselect(vless(x, vset1(3)), inside, vset1(1));
    return keep_nan(x, vselect(vless(vset1(-3), x), above, vset1(0)));
}

/* For |x| > 2^60 the quotient rounds to 1. The bound keeps infinity / infinity away. */
F(softsign)
{
    vec size = vmin(vset1((REAL)0x1p60), vabs(x));
    return vcopysign(vdiv(size, vadd(vset1(1), size)), x);
}
D(softsign) /* the reciprocal is squared, because the square of 1 + |x| may overflow */
{
    vec share = vdiv(vset1(1), vadd(vset1(1), vabs(x)));
    return vmul(share, share);
}

/* Of the two forms 1 / (1 + e^-x) = e^x / (1 + e^x), the one whose exponential is at most 1. */
F(sigmoid)
{
    vec e = exp_negative(vneg(vabs(x)));
    return vdiv(vselect(negative(x), e, vset1(1)), vadd(vset1(1), e));
}
D(sigmoid)
{
    vec e = exp_negative(vneg(vabs(x))), sum = vadd(vset1(1), e);
    return vdiv(e, vmul(sum, sum));
}

/* tanh |x| = -expm1(-2|x|) / (2 + expm1(-2|x|)). This is expm1_negative, but n, for which the rest
 * waits, is found from |x|. The product by -2 is exact, so this gives the same bits. */
F(tanh)
{
    vec size = vmin(vset1(EXPM1_LEAST / -2), vabs(x)), z = vmul(vset1(-2), size);
    vec n = vrint(vmul(size, vset1(-2 * LOG2_E)));
    vec p = expm1_reduced(vfma(n, vset1(-LN2_LOW), vfma(n, vset1(-LN2_HIGH), z)));
    vec power = vpow2(n), e = vfma(power, p, vsub(power, vset1(1)));
    return vcopysign(vdiv(e, vadd(vset1(2), e)), x);
}
D(tanh) /* 4 e / (1 + e)^2, e = exp(-2|x|) */
{
    return vmul(vset1(4), d_sigmoid(vmul(vset1(2), x), alpha, beta));
}

F(elu) { return vselect(positive(x), x, vmul(alpha, expm1_negative(vmin(vset1(0), x)))); }
D(elu)
{
    return vselect(positive(x), vset1(1), vmul(alpha, exp_negative(vmin(vset1(0), x))));
}

/* l times elu, with a for alpha. SELU_ABOVE is l and SELU_BELOW is l a, both rounded; a constant
 * ..._LOW is the exact value minus the rounded one. That of l is positive: with a negative one, the
 * sum for x = infinity would be infinity - infinity. */
F(selu)
{
    mask above = positive(x);
    vec y = vselect(above, x, expm1_negative(vmin(vset1(0), x)));
    vec high = vselect(above, vset1(SELU_ABOVE), vset1(SELU_BELOW));
    vec low = vselect(above, vset1(SELU_ABOVE_LOW), vset1(SELU_BELOW_LOW));
    return vfma(y, high, vmul(y, low));
}
D(selu)
{
    vec below = vmul(vset1(SELU_BELOW), exp_negative(vmin(vset1(0), x)));
    return vselect(positive(x), vset1((REAL)1.0507009873554805), below);
}

/* x / (1 + e^-v), where v has the sign of x, t = |x| and p 2^n = e^-|v|. For x < 0, the factor x is
 * applied before the scaling by 2^n, so that the result is rounded to a subnormal only once. */
NN_MATH vec gated(vec x, vec t, vec p, vec n)
{
    vec sum = vadd(vset1(1), vscale(p, n));
    vec below = vscale(vdiv(vmul(vneg(t), p), sum), n);
    return vselect(negative(x), below, vdiv(x, sum));
}
/* The derivative of x / (1 + e^-v). With s = 1 / (1 + e^-|v|) and k = |x| dv/dx, it is
 * s (1 + k (1 - s)) for x >= 0 and (1 - s) (1 - k s) for x < 0. */
NN_MATH vec gated_slope(vec x, vec k, vec p, vec n)
{
    vec e = vscale(p, n), sum = vadd(vset1(1), e);
    vec above = vdiv(vfma(k, vdiv(e, sum), vset1(1)), sum);
    vec below = vscale(vdiv(vmul(p, vsub(vset1(1), vdiv(k, sum))), sum), n);
    return vselect(negative(x), below, above);
}

/* x sigmoid(x) */
F(silu)
{
    vec n, z = vmax(vset1(EXP_LEAST), vneg(vabs(x)));
    vec p = exp_parts(z, &n);
    return gated(x, vneg(z), p, n);
}
D(silu)
{
    vec n, z = vmax(vset1(EXP_LEAST), vneg(vabs(x)));
    vec p = exp_parts(z, &n);
    return gated_slope(x, vneg(z), p, n);
}

/* 2 sqrt(2 / pi) (t + 0.044715 t^3) = t (LINEAR + CUBIC t^2) for t >= 0, as the sum high + low. It
 * is an exponent, and a relative error of an exponent becomes one in the result that is larger by
 * the factor of the exponent. Each constant is the sum of its rounded value and its rounding
 * error. */
NN_MATH vec gelu_exponent(vec t, vec *low)
{
    const vec linear = vset1(GELU_LINEAR), cubic = vset1(GELU_CUBIC);
    vec square = vmul(t, t), square_low = vfma(t, t, vneg(square));
    vec term = vmul(cubic, square), term_low = vfma(cubic, square, vneg(term));
    term_low = vfma(cubic, square_low, vfma(vset1(GELU_CUBIC_LOW), square, term_low));
    vec sum = vadd(linear, term), back = vsub(sum, linear);
    vec lost = vadd(vsub(linear, vsub(sum, back)), vsub(term, back)); /* Knuth's exact sum */
    vec sum_low = vadd(vadd(lost, vset1(GELU_LINEAR_LOW)), term_low);
    vec high = vmul(t, sum);
    *low = vfma(t, sum_low, vfma(t, sum, vneg(high)));
    return high;
}
/* The arguments t and n of `gated` for x, and as return value p. */
NN_MATH vec gelu_tanh_parts(vec x, vec *t, vec *n)
{
    *t = vmin(vset1(GELU_TANH_END), vabs(x));
    vec low, high = gelu_exponent(*t, &low);
    return vadd(vset1(1), expm1_reduced(vsub(reduced(vneg(high), n), low)));
}
F(gelu_tanh)
{
    vec t, n, p = gelu_tanh_parts(x, &t, &n);
    return gated(x, t, p, n);
}
D(gelu_tanh)
{
    vec t, n, p = gelu_tanh_parts(x, &t, &n);
    vec rise = vfma(vset1(3 * GELU_CUBIC), vmul(t, t), vset1(GELU_LINEAR));
    return gated_slope(x, vmul(t, rise), p, n);
}

/* tanh(log(1 + e^x)) = ((1 + e^x)^2 - 1) / ((1 + e^x)^2 + 1). With e = exp(-|x|) = p 2^n this is
 *     x < 0:  e (2 + e) / (2 + 2 e + e^2)          x >= 0:  (1 + 2 e) / (1 + 2 e + 2 e^2)
 * Both are the quotient of first + second e and first + 2 e + second e^2; if x < 0, times e. The
 * structure holds t = |x|, `above`, the dividend, and `below`, the divisor. */
typedef struct mish_parts {
    vec t, p, n, e, first, second, above, below;
} mish_parts;
NN_MATH mish_parts mish_of(vec x)
{
    mish_parts m;
    m.t = vmin(vset1(-(REAL)EXP_LEAST), vabs(x));
    m.p = exp_parts(vneg(m.t), &m.n);
    m.e = vscale(m.p, m.n);
    m.first = vselect(negative(x), vset1(2), vset1(1));
    m.second = vselect(negative(x), vset1(1), vset1(2));
    m.above = vfma(m.second, m.e, m.first);
    m.below = vfma(vfma(m.second, m.e, vset1(2)), m.e, m.first);
    return m;
}
F(mish)
{
    mish_parts m = mish_of(x);
    vec share = vdiv(m.above, m.below);
    vec left = vscale(vmul(vmul(vneg(m.t), m.p), share), m.n);
    return vselect(negative(x), left, vmul(x, share));
}
/* e^x w / d^2 with w = 4 (x + 1) + (4 x + 6) e^x + 4 e^2x + e^3x and d = 2 + 2 e^x + e^2x. If
 * x is not negative, dividend and divisor are divided by e^4x: the coefficients of w are the same
 * in reverse order. */
D(mish)
{
    mish_parts m = mish_of(x);
    vec z = vcopysign(m.t, x);
    vec a = vfma(vset1(4), z, vset1(4)), b = vfma(vset1(4), z, vset1(6));
    mask left = negative(x);
    vec w = vfma(vselect(left, vset1(1), a), m.e, vselect(left, vset1(4), b));
    w = vfma(vfma(w, m.e, vselect(left, b, vset1(4))), m.e, vselect(left, a, vset1(1)));
    w = vdiv(w, vmul(m.below, m.below));
    return vselect(left, vscale(vmul(m.p, w), m.n), w);
}

/* x Phi(x), in the exact form with erf. For x < 0 it is the tail x Phi(x) itself, else x minus the
 * tail x Phi(-x). */
F(gelu)
{
    vec p, n, t = vmin(vset1(TAIL_END), vabs(x)), tail = vmul(t, normal_tail(t, &p, &n));
    return vselect(negative(x), vneg(vscale(tail, n)), vsub(x, vscale(tail, n)));
}
D(gelu) /* Phi(x) + x phi(x), phi = exp(-x^2/2) / sqrt(2 pi) */
{
    vec p, n, t = vmin(vset1(TAIL_END), vabs(x)), tail = normal_tail(t, &p, &n);
    vec slope = vmul(vmul(t, p), vset1((REAL)0.39894228040143267794));
    vec left = vscale(vsub(tail, slope), n);
    return vselect(negative(x), left, vsub(vset1(1), left));
}

/* log(1 + e^x) = max(x, 0) + log1p(e^-|x|) */
F(softplus)
{
    return vadd(vmax(vset1(0), x), log1p_small(exp_negative(vneg(vabs(x)))));
}
D(softplus) { return f_sigmoid(x, alpha, beta); }
#undef F
#undef D

/* Each expression is inlined only once, into a loop over whole vectors. A second copy for the last
 * elements would make the compressed library 18 kB larger. */
#define NN_CASE(expression, name)                                                                 \
    case NN_##name:                                                                               \
        for (ptrdiff_t i = 0; i < n; i += LANES)                                                  \
            vstore(y + i, expression##_##name(vload(x + i), a, b));                               \
        break;
#define NN_F(name, ...) NN_CASE(f, name)
#define NN_D(name, ...) NN_CASE(d, name)
/* x (n,) -> y (n,), n a multiple of LANES */
#define NN_VECTORS(name, CASE)                                                                    \
    static NN_TARGET __attribute__((noinline)) void name(int activation, vec a, vec b,            \
                                                         const REAL *x, REAL *y, ptrdiff_t n)     \
    {                                                                                             \
        switch (activation) { NN_ACTIVATIONS(CASE) }                                              \
    }
NN_VECTORS(activate_vectors, NN_F)
NN_VECTORS(derive_vectors, NN_D)

/* x (n,) -> y (n,). Whole vectors are read and written where they are; the last elements, which do
 * not fill a vector, go through a copy. */
NN_MATH void elements(void (*vectors)(int, vec, vec, const REAL *, REAL *, ptrdiff_t),
                      int activation, double alpha, double beta, const void *x_, void *y_,
                      ptrdiff_t n)
{
    const REAL *x = x_;
    REAL *y = y_, last[LANES];
    const vec a = vset1((REAL)alpha), b = vset1((REAL)beta);
    const ptrdiff_t whole = n / LANES * LANES;
    const int rest = (int)(n - whole);
    vectors(activation, a, b, x, y, whole);
    if (rest) {
        vstore(last, vload_first(x + whole, rest, vset1(0)));
        vectors(activation, a, b, last, last, LANES);
        vstore_first(y + whole, rest, vload(last));
    }
}

/* x (n,) -> y (n,), y[i] = f(x[i]) */
static NN_TARGET void activate(int activation, double alpha, double beta, const void *x, void *y,
                               ptrdiff_t n)
{
    elements(activate_vectors, activation, alpha, beta, x, y, n);
}

/* x (n,) -> y (n,), y[i] = f'(x[i]) */
static NN_TARGET void derive(int activation, double alpha, double beta, const void *x, void *y,
                             ptrdiff_t n)
{
    elements(derive_vectors, activation, alpha, beta, x, y, n);
}
