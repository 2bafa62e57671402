import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { topPercentRank } from "../../src/kernels/top-percent.ts";

describe("topPercentRank", () => {
  it.each([
    [70, 10, 7],
    [70, 1000, 700],
    [70.1, 1000, 701], // 70.1 / 100 * 1000 = 700.9999999999999 in doubles
    [0.1, 1000, 1],
    [0.1, 1001, 2],
    [7, 100, 7], // 7 / 100 * 100 = 7.000000000000001 in doubles
    [29, 100, 29], // 28.999999999999996
    [1e-7, 1_000_000_000, 1],
    [1e-7, 1_000_000_001, 2],
    [33.3, 3, 1],
    [33.4, 3, 2],
    [0, 10, 0],
    [100, 10, 10],
    [70, 0, 0],
    [50, 1, 1],
    [99.999999, 9_007_199_254_740_991, 9_007_199_164_668_999],
  ])("of %s percent of %s is %s", (percent, n, k) => {
    expect(topPercentRank(percent, n)).toBe(k);
  });

  it("equals whole-number arithmetic for every percent of three decimals", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 100_000 }), fc.nat({ max: 10_000_000 }), (thousandths, n) => {
        const percent = Number(`${Math.floor(thousandths / 1000)}.${String(thousandths % 1000).padStart(3, "0")}`);
        // thousandths * n < 2^53, so the remainder is exact.
        const product = thousandths * n;
        const expected = (product - (product % 100_000)) / 100_000 + (product % 100_000 > 0 ? 1 : 0);
        expect(topPercentRank(percent, n)).toBe(expected);
      }),
    );
  });

  it.each([[-1, 5], [100.5, 5], [NaN, 5], [50, -1], [50, 1.5]])("refuses %s percent of %s", (percent, n) => {
    expect(() => topPercentRank(percent, n)).toThrow(RangeError);
  });
});
