// The arithmetic of the kernels in float32 and float64: the fused multiply-add, which JavaScript does
// not have, and what else the activations need. Every function gives the bits that the kernels' verb
// gives (ext/simd/vec_scalar.h), for every argument; only of a NaN the sign and payload may differ.
//
// Numbers of JavaScript are double. A float32 is a double that float32 can represent. The sum, the
// product and the quotient of two float32 are correct if they are computed in double and rounded
// with Math.fround, because 53 bits are more than twice 24 (Figueroa, 1995). A fused multiply-add
// has three arguments, so it needs more care.

const number = new Float64Array(1);
const bits = new BigUint64Array(number.buffer);
const halves = new Uint32Array(number.buffer); // the low half first, as all browsers have it

// The rounding error of sum = a + b: sum + error is a + b exactly (Knuth's TwoSum).
function errorOfSum(a, b, sum) {
  const back = sum - a;
  return (a - (sum - back)) + (b - back);
}

// `sum`, a rounded number, moved to a neighbour with an odd last bit if its error is not zero. Such a
// number lies on the same side of every shorter number as the exact one does, so it can be rounded
// again as if it were exact (Boldo and Melquiond, 2008).
function roundedToOdd(sum, error) {
  number[0] = sum;
  if (error !== 0 && !(halves[0] & 1)) bits[0] += error > 0 === sum > 0 ? 1n : -1n;
  return number[0];
}

// The product of two float32 is exact in double. The sum is not, and rounding it a second time is
// wrong only if the first rounding ended halfway between two float32: then the bits that Math.fround
// drops are 1000... . Subnormal float32 have fewer bits, so for them the error is always looked at.
function fma32(a, b, c) {
  const product = a * b;
  const sum = product + c;
  number[0] = sum;
  if ((halves[0] & 0x1fffffff) !== 0x10000000 && (sum >= 2 ** -126 || sum <= -(2 ** -126))) {
    return Math.fround(sum);
  }
  if (!Number.isFinite(sum)) return sum;
  return Math.fround(roundedToOdd(sum, errorOfSum(product, c, sum)));
}

// low = a * b - high, exactly (Dekker's product; Veltkamp's splitting of a number into two halves).
function errorOfProduct(a, b, high) {
  const upper = (value) => {
    const scaled = value * 134217729; // 2^27 + 1
    return scaled - (scaled - value);
  };
  const aHigh = upper(a), aLow = a - aHigh, bHigh = upper(b), bLow = b - bHigh;
  return aLow * bLow - (((high - aHigh * bHigh) - aLow * bHigh) - aHigh * bLow);
}

// Boldo and Melquiond's correctly rounded sum of three numbers: c and the product's two parts. Their
// proof has no overflow and no underflow, so numbers near the ends of the range are computed with
// whole numbers of any size instead.
function fma64(a, b, c) {
  const product = a * b, size = Math.abs(product);
  if (!(size > 2 ** -900 && size < 2 ** 1000 && Math.abs(a) < 2 ** 990 && Math.abs(b) < 2 ** 990
        && Math.abs(c) < 2 ** 1000)) {
    return fmaOfExtremes(a, b, c);
  }
  const low = errorOfProduct(a, b, product);
  const sumLow = c + low, errorLow = errorOfSum(c, low, sumLow);
  const sum = product + sumLow, error = errorOfSum(product, sumLow, sum);
  const rest = errorLow + error;
  return sum + roundedToOdd(rest, errorOfSum(errorLow, error, rest));
}

function fmaOfExtremes(a, b, c) {
  if (!Number.isFinite(a) || !Number.isFinite(b) || a === 0 || b === 0) return a * b + c;
  if (!Number.isFinite(c)) return c;
  const x = parts(a), y = parts(b), z = parts(c);
  const exponent = Math.min(x.exponent + y.exponent, z.exponent);
  const sum = (x.whole * y.whole << BigInt(x.exponent + y.exponent - exponent))
    + (z.whole << BigInt(z.exponent - exponent));
  return rounded(sum, exponent);
}

// value = whole * 2^exponent
function parts(value) {
  number[0] = value;
  const biased = halves[1] >>> 20 & 2047, fraction = bits[0] & 0xfffffffffffffn;
  const whole = biased ? fraction | 1n << 52n : fraction;
  return { whole: value < 0 ? -whole : whole, exponent: (biased || 1) - 1075 };
}

// The double nearest to whole * 2^exponent, ties to even.
function rounded(whole, exponent) {
  const size = whole < 0n ? -whole : whole;
  const unit = Math.max(size.toString(2).length + exponent - 53, -1074); // exponent of the last bit
  let kept = size << BigInt(Math.max(exponent - unit, 0)) >> BigInt(Math.max(unit - exponent, 0));
  if (unit > exponent) {
    const twiceRest = size - (kept << BigInt(unit - exponent)) << 1n, one = 1n << BigInt(unit - exponent);
    if (twiceRest > one || (twiceRest === one && kept & 1n)) kept += 1n;
  }
  if (unit > 971) return whole < 0n ? -Infinity : Infinity;
  // The leading bit of `kept`, if it has 53 bits, adds one to the exponent; so does a carry.
  bits[0] = (BigInt(unit + 1074) << 52n) + kept;
  return whole < 0n ? -number[0] : number[0];
}

// 2^n for the exponent n of a normal number; NaN gives any number.
function power(n) {
  halves[0] = 0;
  halves[1] = n + 1023 << 20;
  return number[0];
}

// What differs between the dtypes. `panel` is the number of partial sums of softmax.
const REALS = {
  float32: { round: Math.fround, fma: fma32, panel: 16, List: Float32Array },
  float64: { round: (value) => value, fma: fma64, panel: 8, List: Float64Array },
};
