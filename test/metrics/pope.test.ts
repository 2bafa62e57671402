import { describe, expect, it } from "vitest";
import { popeMeasures, PopeTally, yesOrNo } from "../../src/metrics/pope.ts";

describe("what a response says", () => {
  it.each([
    ["Yes", "yes", true],
    ["No.", "no", true],
    ["Yes, there is a dog. No cat though.", "yes", true],
    ["There is not a dog in the image", "no", true],
    ["no, but yes", "no", true],
    ["I know it", "yes", false],
    ["", "yes", false],
    ["A dog is there", "yes", false],
    ["NO!", "no", true],
  ] as const)("%j: %s", (text, answer, is_clear) => {
    expect(yesOrNo(text)).toEqual({ answer, is_clear });
  });
});

describe("measures", () => {
  it("are those of the confusion matrix", () => {
    // 6 + 2 yes, 3 + 1 no of 12: precision 6/8, recall 6/7, F1 = 12/15.
    const measures = popeMeasures({ true_yes: 6, false_yes: 2, true_no: 3, false_no: 1 });
    expect(measures.accuracy!.value).toBeCloseTo(9 / 12, 12);
    expect(measures.precision!.value).toBeCloseTo(6 / 8, 12);
    expect(measures.recall!.value).toBeCloseTo(6 / 7, 12);
    expect(measures.f1!.value).toBeCloseTo(12 / 15, 12);
    expect(measures.yes!.value).toBeCloseTo(8 / 12, 12);
    for (const { value, low, high } of Object.values(measures)) expect(low! < value! && value! < high!).toBe(true);
  });

  it("are absent where nobody said yes", () => {
    expect(popeMeasures({ true_yes: 0, false_yes: 0, true_no: 5, false_no: 0 }).precision!.value).toBeNull();
  });
});

describe("rows", () => {
  it("are grouped by sampling, the average last", () => {
    const tally = new PopeTally();
    const add = (sampling: string, response: string, label: string) => expect(tally.add({ response, label, sampling })).toBeUndefined();
    add("adversarial", "Yes", "no");
    add("adversarial", "Yes", "yes");
    add("random", "Yes", "Yes ");
    add("random", "No", "no");
    add("popular", "hm", "yes");
    const { groups, notes } = tally.result();
    expect(groups.map(({ name, num_rows }) => [name, num_rows])).toEqual([["random", 2], ["popular", 1], ["adversarial", 2], ["average", 5]]);
    expect(groups.map(({ measures }) => measures.accuracy!.value)).toEqual([1, 1, 0.5, 2.5 / 3]);
    expect(notes).toEqual([expect.stringMatching(/^1 responses say neither/)]);
  });

  it.each([
    [{ label: "yes" }, "no column response"],
    [{ response: 1, label: "yes" }, "response is not text"],
    [{ response: "Yes" }, "no column label"],
    [{ response: "Yes", label: "maybe" }, 'label is "maybe", not yes or no'],
  ])("%j: %s", (row, problem) => {
    expect(new PopeTally().add(row)).toBe(problem);
  });
});
