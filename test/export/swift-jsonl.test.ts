import { describe, expect, it } from "vitest";
import { swiftRecord } from "../../src/export/swift-jsonl.ts";
import { loadModel } from "../../src/model/load-model.ts";
import { readTokenizer } from "../../src/model/read-tokenizer.ts";
import { fixtureFolder } from "../model/golden.ts";

const MESSAGES = [
  { role: "user", content: "<image>\nHow many cards?\nSay it." },
  { role: "assistant", content: "The number is one." },
  { role: "user", content: "And cows?" },
  { role: "assistant", content: "Two cows." },
] as const;

/** The record of the conversation in which the tokens of these texts are active. */
async function recordWith(...active: readonly string[]) {
  const folder = fixtureFolder("qwen2_vl");
  const sample = { sample_id: "a", source: "", images: ["a.png"], messages: [...MESSAGES] };
  const prepared = (await loadModel({ path: folder })).prepare(sample, [{ width: 112, height: 112 }]);
  if ("code" in prepared) throw new Error(prepared.message);
  const { token_text, input_ids, answer_positions } = prepared;
  const loss_mask = Uint8Array.from(token_text, (text) => (active.includes(text) ? 1 : 0));
  const token_id = Int32Array.from(answer_positions, (position) => input_ids[position]!);
  const num_active = loss_mask.reduce((sum, one) => sum + one, 0);
  const made = swiftRecord((await readTokenizer(folder)).encode, "/images")({ ...sample, token_text, token_id, loss_mask, num_active, vig: 1, kept_as: "" })!;
  return { ...made, num_active };
}

type Record = { readonly messages: readonly { readonly role: string; readonly content: string; readonly loss?: boolean }[]; readonly images: readonly string[] };
const pieces = (record: object): unknown[] => (record as Record).messages.map(({ content, loss }) => (loss === undefined ? content : [content, loss]));

describe("swiftRecord", () => {
  it("counts the mark behind the conversation, which always has a loss", async () => {
    const { record, num_active, num_trained } = await recordWith(" one");
    const inactive = await recordWith();
    expect([inactive.num_active, inactive.num_trained]).toEqual([0, 1]);
    expect([num_active, num_trained]).toEqual([1, 2]);
    expect((record as Record).images).toEqual(["/images/a.png"]);
  });

  it("leaves out the one newline behind an image", async () => {
    const { record } = await recordWith();
    expect(pieces(record)).toEqual(["<image>How many cards?\nSay it.", ["The number is one.", false], "And cows?", ["Two cows.", false]]);
  });

  it("trains the end of an answer whose mark before the next turn is active, but not of the last", async () => {
    const { record, num_active, num_trained } = await recordWith("<|im_end|>");
    expect(num_active).toBe(2);
    expect(pieces(record).slice(1)).toEqual([["The number is one", false], [".", true], "And cows?", ["Two cows.", false]]);
    expect(num_trained).toBe(3);
  });
});
