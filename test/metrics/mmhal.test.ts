import { describe, expect, it } from "vitest";
import { MmhalTally, ratingIn } from "../../src/metrics/mmhal.ts";

describe("a judge's rating", () => {
  it.each([
    ["The answer is right.\nRating: 6", 6],
    ["**Rating:** 2 - bad", 2],
    ["Rating: 3, very informative. So, rating: 3", 3],
    ["Rating: 3 or Rating: 4", undefined],
    ["No number", undefined],
  ])("%j: %s", (text, rating) => {
    expect(ratingIn(text)).toBe(rating);
  });
});

describe("MMHal", () => {
  it("is the mean score and the share below 3", () => {
    const tally = new MmhalTally();
    for (const [score, question_type] of [[6, "attribute"], [2, "attribute"], ["3", "counting"], [0, "counting"]] as const) expect(tally.add({ score, question_type })).toBeUndefined();
    expect(tally.add({ judgement: "Rating: 4", question_type: "counting" })).toBeUndefined();
    const { groups } = tally.result();
    expect(groups.map(({ name, num_rows, measures }) => [name, num_rows, measures.score!.value, measures.hallucination!.value])).toEqual([
      ["attribute", 2, 4, 0.5],
      ["counting", 3, expect.closeTo(7 / 3, 12), expect.closeTo(1 / 3, 12)],
      ["all", 5, 3, 0.4],
    ]);
  });

  it.each([
    [{}, "no column score or judgement"],
    [{ score: 7 }, "score is 7, not a number from 0 to 6"],
    [{ score: "six" }, 'score is "six", not a number from 0 to 6'],
    [{ judgement: "fine" }, 'judgement has no "Rating: n", or several that differ'],
    [{ judgement: "Rating: 9" }, "the rating 9 is over 6"],
  ])("%j: %s", (row, problem) => {
    expect(new MmhalTally().add(row)).toBe(problem);
  });
});
