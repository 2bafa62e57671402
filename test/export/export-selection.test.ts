import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { RecordBatchReader } from "apache-arrow";
import { describe, expect, it } from "vitest";
import { EXPORT_FORMATS } from "../../src/cli/export.ts";
import { main } from "../../src/cli/main.ts";
import { selectionSchema } from "../../src/core/columns.ts";
import { boolListColumn, float64Column, int32Column, int32ListColumn, makeRecordBatch, messagesColumn, utf8Column, utf8ListColumn } from "../../src/core/record-batch.ts";
import type { Message } from "../../src/core/sample.ts";
import { FORMAT_NAMES } from "../../src/export/formats.ts";
import { ParquetWriter } from "../../src/io/parquet/parquet-writer.ts";
import { loadModel } from "../../src/model/load-model.ts";
import { fakeShell } from "../cli/fake-shell.ts";
import { temporaryFolder } from "../io/temporary-folder.ts";
import { fixtureFolder } from "../model/golden.ts";

const MODEL = fixtureFolder("llava");
const IMAGES = join(MODEL, "images");

function conversation(n: number): Message[] {
  const image = n % 4 === 3 ? "" : "<image>\n";
  return [
    { role: "user", content: `${image}What is number ${n}?` },
    { role: "assistant", content: `A red circle 😀 ${n}` },
    { role: "user", content: "And now?" },
    { role: "assistant", content: "No." },
  ];
}

/** A finished run of `numRows` kept samples, masks of every third token, without any inference. */
async function finishedRun(numRows: number, change: { readonly rewriteAnswers?: boolean } = {}): Promise<string> {
  const out = join(temporaryFolder(), "out");
  const model = await loadModel({ path: MODEL });
  const rows = Array.from({ length: numRows }, (_, n) => {
    const sample = { sample_id: `s${n}`, source: "test", images: n % 4 === 3 ? [] : ["photo.png"], messages: conversation(n) };
    const prepared = model.prepare(sample, []);
    if ("code" in prepared) throw new Error(prepared.message);
    const token_id = prepared.answer_positions.map((position) => prepared.input_ids[position]!);
    return { ...sample, token_id, token_text: change.rewriteAnswers ? [...prepared.token_text].reverse() : prepared.token_text, mask: [...token_id].map((_, t) => n % 4 === 3 || (n + t) % 3 === 0) };
  });
  mkdirSync(join(out, "selection"), { recursive: true });
  const writer = await ParquetWriter.open(join(out, "selection", "part-00000.parquet"), { schema: selectionSchema, compression: "zstd", metadata: {} });
  await writer.write(
    makeRecordBatch(selectionSchema, {
      sample_id: utf8Column(rows.map((row) => row.sample_id)),
      source: utf8Column(rows.map((row) => row.source)),
      images: utf8ListColumn(rows.map((row) => row.images)),
      messages: messagesColumn(rows.map((row) => row.messages)),
      vig: float64Column(rows.map((row) => (row.images.length === 0 ? null : 0.5))),
      token_id: int32ListColumn(rows.map((row) => row.token_id)),
      token_text: utf8ListColumn(rows.map((row) => row.token_text)),
      loss_mask: boolListColumn(rows.map((row) => row.mask)),
      num_active: int32Column(Int32Array.from(rows, (row) => row.mask.filter(Boolean).length)),
      kept_as: utf8Column(rows.map((row) => (row.images.length === 0 ? "text_only" : "vig"))),
    }),
  );
  await writer.finish();
  writeFileSync(join(out, "manifest.json"), JSON.stringify({ run_id: "r", plan_hash: "h", model: model.description }));
  writeFileSync(join(out, "_SUCCESS"), "");
  return out;
}

async function run(...words: string[]): Promise<{ code: number; out: string; err: string }> {
  const shell = fakeShell();
  const code = await main(["export", ...words], shell);
  return { code, out: shell.out(), err: shell.err() };
}

describe("pipeline export", () => {
  it("knows the formats that there are", () => {
    expect(EXPORT_FORMATS).toEqual(FORMAT_NAMES);
  });

  it("writes LLaVA's JSON with spans that count code points", async () => {
    const out = await finishedRun(8);
    expect(await run(out, "--to", "llava-json")).toMatchObject({ code: 0, err: "" });
    const records = JSON.parse(readFileSync(join(out, "export", "llava-json", "train.json"), "utf8")) as { id: string; image?: string; conversations: Record<string, unknown>[] }[];
    expect(records.map(({ id }) => id)).toEqual(Array.from({ length: 8 }, (_, n) => `s${n}`));
    expect(records[3]).toEqual({
      id: "s3",
      source: "test",
      conversations: [
        { from: "human", value: "What is number 3?" },
        { from: "gpt", value: "A red circle 😀 3", loss_mask: [[0, 16]], loss_end_of_turn: true },
        { from: "human", value: "And now?" },
        { from: "gpt", value: "No.", loss_mask: [[0, 3]], loss_end_of_turn: true },
      ],
    });
    expect(records[0]!.image).toBe("photo.png");
  });

  it("writes a saved DatasetDict of Arrow streams whose labels are the mask", async () => {
    const out = await finishedRun(8);
    expect((await run(out, "--to", "llamafactory", "--image-root", IMAGES)).code).toBe(0);
    const folder = join(out, "export", "llamafactory");
    expect(readdirSync(join(folder, "train")).sort()).toEqual(["data-00000-of-00001.arrow", "dataset_info.json", "state.json"]);
    const batches = [...RecordBatchReader.from(readFileSync(join(folder, "train", "data-00000-of-00001.arrow")))];
    const row = batches[0]!.get(0)!.toJSON() as { input_ids: Iterable<number>; labels: Iterable<number>; images: Iterable<string> };
    const [ids, labels] = [[...row.input_ids], [...row.labels]];
    expect([...row.images]).toEqual([join(IMAGES, "photo.png")]);
    expect(labels.length).toBe(ids.length);
    expect(labels.every((label, i) => label === -100 || label === ids[i])).toBe(true);
    expect(labels.filter((label) => label !== -100).length).toBeGreaterThan(2);
  });

  it("replaces an earlier export, but no folder that it did not make", async () => {
    const out = await finishedRun(4);
    const target = join(out, "..", "mine");
    mkdirSync(target);
    writeFileSync(join(target, "thesis.tex"), "");
    const refused = await run(out, "--to", "jsonl", "--out", target);
    expect(refused.code).toBe(2);
    expect(refused.err).toContain("holds files that no export made");
    expect(existsSync(join(target, "thesis.tex"))).toBe(true);
    expect((await run(out, "--to", "jsonl")).code).toBe(0);
    expect((await run(out, "--to", "jsonl")).code).toBe(0);
    expect(readdirSync(join(out, "export"))).toEqual(["jsonl"]);
  });

  it("gives the same bytes again", async () => {
    const out = await finishedRun(20);
    for (const format of FORMAT_NAMES) {
      const [a, b] = [join(out, "..", `a-${format}`), join(out, "..", `b-${format}`)];
      expect((await run(out, "--to", format, "--out", a, "--image-root", IMAGES)).code).toBe(0);
      expect((await run(out, "--to", format, "--out", b, "--image-root", IMAGES)).code).toBe(0);
      const files = readdirSync(a, { recursive: true, encoding: "utf8" }).filter((name) => /\.\w+$/.test(name));
      expect(files.length).toBeGreaterThan(0);
      for (const name of files) expect(readFileSync(join(a, name)).equals(readFileSync(join(b, name))), `${format}/${name}`).toBe(true);
    }
  });

  it("says which samples it leaves out, and fails where none is left", async () => {
    const rewritten = await finishedRun(4, { rewriteAnswers: true });
    const failed = await run(rewritten, "--to", "llava-json");
    expect(failed.code).toBe(1);
    expect(failed.err).toContain("none of the 4 samples can be written");
    expect(existsSync(join(rewritten, "export", "llava-json"))).toBe(false);
    // Token ids are enough for these.
    expect((await run(rewritten, "--to", "llamafactory")).code).toBe(0);
  });

  it("refuses a model with another tokenizer", async () => {
    const out = await finishedRun(4);
    const other = join(out, "..", "other");
    cpSync(MODEL, other, { recursive: true });
    const config = JSON.parse(readFileSync(join(other, "tokenizer_config.json"), "utf8")) as Record<string, unknown>;
    writeFileSync(join(other, "tokenizer_config.json"), JSON.stringify({ ...config, model_max_length: 77 }));
    const refused = await run(out, "--to", "hf-parquet", "--model", other);
    expect(refused.code).toBe(2);
    expect(refused.err).toContain("is not the run's model: tokenizer_config.json differs");
  });

  it.each([
    [["--to", "parquet"], "Allowed choices are"],
    [["--to", "jsonl", "--images"], "jsonl can't hold the images' bytes"],
    [["--to", "hf-parquet", "--images"], "nothing says where they are"],
    [["--to", "jsonl", "--dataset", "selection@30"], "the folder has selection"],
    [["--to", "hf-parquet", "--model", "nowhere"], "no folder"],
  ])("refuses %j and leaves nothing behind", async (words, message) => {
    const out = await finishedRun(4);
    const refused = await run(out, ...words);
    expect(refused.code).toBe(2);
    expect(refused.err).toContain(message);
    expect(existsSync(join(out, "export")) ? readdirSync(join(out, "export")) : []).toEqual([]);
  });

  it("refuses a run that did not finish", async () => {
    const folder = temporaryFolder();
    expect((await run(folder, "--to", "jsonl")).err).toContain("no run has finished there");
    writeFileSync(join(folder, "manifest.json"), "{}");
    expect((await run(folder, "--to", "jsonl")).err).toContain("has no _SUCCESS");
  });
});
