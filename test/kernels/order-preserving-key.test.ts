import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { highKey, keyToNumber, lowKey } from "../../src/kernels/order-preserving-key.ts";

const key = (value: number) => (BigInt(highKey(value)) << 32n) | BigInt(lowKey(value));
const number = fc.double({ noNaN: true });

describe("order-preserving keys", () => {
  it.each([
    [-Infinity, 0x000fffffffffffffn],
    [-1, 0x400fffffffffffffn],
    [-Number.MIN_VALUE, 0x7ffffffffffffffen],
    [-0, 0x8000000000000000n],
    [0, 0x8000000000000000n],
    [Number.MIN_VALUE, 0x8000000000000001n],
    [1, 0xbff0000000000000n],
    [Infinity, 0xfff0000000000000n],
  ])("of %s is known", (value, expected) => {
    expect(key(value)).toBe(expected);
  });

  it("compare as the numbers do", () => {
    fc.assert(fc.property(number, number, (a, b) => Math.sign(Number(key(a) - key(b))) === (a < b ? -1 : a > b ? 1 : 0)));
  });

  it("give the number back, -0 as 0", () => {
    fc.assert(fc.property(number, (value) => Object.is(keyToNumber(highKey(value), lowKey(value)), value === 0 ? 0 : value)));
  });

  it("refuse NaN", () => {
    expect(() => highKey(NaN)).toThrow(RangeError);
    expect(() => lowKey(NaN)).toThrow(RangeError);
  });
});
