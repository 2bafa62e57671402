import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { auc } from "../../src/kernels/auc.ts";

/** Over all pairs: the share where the positive is larger, ties counting half. */
const overPairs = (positives: readonly number[], negatives: readonly number[]) =>
  positives.flatMap((p): number[] => negatives.map((n) => (p > n ? 1 : p === n ? 0.5 : 0))).reduce((sum, w) => sum + w, 0) / (positives.length * negatives.length);

describe("auc", () => {
  it.each([
    [[2, 3], [0, 1], 1],
    [[0, 1], [2, 3], 0],
    [[1, 1], [1, 1], 0.5],
    [[1, 3], [2], 0.5],
    [[2, 3], [2, 1], 0.875],
  ])("of %j against %j is %s", (positives, negatives, expected) => {
    expect(auc(positives, negatives)).toBe(expected);
  });

  it("equals the count over all pairs", () => {
    const values = fc.array(fc.oneof(fc.integer({ min: -3, max: 3 }), fc.double({ noNaN: true })), { minLength: 1, maxLength: 40 });
    fc.assert(fc.property(values, values, (p, n) => Math.abs(auc(p, n) - overPairs(p, n)) < 1e-12));
  });

  it("is NaN where one side is empty and refuses NaN", () => {
    expect(auc([], [1])).toBeNaN();
    expect(auc([1], [])).toBeNaN();
    expect(() => auc([NaN], [1])).toThrow(RangeError);
  });
});
