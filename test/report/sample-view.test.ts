import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Message } from "../../src/core/sample.ts";
import { type TokenView, viewSamples, viewTurns } from "../../src/report/sample-view.ts";
import { scoresOf, syntheticSamples } from "./synthetic-run.ts";

const tokens = (...texts: string[]): TokenView[] => texts.map((text, i) => [text, i, 1]);
const texts = (turn: unknown): string[] | undefined => (turn as { tokens?: TokenView[] }).tokens?.map(([text]) => text);
const dialogue = (...turns: [Message["role"], string][]): Message[] => turns.map(([role, content]) => ({ role, content }));

describe("the turns of a sample", () => {
  it("have the tokens of each answer in their place, with the end of turn behind them", () => {
    const turns = viewTurns(
      dialogue(["user", "<image>\nWhat?"], ["assistant", "A cat."], ["user", "And?"], ["assistant", "A dog"]),
      tokens("A", " cat", ".", "</s>", "A", " dog", "</s>"),
    );
    expect(turns.map((turn) => texts(turn) ?? ("text" in turn ? turn.text : ""))).toEqual(["<image>\nWhat?", ["A", " cat", ".", "</s>"], "And?", ["A", " dog", "</s>"]]);
  });

  it("end where truncation ended them", () => {
    const turns = viewTurns(dialogue(["user", "?"], ["assistant", "one two three"]), tokens("one", " two"));
    expect(texts(turns[1])).toEqual(["one", " two"]);
  });

  it("keep all tokens in one turn where they don't spell the answers", () => {
    const turns = viewTurns(dialogue(["user", "?"], ["assistant", "one two"]), tokens("eins", " zwei"));
    expect(turns).toHaveLength(3);
    expect(texts(turns[2])).toEqual(["eins", " zwei"]);
  });

  it("stay short whatever is in the data", () => {
    const long = Array.from({ length: 5_000 }, (_, i) => ` word${i}`);
    const turns = viewTurns(dialogue(["user", "x".repeat(1e6)], ["assistant", long.join("")]), tokens(...long));
    expect(JSON.stringify(turns).length).toBeLessThan(40_000);
    expect(texts(turns[1])).toHaveLength(800);
  });

  it("cut no character in half", () => {
    const [turn] = viewTurns(dialogue(["user", "😀".repeat(3_000)]), []);
    expect((turn as { text: string }).text).toMatch(/^(?:😀)+…$/u);
  });
});

describe("a sample's view", () => {
  it("has token VIGs from which the stored float32 comes back", () => {
    fc.assert(
      fc.property(fc.array(fc.float({ noNaN: true, noDefaultInfinity: true }), { minLength: 1, maxLength: 20 }), (vigs) => {
        const [sample] = syntheticSamples(1);
        const batch = scoresOf([{ ...sample!, tokens: vigs.map((vig) => ({ text: "x", vig, nll_image: 1 })), images: ["a.png"] }]);
        const [view] = viewSamples(batch, [{ place: 0, groups: ["highest"] }]);
        const shown = view!.turns.flatMap((turn) => ("tokens" in turn ? turn.tokens : []));
        // JSON, which the page reads them from, has no -0.
        expect(shown.map((token) => Math.fround(JSON.parse(JSON.stringify(token[1])) as number) + 0)).toEqual(vigs.map((vig) => vig + 0));
      }),
    );
  });

  it("of a text-only sample has no numbers", () => {
    const sample = syntheticSamples(400).find(({ images }) => images.length === 0)!;
    const [view] = viewSamples(scoresOf([sample]), [{ place: 0, groups: ["random"] }]);
    expect(view).toMatchObject({ vig: null, nll_image: null, images: [] });
    expect(view!.turns.flatMap((turn) => ("tokens" in turn ? turn.tokens : [])).every((token) => token.length === 1)).toBe(true);
  });
});
