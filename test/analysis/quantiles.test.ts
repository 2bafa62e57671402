import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { GroupQuantiles, QUANTILES, quantilesOf } from "../../src/analysis/quantiles.ts";

/** The smallest value that at least so many percent are at or below. */
function naive(values: readonly number[]): number[] {
  const distinct = [...new Set(values)].sort((a, b) => a - b);
  return QUANTILES.map((percent) => distinct.find((value) => values.filter((other) => other <= value).length * 100 >= percent * values.length)!);
}

describe("quantiles of groups", () => {
  it("are those of sorting", () => {
    const group = fc.array(fc.oneof(fc.double({ noNaN: true }), fc.constantFrom(0, -0.5, 0.5)), { minLength: 1, maxLength: 120 });
    fc.assert(
      fc.property(group, group, (a, b) => {
        const data = [...a.map((value) => ["a", value + 0] as const), ...b.map((value) => ["b", value + 0] as const)];
        const quantiles = new GroupQuantiles();
        for (const [name, value] of data) quantiles.count(name, value);
        while (!quantiles.done) {
          for (const [name, value] of data) quantiles.observe(name, value);
          quantiles.endPass();
        }
        expect(quantiles.of("a")).toEqual(naive(a.map((value) => value + 0)));
        expect(quantiles.of("b")).toEqual(naive(b.map((value) => value + 0)));
        expect(quantilesOf(Float64Array.from(a, (value) => value + 0))).toEqual(naive(a.map((value) => value + 0)));
      }),
    );
  });

  it("are absent for a group without values", () => {
    const quantiles = new GroupQuantiles();
    expect(quantiles.done).toBe(true);
    expect(quantiles.of("x")).toBeUndefined();
    expect(quantilesOf(new Float64Array(0))).toEqual([]);
  });
});
