// The activations: each computes the steps of its expression in ext/simd/math.tpl.h, with the same
// polynomials, and so gives the same bits. What is said there of the formulas is not said again.
//
// FUNCTIONS.float32, FUNCTIONS.float64 -> { elementwise: { name: (x, alpha, beta) => y },
//                                           rowwise: { name: (sums) => outputs } }
//
// Python reads the names from the lines that begin with six spaces and `name: (`: nncore.page offers
// these, and no others, in a page.

const FUNCTIONS = (() => {
  const CONSTANTS = {
    float32: {
      LOG2_E: 1.442695, LN2_HIGH: 0.6931472, LN2_LOW: -1.9046542e-9, SQRT_2: 1.4142135,
      EXP_LEAST: -115, EXPM1_LEAST: -80, TAIL_END: 14.5, GELU_TANH_END: 11.1,
      GELU_LINEAR: 1.5957692, GELU_LINEAR_LOW: -4.534068e-8,
      GELU_CUBIC: 0.071354814, GELU_CUBIC_LOW: 2.3988325e-9,
      SELU_ABOVE: 1.0507009, SELU_ABOVE_LOW: 8.441664e-8,
      SELU_BELOW: 1.7580993, SELU_BELOW_LOW: 2.3296717e-8,
      EXPM1: [0.49999994, 0.166665196, 0.0416683927, 0.00836877991, 0.00138144509],
      LOG1P: [0.666666746, 0.39998877, 0.286168814, 0.21427682, 0.243008465],
      TAIL: [
        0.755285203, -0.607896686, 0.387133479, -0.186520532, 0.0604438931, -0.0075348122,
        -0.0036704489, 0.00152939488, 0.00038513969,
      ],
    },
    float64: {
      LOG2_E: 1.4426950408889634, LN2_HIGH: 0.6931471805599453, LN2_LOW: 2.3190468138462996e-17,
      SQRT_2: 1.4142135623730951,
      EXP_LEAST: -760, EXPM1_LEAST: -700, TAIL_END: 38.7, GELU_TANH_END: 21.7,
      GELU_LINEAR: 1.5957691216057308, GELU_LINEAR_LOW: -9.96930880911092e-17,
      GELU_CUBIC: 0.07135481627260025, GELU_CUBIC_LOW: -6.175149918155315e-19,
      SELU_ABOVE: 1.0507009873554805, SELU_ABOVE_LOW: 3.9874847667154144e-17,
      SELU_BELOW: 1.7580993408473768, SELU_BELOW_LOW: 1.41535193800845e-17,
      EXPM1: [
        0.50000000000000111, 0.1666666666666641, 0.041666666666529198, 0.0083333333334956183,
        0.0013888888943920424, 0.00019841269504772396, 2.4801492764897285e-5,
        2.7557587339083027e-6, 2.7630377918370901e-7, 2.4999965477620264e-8,
      ],
      LOG1P: [
        0.66666666666666674, 0.39999999999993979, 0.2857142857251001, 0.22222222125472058,
        0.18181823202856326, 0.15384451933801696, 0.13336805793483683, 0.11715950913351909,
        0.10972565372761628, 0.069942518479276947, 0.16467627542867883,
      ],
      TAIL: [
        0.75528513041575152, -0.60789664197189075, 0.38713740074222308, -0.18652185795979848,
        0.060396574890530477, -0.0075401889624343195, -0.0034796923594609098,
        0.0016308183983722081, 0.00013334422829891949, -0.00023109448962373781,
        -1.9077101613650656e-6, 3.5142687219864033e-5, 7.1434282223674316e-7,
        -5.9146217122230035e-6, -6.2318641640488946e-7, 1.0120550145475029e-6,
        2.5987365912232844e-7, -1.4558925291350598e-7, -7.1697296985964918e-8,
        9.1101522744125499e-9, 1.0675812238820146e-8, 1.5597152317140321e-9,
      ],
    },
  };

  // As the kernels have them: b if either is NaN, or if both are zeros.
  const greater = (a, b) => (a > b ? a : b);
  const less = (a, b) => (a < b ? a : b);
  const between = (least, x, most) => less(most, greater(least, x));
  const withSign = (size, x) => ((x || 1 / x) < 0 ? -size : size);

  function functionsOf(name) {
    const { List, round, fma, scaled, power, panel } = ARITHMETIC[name];
    const c = Object.fromEntries(Object.entries(CONSTANTS[name]).map(
      ([key, value]) => [key, Array.isArray(value) ? value.map(round) : round(value)]));

    const polynomial = (table, x) => table.reduceRight((sum, constant) => fma(sum, x, constant));

    // z = n ln2 + r with |r| <= ln2 / 2
    function reduced(z) {
      const quotient = round(z * c.LOG2_E), large = 1.5 * 2 ** 52;
      const n = (quotient + large) - large; // the nearest whole number, ties to even
      return [n, fma(n, -c.LN2_LOW, fma(n, -c.LN2_HIGH, z))];
    }

    const expm1Reduced = (r) => fma(round(r * r), polynomial(c.EXPM1, r), r);

    // exp(z) = p * 2^n for z <= 0
    function expParts(z) {
      const [n, r] = reduced(greater(c.EXP_LEAST, z));
      return [round(1 + expm1Reduced(r)), n];
    }

    const exp = (z) => scaled(...expParts(z));

    function expm1(z) {
      const [n, r] = reduced(greater(c.EXPM1_LEAST, z));
      return fma(power(n), expm1Reduced(r), round(power(n) - 1));
    }

    function log1p(f) {
      const s = round(f / round(f + 2)), z = round(s * s);
      return fma(-s, round(f - round(z * polynomial(c.LOG1P, z))), f);
    }

    function log(x) {
      let mantissa = x, exponent = 0; // mantissa < sqrt(2)
      for (; mantissa >= c.SQRT_2; mantissa /= 2) exponent++;
      const f = log1p(round(mantissa - 1));
      return fma(exponent, c.LN2_HIGH, fma(exponent, c.LN2_LOW, f));
    }

    // Phi(-t) = tail * 2^n
    function normalTail(t) {
      const weight = round(1 / round(t + 4)), y = fma(-8, weight, 1);
      const ratio = round(weight * polynomial(c.TAIL, y));
      const square = round(t * t), low = fma(t, t, -square);
      const [n, r] = reduced(round(square * -0.5));
      return [round(ratio * round(1 + expm1Reduced(fma(low, -0.5, r)))), n];
    }

    // x / (1 + exp(-v)), t = |x| and p * 2^n = exp(-|v|)
    function gated(x, t, p, n) {
      const sum = round(1 + scaled(p, n));
      return x < 0 ? scaled(round(round(-t * p) / sum), n) : round(x / sum);
    }

    // The exponent v of gelu_tanh as a sum of two numbers, for t >= 0
    function geluExponent(t) {
      const square = round(t * t), squareLow = fma(t, t, -square);
      const term = round(c.GELU_CUBIC * square), rounding = fma(c.GELU_CUBIC, square, -term);
      const termLow = fma(c.GELU_CUBIC, squareLow, fma(c.GELU_CUBIC_LOW, square, rounding));
      const sum = round(c.GELU_LINEAR + term), back = round(sum - c.GELU_LINEAR);
      const lost = round(round(c.GELU_LINEAR - round(sum - back)) + round(term - back));
      const sumLow = round(round(lost + c.GELU_LINEAR_LOW) + termLow), high = round(t * sum);
      return [high, fma(t, sumLow, fma(t, sum, -high))];
    }

    const relu6 = (x) => between(0, x, 6);

    const elementwise = {
      identity: (x) => x,
      step: (x) => (x > 0 ? 1 : x <= 0 ? 0 : x),
      sigmoid: (x) => {
        const e = exp(-Math.abs(x));
        return round((x < 0 ? e : 1) / round(1 + e));
      },
      tanh: (x) => {
        const e = expm1(round(-2 * Math.abs(x)));
        return withSign(round(Math.abs(e) / round(2 + e)), x);
      },
      relu: (x) => greater(0, x),
      leaky_relu: (x, alpha) => (x > 0 ? x : round(alpha * x)),
      elu: (x, alpha) => (x > 0 ? x : round(alpha * expm1(less(0, x)))),
      gelu: (x) => {
        const t = less(c.TAIL_END, Math.abs(x)), [tail, n] = normalTail(t);
        const product = scaled(round(t * tail), n);
        return x < 0 ? -product : round(x - product);
      },
      silu: (x) => {
        const t = less(-c.EXP_LEAST, Math.abs(x));
        return gated(x, t, ...expParts(-t));
      },
      softplus: (x) => round(greater(0, x) + log1p(exp(-Math.abs(x)))),
      selu: (x) => {
        const y = x > 0 ? x : expm1(less(0, x));
        const high = x > 0 ? c.SELU_ABOVE : c.SELU_BELOW;
        return fma(y, high, round(y * (x > 0 ? c.SELU_ABOVE_LOW : c.SELU_BELOW_LOW)));
      },
      relu6: (x) => relu6(x),
      clip: (x, alpha, beta) => between(alpha, x, beta),
      hard_sigmoid: (x, alpha, beta) => between(0, fma(alpha, x, beta), 1),
      hard_swish: (x) => round(greater(-3, x) * round(relu6(round(x + 3)) / 6)),
      softsign: (x) => {
        const size = less(2 ** 60, Math.abs(x));
        return withSign(round(size / round(1 + size)), x);
      },
      mish: (x) => {
        const t = less(-c.EXP_LEAST, Math.abs(x)), [p, n] = expParts(-t), e = scaled(p, n);
        const first = x < 0 ? 2 : 1, second = x < 0 ? 1 : 2;
        const share = round(fma(second, e, first) / fma(fma(second, e, 2), e, first));
        return x < 0 ? scaled(round(round(-t * p) * share), n) : round(x * share);
      },
      gelu_tanh: (x) => {
        const t = less(c.GELU_TANH_END, Math.abs(x)), [high, low] = geluExponent(t);
        const [n, r] = reduced(-high);
        return gated(x, t, round(1 + expm1Reduced(round(r - low))), n);
      },
    };

    // Of a sum over outputs, partial sum r adds the outputs r, r + panel, ...; then halves are added.
    function softmaxOf(sums) {
      const highest = sums.reduce((top, x) => greater(x, top), -Infinity);
      const exponentials = sums.map((x) => exp(round(x - highest)));
      const partial = new List(panel);
      exponentials.forEach((e, j) => { partial[j % panel] += e; });
      for (let half = panel / 2; half >= 1; half /= 2) {
        for (let r = 0; r < half; r++) partial[r] += partial[r + half];
      }
      return { highest, exponentials, total: partial[0] };
    }

    const rowwise = {
      softmax: (sums) => {
        const { exponentials, total } = softmaxOf(sums);
        return exponentials.map((e) => e / total);
      },
      log_softmax: (sums) => {
        const { highest, total } = softmaxOf(sums), logarithm = log(total);
        return sums.map((x) => round(x - highest) - logarithm);
      },
    };

    return { elementwise, rowwise, softmaxOf };
  }

  return { float32: functionsOf("float32"), float64: functionsOf("float64") };
})();
