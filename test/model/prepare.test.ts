import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Message, Sample } from "../../src/core/sample.ts";
import type { Model, Prepared } from "../../src/model/contract.ts";
import { loadModel } from "../../src/model/load-model.ts";
import { fixtureFolder } from "./golden.ts";

const QUESTION: Message = { role: "user", content: "<image>\nWhat is it?" };

function sample(messages: readonly Message[], images: readonly string[] = ["a.png"]): Sample {
  return { sample_id: "s", source: "", images, messages };
}

function answered(answer: string): Sample {
  return sample([QUESTION, { role: "assistant", content: answer }]);
}

describe("prepare with the LLaVA v1 template", () => {
  let model: Model;

  beforeAll(async () => {
    model = await loadModel({ path: fixtureFolder("llava") });
  });

  test("says that the folder has no template", () => {
    expect(model.description.template).toBe("llava_v1");
    expect(model.warnings).toEqual(["the model folder has no chat template: using llava_v1"]);
  });

  test("supervises each answer and its end of turn, and nothing else", () => {
    const turns = sample([QUESTION, { role: "assistant", content: "a cat" }, { role: "user", content: "sure?" }, { role: "assistant", content: "yes" }]);
    const prepared = model.prepare(turns, []) as Prepared;
    expect(prepared.token_text.join("|").replaceAll("|", "")).toBe("a cat</s>yes</s>");
    expect(prepared.answer_positions.length).toBe(prepared.token_text.length);
    expect([...prepared.answer_positions]).toEqual([...prepared.answer_positions].sort((a, b) => a - b));
    expect(prepared.answer_positions.at(-1)).toBe(prepared.input_ids.length - 1);
  });

  test("puts characters that are cut into several tokens on the last of them", () => {
    const prepared = model.prepare(answered("猫😀"), []) as Prepared;
    expect(prepared.token_text.filter((text) => text !== "")).toEqual(["猫", "😀", "</s>"]);
    expect(prepared.token_text.length).toBeGreaterThan(6);
  });

  test.each([
    ["an image without placeholder", sample([{ role: "user", content: "hi" }, { role: "assistant", content: "hi" }]), "image_without_placeholder"],
    ["a placeholder without image", sample([QUESTION, { role: "assistant", content: "hi" }], []), "placeholder_without_image"],
    ["a placeholder in an answer", sample([{ role: "user", content: "hi" }, { role: "assistant", content: "<image> it is" }]), "placeholder_without_image"],
    ["no answer", sample([QUESTION]), "empty_answer"],
  ] as const)("rejects %s", (_, bad, code) => {
    expect(model.prepare(bad, [])).toMatchObject({ code });
  });

  test("cuts at max_length after image expansion and counts what it cut", async () => {
    const long = answered("a cat and a dog and a boat");
    const whole = model.prepare(long, []) as Prepared;
    const keep = whole.answer_positions[3]! + 1;
    const short = await loadModel({ path: fixtureFolder("llava"), max_length: keep });
    const cut = short.prepare(long, []) as Prepared;
    expect([...cut.input_ids]).toEqual([...whole.input_ids.subarray(0, keep)]);
    expect([...cut.answer_positions]).toEqual([...whole.answer_positions.subarray(0, 4)]);
    expect(cut.token_text).toEqual(whole.token_text.slice(0, 4));
    expect(cut.num_truncated).toBe(whole.answer_positions.length - 4);
    const none = await loadModel({ path: fixtureFolder("llava"), max_length: whole.answer_positions[0]! });
    expect(none.prepare(long, [])).toMatchObject({ code: "answer_truncated" });
  });

  test("takes a system turn in place of its own sentence", () => {
    const length = (messages: readonly Message[]) => (model.prepare(sample(messages), []) as Prepared).input_ids.length;
    const turns: Message[] = [QUESTION, { role: "assistant", content: "a cat" }];
    expect(length([{ role: "system", content: "Be brief." }, ...turns])).toBeLessThan(length(turns));
  });
});

describe("chat templates of a folder", () => {
  let folder: string;

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "vig-template-"));
    cpSync(fixtureFolder("llava"), folder, { recursive: true });
  });

  afterAll(() => rmSync(folder, { recursive: true }));

  async function prepareWith(template: string, of: Sample) {
    writeFileSync(join(folder, "chat_template.jinja"), template);
    return (await loadModel({ path: folder })).prepare(of, []);
  }

  test("a template that changes earlier turns is a reject, not a silent zero", async () => {
    const changing = "{% for m in messages %}{{ m['role'] }}{% if not loop.last %} old{% endif %}: {{ m['content'] }}</s>{% endfor %}";
    const turns = sample([{ role: "user", content: "a" }, { role: "assistant", content: "b" }, { role: "user", content: "c" }, { role: "assistant", content: "d" }], []);
    expect(await prepareWith(changing, turns)).toMatchObject({ code: "tokenization_mismatch" });
  });

  test("a template that refuses a conversation is a reject with its own words", async () => {
    const refusing = "{{ raise_exception('no systems here') }}";
    const found = await prepareWith(refusing, answered("x"));
    expect(found).toMatchObject({ code: "tokenization_mismatch" });
    expect((found as { message: string }).message).toContain("no systems here");
  });

  test("without a generation prompt the answer's beginning is searched for", async () => {
    const plain = "{{ bos_token }}{% for m in messages %}{{ m['role'] | upper }}: {{ m['content'] }}{{ eos_token }}{% endfor %}";
    const prepared = (await prepareWith(plain, answered("a cat"))) as Prepared;
    expect(prepared.token_text.join("")).toBe("a cat</s>");
  });

  test("a template finds every token that the folder names", async () => {
    const path = join(folder, "tokenizer_config.json");
    const stored = readFileSync(path, "utf8");
    writeFileSync(path, JSON.stringify({ ...(JSON.parse(stored) as object), image_token: { content: "<image>" }, extra_special_tokens: { sep_token: "</s>" } }));
    const named =
      "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}{% for part in m['content'] %}{% if part['type'] == 'image' %}{{ image_token }}{% else %}{{ part['text'] }}{% endif %}{% endfor %}{{ '\n' }}" +
      "{% else %}{{ m['content'][0]['text'] + sep_token }}{% endif %}{% endfor %}{% if none_token is defined %}no{% endif %}";
    const prepared = (await prepareWith(named, answered("a cat"))) as Prepared;
    writeFileSync(path, stored);
    expect(prepared.token_text.join("")).toBe("a cat</s>");
  });

  test("a template that writes the date writes the same one on any day", async () => {
    const dated = "{{ strftime_now('%d %b %Y') }}{% for m in messages %}{{ m['role'] + ' ' + m['content'] }}</s>{% endfor %}{% if add_generation_prompt %}assistant {% endif %}";
    const fixed = dated.replace("{{ strftime_now('%d %b %Y') }}", "26 Jul 2024");
    expect(await prepareWith(dated, answered("a cat"))).toEqual(await prepareWith(fixed, answered("a cat")));
  });

  test("white space at an answer's beginning belongs to it where the template opens answers in another way than it prompts", async () => {
    const other = "{% for m in messages %}{{ m['role'] + ' \n' + m['content'] }}</s>{% endfor %}{% if add_generation_prompt %}assistant\n{% endif %}";
    const prepared = (await prepareWith(other, answered("  a cat"))) as Prepared;
    expect(prepared.token_text.join("")).toBe("  a cat</s>");
  });

  test("white space behind an end of turn is not supervised", async () => {
    const lines = "{{ bos_token }}{% for m in messages %}{{ m['role'] }}\n{{ m['content'] }}</s>\n{% endfor %}{% if add_generation_prompt %}assistant\n{% endif %}";
    const prepared = (await prepareWith(lines, answered("a cat"))) as Prepared;
    expect(prepared.token_text.join("")).toBe("a cat</s>");
    expect(prepared.answer_positions.at(-1)).toBeLessThan(prepared.input_ids.length - 1);
  });
});

test("unknown answer tokens are counted", async () => {
  const folder = mkdtempSync(join(tmpdir(), "vig-unknown-"));
  cpSync(fixtureFolder("llava"), folder, { recursive: true });
  const { readFileSync } = await import("node:fs");
  const tokenizer = JSON.parse(readFileSync(join(folder, "tokenizer.json"), "utf8")) as { model: { byte_fallback: boolean } };
  tokenizer.model.byte_fallback = false;
  writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(tokenizer));
  const prepared = (await loadModel({ path: folder })).prepare(answered("a 猫 cat"), []) as Prepared;
  rmSync(folder, { recursive: true });
  expect(prepared.num_unknown).toBe(1);
});
