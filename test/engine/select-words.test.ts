import { describe, expect, it } from "vitest";
import { WordVigs } from "../../src/engine/select-words.ts";
import { scoresOf, textOnly, type ScoredSample } from "../stages/selection-scores.ts";

/** Pieces and VIGs of one answer. */
function answer(...tokens: readonly (readonly [piece: string, vig: number])[]): ScoredSample {
  return { tokens: tokens.map(([piece]) => piece), token_vig: Float32Array.from(tokens, ([, vig]) => vig) };
}

function wordsOf(samples: readonly ScoredSample[], times = 10, numTokens?: number): Record<string, { mean_vig: number; count: number }> {
  const words = new WordVigs(numTokens);
  for (let i = 0; i < times; i++) words.observe(scoresOf(samples));
  const { highest, lowest } = words.extremes();
  return Object.fromEntries([...highest, ...lowest].map(({ word, ...rest }) => [word, rest]));
}

const ten = (mean_vig: number) => ({ mean_vig, count: 10 });

describe("WordVigs", () => {
  it.each([
    ["joins the pieces of a word", [["a", 0], [" ele", 2], ["phant", 4], [".", 9]], { a: ten(0), elephant: ten(3) }],
    ["ignores case and punctuation", [["Red", 1], [",", 8], [" red", 3], ["!", 8]], { red: { mean_vig: 2, count: 20 } }],
    ["keeps apostrophes and hyphens inside words", [["isn", 1], ["'", 2], ["t", 3], [" x", 1], ["-", 2], ["ray", 6], [" -", 9], [" '", 9]], { "isn't": ten(2), "x-ray": ten(3) }],
    ["gives a token that spans two words to both", [["new york", 4]], { new: ten(4), york: ten(4) }],
    ["ends words at markup and at empty tokens", [["yes", 1], ["</s>", 9], ["no", 3], ["", 9], ["maybe", 5], ["<|im_end|>", 9]], { yes: ten(1), no: ten(3), maybe: ten(5) }],
    ["counts all parts of a character that is split over tokens", [["caf", 1], ["", 2], ["é", 6], [" ", 0], ["", 4], ["éa", 8]], { café: ten(3), éa: ten(6) }],
    ["takes digits and other scripts as words", [["3", 1], [" кот", 2], [" 猫", 4]], { "3": ten(1), кот: ten(2), 猫: ten(4) }],
  ] as const)("%s", (_name, tokens, expected) => {
    expect(wordsOf([answer(...tokens)])).toEqual(expected);
  });

  it("orders the highest down and the lowest up, and shows no word twice nor a rare one", () => {
    const words = new WordVigs();
    const common = Array.from({ length: 30 }, (_, i) => answer([`w${String(i).padStart(2, "0")}`, i]));
    for (let i = 0; i < 10; i++) words.observe(scoresOf(common));
    for (let i = 0; i < 9; i++) words.observe(scoresOf([answer(["rare", 99])]));
    const { highest, lowest } = words.extremes();
    expect(highest.map(({ mean_vig }) => mean_vig)).toEqual([29, 28, 27, 26, 25, 24, 23, 22, 21, 20]);
    expect(lowest.map(({ mean_vig }) => mean_vig)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(wordsOf(common.slice(0, 3))).toEqual({ w00: ten(0), w01: ten(1), w02: ten(2) });
  });

  it("leaves text-only samples out", () => {
    expect(wordsOf([textOnly(3)])).toEqual({});
  });

  it("looks at every n-th sample of large data", () => {
    const samples = [answer(["even", 1]), answer(["odd", 2])];
    expect(wordsOf(samples, 10, 4_000_001)).toEqual({ even: ten(1) });
    expect(wordsOf(samples, 10, 4_000_000)).toEqual({ even: ten(1), odd: ten(2) });
  });

  it("holds a bounded number of words and keeps the frequent ones", () => {
    const words = new WordVigs();
    for (let i = 0; i < 130; i++) {
      words.observe(scoresOf([answer(["often", 1]), ...Array.from({ length: 1000 }, (_, j) => answer([`w${i}x${j}`, 0]))]));
    }
    expect(words.numWords).toBeLessThanOrEqual(50_000);
    expect(words.extremes().highest[0]).toMatchObject({ word: "often", count: 130 });
  });
});
