import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { averageRanks } from "../../src/kernels/average-ranks.ts";

describe("averageRanks", () => {
  it.each([
    [[], []],
    [[5], [1]],
    [[3, 1, 2], [3, 1, 2]],
    [[1, 1, 2], [1.5, 1.5, 3]],
    [[0, -0, 0], [2, 2, 2]],
    [[Infinity, -Infinity, Infinity], [2.5, 1, 2.5]],
  ])("of %j are %j", (values, ranks) => {
    expect([...averageRanks(values)]).toEqual(ranks);
  });

  it("is one more than the values below plus half the other equal ones", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -5, max: 5 })), (values) => {
        const expected = values.map((v) => values.filter((w) => w < v).length + (values.filter((w) => w === v).length + 1) / 2);
        expect([...averageRanks(values)]).toEqual(expected);
      }),
    );
  });
});
