import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { rankCorrelation } from "../../src/kernels/rank-correlation.ts";

describe("rankCorrelation", () => {
  it.each([
    [[1, 2, 3], [10, 20, 1000], 1],
    [[1, 2, 3], [3, 2, 1], -1],
    [[1, 2, 3, 4, 5], [2, 1, 4, 3, 5], 0.8],
    [[1, 2, 2, 3], [1, 2, 3, 4], 4.5 / Math.sqrt(4.5 * 5)],
  ])("of %j and %j is %s", (a, b, expected) => {
    expect(rankCorrelation(a, b)).toBeCloseTo(expected, 14);
  });

  it("equals 1 - 6 sum d^2 / n (n^2 - 1) where there are no ties", () => {
    const permutation = fc.integer({ min: 2, max: 40 }).chain((n) => fc.shuffledSubarray(Array.from({ length: n }, (_, i) => i), { minLength: n }));
    fc.assert(
      fc.property(permutation, (b) => {
        const n = b.length;
        const squares = b.reduce((sum, rank, i) => sum + (rank - i) ** 2, 0);
        expect(rankCorrelation(b.map((_, i) => Math.exp(i)), b)).toBeCloseTo(1 - (6 * squares) / (n * (n * n - 1)), 12);
      }),
    );
  });

  it("is NaN where one side does not vary, and refuses values without partners", () => {
    expect(rankCorrelation([1, 1], [1, 2])).toBeNaN();
    expect(() => rankCorrelation([1], [1, 2])).toThrow(RangeError);
  });
});
