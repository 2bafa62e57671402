import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Message } from "../../src/core/sample.ts";
import { activeSpans } from "../../src/export/active-spans.ts";
import { alignAnswers } from "../../src/export/align-answers.ts";
import { loadModel } from "../../src/model/load-model.ts";
import { readGolden } from "../model/golden.ts";

const turn = (content: string): Message[] => [{ role: "user", content: "Ask." }, { role: "assistant", content }];
const codePoints = (text: string, start: number, end: number): string => Array.from(text).slice(start, end).join("");

describe("alignAnswers", () => {
  it.each(["llava", "idefics3", "smolvlm", "qwen2_vl", "gemma3", "paligemma", "llava_qwen2"])(
    "finds every token of every conversation of %s in its answer",
    async (family) => {
      const golden = readGolden(family);
      const model = await loadModel({ path: golden.folder });
      let numTokens = 0;
      for (const { messages, images, variant } of golden.cases) {
        if (variant !== "default") continue;
        const sizes = images.map(({ name }) => golden.images[name]!);
        const prepared = model.prepare({ sample_id: "", source: "", images: images.map(({ name }) => name), messages }, model.needs_image_sizes ? sizes : []);
        if ("code" in prepared) throw new Error(prepared.message);
        const turns = alignAnswers(messages, prepared.token_text)!;
        expect(turns.map(({ message }) => messages[message]!.role)).toEqual(messages.filter(({ role }) => role === "assistant").map(({ role }) => role));
        expect(turns.at(-1)!.token_end).toBe(prepared.token_text.length);
        for (const { message, token_start, end_of_turn_start, token_end, ranges } of turns) {
          expect(token_end - end_of_turn_start).toBe(1);
          expect(ranges.length).toBe(end_of_turn_start - token_start);
          const content = messages[message]!.content;
          ranges.forEach(({ start, end }, i) => {
            const text = prepared.token_text[token_start + i]!;
            // A token of a split character shows the whole of it.
            if (text !== "") expect(content.slice(start, end).normalize("NFC")).toBe(text.normalize("NFC"));
            else expect(end > start || i === 0).toBe(true);
          });
          const [whole] = activeSpans(messages, turns, (token) => token >= token_start && token < end_of_turn_start).filter((active) => active.message === message);
          expect(whole!.spans.map(([start, end]) => codePoints(content, start, end)).join("")).toBe(content.trim());
          numTokens += ranges.length;
        }
      }
      expect(numTokens).toBeGreaterThan(300);
    },
  );

  it("tells equal answers of several turns apart", () => {
    const messages = [...turn("Yes."), ...turn("Yes."), ...turn("Yes. Yes.")];
    const turns = alignAnswers(messages, ["Yes", ".", "</s>", "Yes", ".", "</s>", "Yes", ".", " Yes", ".", "</s>"])!;
    expect(turns.map(({ message, token_start, end_of_turn_start, token_end }) => [message, token_start, end_of_turn_start, token_end])).toEqual([
      [1, 0, 2, 3],
      [3, 3, 5, 6],
      [5, 6, 10, 11],
    ]);
  });

  it("takes an empty turn and an end of turn of several tokens", () => {
    const messages = [...turn(""), ...turn("No")];
    const turns = alignAnswers(messages, ["<", "/s", ">", "No", "<", "/s", ">"])!;
    expect(turns.map(({ ranges, token_end }) => [ranges.length, token_end])).toEqual([[0, 3], [1, 7]]);
  });

  it("leaves out what truncation cut off", () => {
    const messages = [...turn("A red circle"), ...turn("No")];
    const turns = alignAnswers(messages, ["A", " red"])!;
    expect(turns).toEqual([{ message: 1, token_start: 0, end_of_turn_start: 2, token_end: 2, ranges: [{ start: 0, end: 1 }, { start: 1, end: 5 }] }]);
    expect(activeSpans(messages, turns, () => true)).toEqual([
      { message: 1, spans: [[0, 5]], end_of_turn: false },
      { message: 3, spans: [], end_of_turn: false },
    ]);
  });

  it("gives all tokens of a character that character", () => {
    const turns = alignAnswers(turn("a😀b"), ["a", "", "", "", "😀", "b", "</s>"])!;
    expect(turns[0]!.ranges).toEqual([{ start: 0, end: 1 }, ...Array<object>(4).fill({ start: 1, end: 3 }), { start: 3, end: 4 }]);
    // One of the four is active: in code points the character is one.
    expect(activeSpans(turn("a😀b"), turns, (token) => token === 2)).toEqual([{ message: 1, spans: [[1, 2]], end_of_turn: false }]);
  });

  it("gives a space that only the template has no character", () => {
    const turns = alignAnswers(turn("Red"), ["", "Red", "</s>"])!;
    expect(turns[0]!.ranges).toEqual([{ start: 0, end: 0 }, { start: 0, end: 3 }]);
    expect(activeSpans(turn("Red"), turns, (token) => token === 0)).toEqual([{ message: 1, spans: [], end_of_turn: false }]);
  });

  it("finds places in the text as it was written where the tokenizer composes characters", () => {
    const messages = turn("cafe\u0301 o");
    const turns = alignAnswers(messages, ["caf", "\u00e9", " o", "</s>"])!;
    expect(turns[0]!.ranges).toEqual([{ start: 0, end: 3 }, { start: 3, end: 5 }, { start: 5, end: 7 }]);
  });

  it("gives unknown tokens what stands between their neighbours", () => {
    const messages = [...turn("A ẞß red"), ...turn("ẞ"), ...turn("No")];
    const turns = alignAnswers(messages, ["A", " ", "<unk>", "<unk>", " red", "</s>", "<unk>", "</s>", "No", "</s>"])!;
    expect(turns.map(({ ranges }) => ranges.map(({ start, end }) => [start, end]))).toEqual([
      [[0, 1], [1, 2], [2, 4], [2, 4], [4, 8]],
      [[0, 1]],
      [[0, 2]],
    ]);
  });

  it("says so where the tokens show another text", () => {
    expect(alignAnswers(turn("A red dog"), ["A", " blue", " dog", "</s>"])).toBeUndefined();
    expect(alignAnswers(turn("Yes."), ["No", ".", "</s>"])).toBeUndefined();
  });

  it("partitions the tokens of any conversation cut at any places", () => {
    const word = fc.stringMatching(/^[ a-c😀é]{1,6}$/);
    const conversation = fc.array(fc.array(word, { minLength: 1, maxLength: 5 }), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(conversation, (answers) => {
        const messages = answers.flatMap((words) => turn(words.join("")));
        const texts = answers.flatMap((words) => [...words, "</s>"]);
        const turns = alignAnswers(messages, texts)!;
        expect(turns.map(({ token_start }) => token_start)).toEqual([0, ...turns.slice(0, -1).map(({ token_end }) => token_end)]);
        expect(turns.at(-1)!.token_end).toBe(texts.length);
        turns.forEach(({ message, token_start, ranges }, i) => {
          expect(ranges.map(({ start, end }) => messages[message]!.content.slice(start, end))).toEqual(texts.slice(token_start, token_start + ranges.length));
          expect(ranges.length).toBeLessThanOrEqual(answers[i]!.length);
        });
      }),
    );
  });
});
