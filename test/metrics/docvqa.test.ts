import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { anls, DocvqaTally, editDistance } from "../../src/metrics/docvqa.ts";

describe("edit distance", () => {
  it.each([
    ["kitten", "sitting", 3],
    ["", "abc", 3],
    ["abc", "abc", 0],
    ["flaw", "lawn", 2],
    ["naïve", "naive", 1],
    ["a😀b", "ab", 1],
  ])("of %j and %j is %i", (a, b, distance) => {
    expect(editDistance(a, b)).toBe(distance);
  });

  it("is a metric", () => {
    const text = fc.string({ maxLength: 8, unit: fc.constantFrom("a", "b", "c") });
    fc.assert(
      fc.property(text, text, text, (a, b, c) => {
        expect(editDistance(a, b)).toBe(editDistance(b, a));
        expect(editDistance(a, b) === 0).toBe(a === b);
        expect(editDistance(a, c)).toBeLessThanOrEqual(editDistance(a, b) + editDistance(b, c));
      }),
    );
  });
});

describe("ANLS of one response", () => {
  it.each([
    ["1996", ["1996"], 1],
    ["  Coca  COLA ", ["coca cola"], 1],
    // 1 of 4 wrong.
    ["1997", ["1996"], 0.75],
    // Half wrong: not below the threshold.
    ["1988", ["1996"], 0],
    ["the year was 1996", ["1996"], 0],
    ["1997", ["2001", "1997!"], 0.8],
    ["", ["x"], 0],
  ])("%j for %j is %f", (response, answers, value) => {
    expect(anls(response, answers)).toBeCloseTo(value, 12);
  });
});

describe("DocVQA", () => {
  it("is the mean, and the share of exact answers", () => {
    const tally = new DocvqaTally();
    for (const row of [{ response: "1996", answers: ["1996"] }, { response: "1997", answers: "1996" }, { response: "no", answers: ["1996"], group: "table" }]) expect(tally.add(row)).toBeUndefined();
    const { groups } = tally.result();
    expect(groups.map(({ name, num_rows, measures }) => [name, num_rows, measures.anls!.value, measures.accuracy!.value])).toEqual([
      ["table", 1, 0, 0],
      ["all", 3, expect.closeTo(1.75 / 3, 12), expect.closeTo(1 / 3, 12)],
    ]);
  });

  it.each([
    [{ response: "x" }, "no column answers"],
    [{ response: "x", answers: [] }, "answers is empty"],
    [{ response: null, answers: ["x"] }, "no column response"],
  ])("%j: %s", (row, problem) => {
    expect(new DocvqaTally().add(row)).toBe(problem);
  });
});
