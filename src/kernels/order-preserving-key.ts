/**
 * Unsigned 64-bit keys whose order is the numeric order of the doubles they stand for.
 *
 * A double's bits, read as an unsigned integer, grow with its magnitude. Setting the sign bit of the positive
 * numbers and inverting all bits of the negative ones makes them grow with the number. -0 gets the key of +0,
 * since -0 >= +0 holds numerically: without that a radix search could name a tau that plain `>=` treats otherwise.
 */

const doubles = new Float64Array(1);
const words = new Uint32Array(doubles.buffer);
/** Index of the word with sign and exponent. */
const HIGH = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1 ? 1 : 0;
const LOW = 1 - HIGH;

/**
 * The upper 32 bits of the key; call `lowKey` for the lower ones.
 * Throws RangeError for NaN, which has no place in an order. Infinities have one.
 */
export function highKey(value: number): number {
  // An explicit branch: the sum -0 + 0 would do as well, but says less.
  doubles[0] = value === 0 ? 0 : value;
  const high = words[HIGH]!;
  if (value !== value) throw new RangeError("NaN has no order-preserving key");
  return high >>> 31 === 0 ? (high ^ 0x80000000) >>> 0 : ~high >>> 0;
}

/** The lower 32 bits of the key. Throws RangeError for NaN. */
export function lowKey(value: number): number {
  const high = highKey(value);
  return high >>> 31 === 1 ? words[LOW]! : ~words[LOW]! >>> 0;
}

/** The double that has this key. Never -0. */
export function keyToNumber(high: number, low: number): number {
  const positive = high >>> 31 === 1;
  words[HIGH] = positive ? high ^ 0x80000000 : ~high;
  words[LOW] = positive ? low : ~low;
  return doubles[0]!;
}
