// The arithmetic of the kernels, which JavaScript has only in part: float32, the fused multiply-add,
// and scaling by a power of two. Each function gives the bits that a kernel's verb gives
// (ext/simd/vec_scalar.h) for all arguments; only of a NaN the sign and the payload may differ.
//
// ARITHMETIC.float32, ARITHMETIC.float64 -> { List, round, fma, scaled, power, panel }
//   List        the typed array
//   round(a)    a double, rounded to the dtype. The sum, the product and the quotient of two float32
//               are right if they are computed in double and then rounded, because 53 bits are more
//               than twice 24 (Figueroa, 1995). So round(a + b) is the addition, and so on.
//   fma(a, b, c)  a * b + c, rounded once
//   scaled(a, n)  a * 2^n, rounded once, for n <= 0; vscale there
//   power(n)    2^n, if that is a normal number
//   panel       the number of partial sums that a sum over outputs has

const ARITHMETIC = (() => {
  const LEAST_NORMAL = 2 ** -126; // of float32
  const SPLITTER = 2 ** 27 + 1;

  // One number, and its bits: as a whole, and as two halves of which the low one comes first.
  const number = new Float64Array(1);
  const bits = new BigUint64Array(number.buffer);
  const halves = new Uint32Array(number.buffer);

  // a + b = sum + error, exactly (Knuth's sum).
  function errorOfSum(a, b, sum) {
    const back = sum - a;
    return (a - (sum - back)) + (b - back);
  }

  // A sum that was rounded, moved to the odd one of the two numbers between which the exact sum lies.
  // It may be rounded a second time, to fewer bits, as if it were exact (Boldo and Melquiond, 2008).
  function roundedToOdd(sum, error) {
    number[0] = sum;
    if (error !== 0 && !(halves[0] & 1)) bits[0] += (error > 0) === (sum > 0) ? 1n : -1n;
    return number[0];
  }

  // The product of two float32 is exact in double. The sum is rounded twice, which does harm only if
  // the first rounding ends halfway between two float32: the 29 bits that Math.fround drops are then
  // 1000... . A subnormal float32 drops more bits, so there the error is always looked at.
  function fma32(a, b, c) {
    const product = a * b, sum = product + c;
    number[0] = sum;
    if ((halves[0] & 0x1fffffff) !== 0x10000000 && (sum >= LEAST_NORMAL || sum <= -LEAST_NORMAL)) {
      return Math.fround(sum);
    }
    return Math.fround(roundedToOdd(sum, errorOfSum(product, c, sum)));
  }

  // a * b = product + error, exactly (Dekker's product, with Veltkamp's splitting).
  function errorOfProduct(a, b, product) {
    const aHigh = upperHalf(a), aLow = a - aHigh, bHigh = upperHalf(b), bLow = b - bHigh;
    return aLow * bLow - (((product - aHigh * bHigh) - aLow * bHigh) - aHigh * bLow);
  }

  function upperHalf(a) {
    const large = a * SPLITTER;
    return large - (large - a);
  }

  // The sum of c and the two parts of the product, as Boldo and Melquiond (2008) have it. Nothing in
  // it may overflow or underflow, so numbers near an end of the range take another way.
  function fma64(a, b, c) {
    const product = a * b, size = Math.abs(product);
    const inside = size > 2 ** -900 && size < 2 ** 1000 && Math.abs(c) < 2 ** 1000
      && Math.abs(a) < 2 ** 990 && Math.abs(b) < 2 ** 990;
    if (!inside) return fmaAtTheEnds(a, b, c);
    const low = errorOfProduct(a, b, product);
    const lowSum = low + c, lowError = errorOfSum(low, c, lowSum);
    const sum = product + lowSum, error = errorOfSum(product, lowSum, sum);
    const rest = lowError + error;
    return sum + roundedToOdd(rest, errorOfSum(lowError, error, rest));
  }

  // With whole numbers of any length: slow, and always right.
  function fmaAtTheEnds(a, b, c) {
    if (!Number.isFinite(a) || !Number.isFinite(b) || a === 0 || b === 0) return a * b + c;
    if (!Number.isFinite(c)) return c;
    const [x, xExponent] = parts(a), [y, yExponent] = parts(b), [z, zExponent] = parts(c);
    const exponent = Math.min(xExponent + yExponent, zExponent);
    const product = (x * y) << BigInt(xExponent + yExponent - exponent);
    return nearest(product + (z << BigInt(zExponent - exponent)), exponent);
  }

  // a = whole * 2^exponent
  function parts(a) {
    number[0] = a;
    const exponent = (halves[1] >>> 20) & 0x7ff;
    const fraction = BigInt.asUintN(52, bits[0]) + (exponent ? 1n << 52n : 0n);
    return [a < 0 ? -fraction : fraction, (exponent || 1) - 1075];
  }

  // The double nearest to whole * 2^exponent, which is not exact; of two, the even one.
  function nearest(whole, exponent) {
    if (whole === 0n) return 0;
    const size = whole < 0n ? -whole : whole;
    const last = Math.max(size.toString(2).length + exponent - 53, -1074); // the last bit that is kept
    const dropped = BigInt(Math.max(last - exponent, 0));
    let kept = (size << BigInt(Math.max(exponent - last, 0))) >> dropped;
    const twice = (size - (kept << dropped)) * 2n, one = 1n << dropped;
    if (dropped && (twice > one || (twice === one && kept & 1n))) kept += 1n;
    // The leading one of 53 bits is not stored but adds to the exponent, as a carry does.
    bits[0] = last > 971 ? 0x7ffn << 52n : (BigInt(last + 1074) << 52n) + kept;
    return whole < 0n ? -number[0] : number[0];
  }

  function power(n) {
    halves[0] = 0;
    halves[1] = (n + 1023) << 20;
    return number[0];
  }

  function dtype(List, round, fma, panel) {
    function scaled(a, n) {
      const last = n > -1022 ? n : -1022; // only multiplying by 2^last may round
      return round(a * power(n - last) * power(last));
    }
    return { List, round, fma, scaled, power, panel };
  }

  return {
    float32: dtype(Float32Array, Math.fround, fma32, 16),
    float64: dtype(Float64Array, (a) => a, fma64, 8),
  };
})();
