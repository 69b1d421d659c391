// Numbers as the page shows them, and how far two of them are from each other.

// Significant digits. So 1.21402696 has eight after the point, as NumPy prints it and texts have it.
const digitsOf = (value) => (Math.abs(value) < 1 ? 8 : 9);

// shownNumber(0.3) is "0.3": trailing zeros are cut. Very small numbers have an exponent, which is
// shorter than their zeros.
function shownNumber(value, digits = digitsOf(value)) {
  if (Number.isFinite(value)) {
    const rounded = model.dtype === "float32" ? shortest(value, digits) : Number(value.toPrecision(digits));
    return rounded !== 0 && Math.abs(rounded) < 1e-4 ? rounded.toExponential() : String(rounded);
  }
  return Number.isNaN(value) ? "NaN" : value > 0 ? "∞" : "-∞";
}

// The number with the fewest digits that names this float32, as NumPy prints it: 0.3, although the
// float32 nearest to it is 0.30000001192...
function shortest(value, digits) {
  const own = Math.fround(value);
  for (let count = 1; count < digits; count++) {
    const rounded = Number(value.toPrecision(count));
    if (Math.fround(rounded) === own) return rounded;
  }
  return Number(value.toPrecision(digits));
}

// What is almost all, or almost nothing, must not look like all or nothing.
function shownPercent(share) {
  if (Number.isNaN(share)) return "NaN";
  if (share > 0 && share < 0.00005) return "<0.01 %";
  return share < 1 && share >= 0.99995 ? ">99.99 %" : `${(100 * share).toFixed(2)} %`;
}

// largestDistance(ours, theirs): in units in the last place, 0 for the same bits. Numbers of a format
// are counted in order, so that -0 and 0 are neighbours; two NaNs are equal.
function largestDistance(ours, theirs) {
  const wide = theirs instanceof Float64Array;
  const bits = (numbers) => (wide ? new BigInt64Array(numbers.buffer) : new Int32Array(numbers.buffer));
  const lowest = wide ? -(2n ** 63n) : -(2n ** 31n);
  const place = (bit) => (bit < 0 ? lowest - BigInt(bit) - 1n : BigInt(bit));
  const [a, b] = [bits(ours), bits(theirs)];
  let largest = 0n;
  for (let i = 0; i < a.length; i++) {
    if (a[i] === b[i] || (Number.isNaN(ours[i]) && Number.isNaN(theirs[i]))) continue;
    const distance = place(a[i]) - place(b[i]);
    if (distance > largest) largest = distance;
    if (-distance > largest) largest = -distance;
  }
  return largest;
}

// ranked([3, -7, 5]): the positions by falling magnitude, those of equal magnitude in order.
function ranked(values) {
  const sizes = Array.from(values, Math.abs);
  return sizes.map((_, i) => i).sort((a, b) => sizes[b] - sizes[a] || a - b);
}

function most(values) {
  return values.reduce((a, b) => Math.max(a, b), -Infinity);
}

function least(values) {
  return values.reduce((a, b) => Math.min(a, b), Infinity);
}

// The place of the largest number, the first one of several; -1 if there is none.
function largestOf(values) {
  return values.indexOf(most(values));
}

function largestMagnitude(values) {
  let largest = 0;
  for (const value of values) if (Math.abs(value) > largest) largest = Math.abs(value);
  return largest;
}

// Of a value among those of its layer, in -1..1, for its colour.
function shareOf(value, largest) {
  if (Number.isNaN(value) || !largest) return 0;
  return largest === Infinity ? Math.sign(value) * (Math.abs(value) === Infinity) : value / largest;
}
