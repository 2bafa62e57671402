import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { alignAnswers } from "../../src/export/align-answers.ts";
import { cutAnswer } from "../../src/export/cut-answers.ts";
import { loadModel } from "../../src/model/load-model.ts";
import { readTokenizer } from "../../src/model/read-tokenizer.ts";
import { fixtureFolder } from "../model/golden.ts";

const ANSWERS = ["A red circle and a blue square.", "The words are not capitalised, number 1234!", "红色 😀 circle", " \n leading and trailing  ", "x"];

async function tokenized(family: string, answer: string) {
  const folder = fixtureFolder(family);
  const messages = [{ role: "user", content: "What?" } as const, { role: "assistant", content: answer } as const];
  const prepared = (await loadModel({ path: folder })).prepare({ sample_id: "", source: "", images: [], messages }, []);
  if ("code" in prepared) throw new Error(prepared.message);
  const [turn] = alignAnswers(messages, prepared.token_text)!;
  const token_id = prepared.answer_positions.map((position) => prepared.input_ids[position]!);
  return { turn: turn!, token_id, encode: (await readTokenizer(folder)).encode };
}

describe("cutAnswer", () => {
  for (const family of ["qwen2_vl", "smolvlm", "llava"]) {
    it.each(ANSWERS)(`of ${family} keeps the tokens of %j and loses no active one, whatever the mask`, async (answer) => {
      const { turn, token_id, encode } = await tokenized(family, answer);
      const whole = encode(answer);
      fc.assert(
        fc.property(fc.array(fc.boolean(), { minLength: token_id.length, maxLength: token_id.length }), (mask) => {
          const { pieces, same_tokens } = cutAnswer(answer, turn, token_id, (token) => mask[token]!, encode);
          expect(pieces.map(({ text }) => text).join("")).toBe(answer);
          expect(pieces[0]!.token_start).toBe(turn.token_start);
          expect(pieces.at(-1)!.token_end).toBe(turn.end_of_turn_start);
          if (same_tokens) expect(pieces.flatMap(({ text }) => [...encode(text)])).toEqual(whole);
          else expect(pieces.length).toBe(1);
          pieces.forEach(({ token_start, token_end, active }, i) => {
            expect(mask.slice(token_start, token_end).some(Boolean)).toBe(active);
            if (i > 0) expect(token_start).toBe(pieces[i - 1]!.token_end);
          });
          for (let i = 1; i < pieces.length; i++) expect(pieces[i]!.active).not.toBe(pieces[i - 1]!.active);
        }),
        { numRuns: 30 },
      );
    });
  }

  it("cuts a byte-level answer at words", async () => {
    const answer = ANSWERS[0]!;
    const { turn, token_id, encode } = await tokenized("qwen2_vl", answer);
    const place = (token: number): number => turn.ranges[token]!.start;
    const isActive = (token: number): boolean => token < turn.ranges.length && place(token) >= answer.indexOf(" blue") && place(token) < answer.indexOf(" square");
    const { pieces } = cutAnswer(answer, turn, token_id, isActive, encode);
    expect(pieces.map(({ text, active }) => [text, active])).toEqual([
      ["A red circle and a", false],
      [" blue", true],
      [" square.", false],
    ]);
  });
});
