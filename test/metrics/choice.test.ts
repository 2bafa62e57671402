import { describe, expect, it } from "vitest";
import { ChoiceTally, chosenLetter } from "../../src/metrics/choice.ts";

const animals = ["a cat", "a dog", "a red fox", "a fox"];

describe("the letter that a response chooses", () => {
  it.each([
    ["B", "B"],
    ["b", "B"],
    ["B.", "B"],
    ["(B)", "B"],
    ["(b)", "B"],
    ["[B]", "B"],
    ["**B**", "B"],
    ["`B`", "B"],
    ["'B'", "B"],
    ["B) a dog", "B"],
    ["B. A dog is shown.", "B"],
    ["(B) a dog", "B"],
    ["B: a dog", "B"],
    ["B - a dog", "B"],
    ["B, because it barks", "B"],
    ["B because it barks", "B"],
    ["B\n\nIt barks.", "B"],
    ["Option B", "B"],
    ["Answer: B", "B"],
    ["answer: (B)", "B"],
    ["The answer is B", "B"],
    ["The correct answer is (B) a dog.", "B"],
    ["The correct answer is option B.", "B"],
    ["I would choose B.", "B"],
    ["I pick option B since it barks", "B"],
    ["It barks, so B is correct", "B"],
    ["It barks, hence (B).", "B"],
    ["It barks, hence B.", "B"],
    ["A", "A"],
    ["A. It meows", "A"],
    ["The answer is A because it meows", "A"],
    ["a dog", "B"],
    ["It is a dog, I think.", "B"],
    // The longer option, not the one inside it.
    ["It is a red fox", "C"],
    // Articles are no letters.
    ["A dog is there", "B"],
    ["The answer is a dog", "B"],
    ["Answer: A dog", "B"],
    // Nothing, or several.
    ["", undefined],
    ["I can't tell", undefined],
    ["A or B", undefined],
    ["(A) or (B)", undefined],
    ["A. a cat B. a dog C. a red fox D. a fox", undefined],
    ["It is a cat or a dog", undefined],
    // No such option.
    ["The answer is E", undefined],
  ])("%j: %s", (response, letter) => {
    expect(chosenLetter(response, 4, animals)).toBe(letter);
  });
});

describe("accuracy", () => {
  it("is by category, over all, and over questions right in every rotation", () => {
    const tally = new ChoiceTally();
    const add = (question_id: string, category: string, response: string, label: string) => expect(tally.add({ question_id, category, response, label, options: { A: "x", B: "y" } })).toBeUndefined();
    add("1", "ocr", "A", "A");
    add("1", "ocr", "B", "B");
    add("2", "logic", "A", "A");
    add("2", "logic", "A", "b");
    add("3", "logic", "hm", "A");
    const { groups, notes } = tally.result();
    expect(groups.map(({ name, num_rows, measures }) => [name, num_rows, measures.accuracy!.value])).toEqual([
      ["logic", 3, expect.closeTo(1 / 3, 12)],
      ["ocr", 2, 1],
      ["all", 5, 0.6],
      ["circular: all rotations right", 3, expect.closeTo(1 / 3, 12)],
    ]);
    expect(notes).toEqual([expect.stringMatching(/^1 responses choose no letter/)]);
  });

  it("has no circular line where nothing rotates", () => {
    const tally = new ChoiceTally();
    tally.add({ question_id: 1, response: "A", label: "A" });
    tally.add({ question_id: 2, response: "A", label: "A" });
    expect(tally.result().groups.map(({ name }) => name)).toEqual(["all"]);
  });

  it.each([
    [{ response: "A" }, "no column label"],
    [{ response: "A", label: "AB" }, 'label is "AB", not a letter from A to H'],
    [{ response: "A", label: "C", options: ["x", "y"] }, 'label is "C", not a letter from A to B'],
    [{ response: "A", label: "A", options: { B: "x" } }, "options is neither a list of texts nor texts by letter A, B, C ..."],
    [{ response: "A", label: "A", options: [] }, "options is neither a list of texts nor texts by letter A, B, C ..."],
  ])("%j: %s", (row, problem) => {
    expect(new ChoiceTally().add(row)).toBe(problem);
  });
});
