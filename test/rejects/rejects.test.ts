/**
 * Bad samples end to end: each leaves with its code, none costs another sample, and what an odd but sound image holds is
 * scored. The run without the bad ones says what the others' scores should be.
 */
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import type { RecordBatch } from "apache-arrow";
import { ModelProtoSchema } from "onnx-buf";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { REJECT_CODES, type RejectCode } from "../../src/core/rejects.ts";
import { readDataset } from "../../src/io/output/read-output.ts";
import { type Ended, logLines, pipeline, TINY_MODEL } from "../resume/job.ts";
import { GOOD_IMAGES, pngBomb } from "./odd-images.ts";

vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 });

const root = path.join(import.meta.dirname, "..", "..");
const demo = path.join(root, "data", "demo");
const folder = mkdtempSync(path.join(tmpdir(), "vig-rejects-"));
const images = path.join(folder, "images");

interface Turn {
  readonly from: string;
  readonly value: unknown;
}
interface Rec {
  readonly id?: string;
  readonly image?: unknown;
  readonly conversations?: readonly Turn[];
}

const turns = (answer: string, question = "<image>\nWhat do you see?"): Turn[] => [
  { from: "human", value: question },
  { from: "gpt", value: answer },
];
/** A token (byte 0x25) that the spoilt model's embedding has NaN for. */
const NAN_TOKEN = "%";

const good: Rec[] = [
  ...["photo.png", "square.png", "wide.png"].flatMap((image, i) => ["It is red.", "It is a green and blue thing.", "No."].map((answer, j) => ({ id: `plain-${i}-${j}`, image, conversations: turns(answer) }))),
  ...Object.keys(GOOD_IMAGES).map((image) => ({ id: image, image, conversations: turns("It is what it is.") })),
  { id: "text-only", conversations: turns("Yes.", "Is it so?") },
];

/** Each with the code that it has to leave with. */
const bad: readonly (readonly [Rec | string, RejectCode])[] = [
  [{ id: "bomb", image: "bomb.png", conversations: turns("A bomb.") }, "image_too_large"],
  [{ id: "heavy", image: "heavy.png", conversations: turns("Heavy.") }, "image_too_large"],
  [{ id: "tiff", image: "scan.tiff", conversations: turns("A scan.") }, "image_unsupported_format"],
  [{ id: "svg", image: "drawing.svg", conversations: turns("A drawing.") }, "image_unsupported_format"],
  [{ id: "link", image: "link.png", conversations: turns("A secret.") }, "image_path_outside_root"],
  [{ id: "absolute", image: "/etc/passwd", conversations: turns("A secret.") }, "image_path_outside_root"],
  [{ id: "url", image: "http://localhost/a.png", conversations: turns("A secret.") }, "image_path_outside_root"],
  [{ id: "folder", image: "sub", conversations: turns("A folder.") }, "image_not_found"],
  [{ id: "two-bad", image: ["photo.png", "gone.png"], conversations: turns("Two.", "<image><image>\nWhich?") }, "image_not_found"],
  [{ id: "order", image: "photo.png", conversations: [...turns("One."), { from: "gpt", value: "Two." }] }, "bad_turn_order"],
  [{ id: "no-answer", image: "photo.png", conversations: turns("").slice(0, 1) }, "bad_turn_order"],
  [{ id: "numbers", image: "photo.png", conversations: [{ from: "human", value: 7 }, { from: "gpt", value: "A." }] }, "malformed_record"],
  [{ id: "refused", image: "photo.png", conversations: turns("REFUSE this.") }, "tokenization_mismatch"],
  [{ id: "cut", image: "photo.png", conversations: turns("Behind the end.", `<image>\n${"so ".repeat(600)}`) }, "answer_truncated"],
  [{ id: "long", image: "photo.png", conversations: turns("so ".repeat(240)) }, "sample_too_long"],
  [{ id: "nan", image: "photo.png", conversations: turns(`It is 5${NAN_TOKEN} red.`) }, "non_finite_nll"],
  ['{"id": "torn", "image": "photo.png", "conversations": [{"from": "human", "value": "<image>\\nWhat', "malformed_record"],
  ['{"id": "twice", "image": "photo.png" "conversations": []}', "malformed_record"],
  ['"just a string"', "malformed_record"],
  [JSON.stringify({ id: "deep", image: "photo.png", conversations: turns("x"), extra: nested(200) }), "malformed_record"],
  [{ id: "plain-0-0", image: "photo.png", conversations: turns("The same id.") }, "duplicate_id"],
];

/** By sample id, of data/demo/broken.json. */
const DEMO_CODES: Readonly<Record<string, RejectCode>> = {
  "missing-image": "image_not_found",
  "truncated-jpeg": "image_corrupt",
  "truncated-png": "image_corrupt",
  "zero-bytes": "image_corrupt",
  "not-an-image": "image_unsupported_format",
  "empty-answer": "empty_answer",
  "unknown-role": "unknown_role",
  "placeholder-without-image": "placeholder_without_image",
  "image-without-placeholder": "image_without_placeholder",
  "outside-the-root": "image_path_outside_root",
  "no-conversations": "malformed_record",
  good: "duplicate_id",
};

/** Codes that no LLaVA JSON file with this model can bring about, and the tests that do. */
const ELSEWHERE: Readonly<Partial<Record<RejectCode, string>>> = {
  too_many_images: "test/rejects/rejects.test.ts",
  malformed_archive_entry: "test/io/sources/webdataset.test.ts",
  rejected_by_module: "test/library/examples.test.ts",
};

function nested(depth: number): unknown {
  let value: unknown = 1;
  for (let i = 0; i < depth; i++) value = [value];
  return value;
}

/** The fixture, with a template that refuses a word and an embedding that is spoilt for one token. */
function spoiltModel(): string {
  const model = path.join(folder, "model");
  cpSync(TINY_MODEL, model, { recursive: true });
  writeFileSync(
    path.join(model, "chat_template.jinja"),
    "{% for m in messages %}{% if 'REFUSE' in m['content'] %}{{ raise_exception('refused') }}{% endif %}" +
      "{% if m['role'] == 'user' %}USER: {{ m['content'] }} {% else %}ASSISTANT: {{ m['content'] }}</s>{% endif %}{% endfor %}" +
      "{% if add_generation_prompt %}ASSISTANT:{% endif %}",
  );
  const file = path.join(model, "onnx", "embed_tokens.onnx");
  const graph = fromBinary(ModelProtoSchema, readFileSync(file));
  const weights = graph.graph!.initializer[0]!;
  const width = Number(weights.dims[1]);
  const vocabulary = (JSON.parse(readFileSync(path.join(model, "tokenizer.json"), "utf8")) as { model: { vocab: Record<string, number> } }).model.vocab;
  const values = Buffer.from(weights.rawData);
  for (let i = 0; i < width; i++) values.writeFloatLE(Number.NaN, 4 * (vocabulary["<0x25>"]! * width + i));
  weights.rawData = values;
  writeFileSync(file, toBinary(ModelProtoSchema, graph));
  return model;
}

function writeJob(name: string, records: readonly (Rec | string)[], max_reject_fraction: number): void {
  writeFileSync(path.join(folder, `${name}.json`), `[\n${records.map((record) => (typeof record === "string" ? record : JSON.stringify(record))).join(",\n")}\n]`);
  writeFileSync(
    path.join(folder, `${name}.yaml`),
    `version: 1
name: ${name}
source: { kind: llava_json, annotations: ${name}.json, image_root: images, split_samples: 16, max_image_bytes: 200000 }
model: { path: model, max_length: 600 }
stages:
  - decode: {}
  - blur: {}
  - paired_inference: { max_batch_tokens: 600 }
  - token_delta: {}
  - quantile_threshold: { top_percent: 70 }
  - mask: {}
output: { path: out-${name}, report: false }
max_reject_fraction: ${max_reject_fraction}
`,
  );
}

/** Good and bad in turns, so that every split and most batches have both. */
function interleaved(): (Rec | string)[] {
  const all: (Rec | string)[] = [];
  for (let i = 0; i < Math.max(good.length, bad.length); i++) {
    if (good[i]) all.push(good[i]!);
    if (bad[i]) all.push(bad[i]![0]);
  }
  return all;
}

async function rows(output: string, dataset: string): Promise<Record<string, unknown>[]> {
  const found: Record<string, unknown>[] = [];
  for await (const batch of readDataset(path.join(folder, output), dataset) as AsyncIterable<RecordBatch>) {
    for (const row of batch.toArray()) found.push((row as { toJSON(): Record<string, unknown> }).toJSON());
  }
  return found;
}

let with_bad: Ended;
let without_bad: Ended;

beforeAll(async () => {
  mkdirSync(path.join(images, "sub"), { recursive: true });
  for (const name of ["photo.png", "square.png", "wide.png"]) cpSync(path.join(TINY_MODEL, "images", name), path.join(images, name));
  for (const [name, encode] of Object.entries(GOOD_IMAGES)) writeFileSync(path.join(images, name), await encode());
  writeFileSync(path.join(images, "bomb.png"), pngBomb(60_000));
  writeFileSync(path.join(images, "heavy.png"), Buffer.alloc(200_001));
  writeFileSync(path.join(images, "scan.tiff"), await sharp(path.join(images, "photo.png")).tiff().toBuffer());
  writeFileSync(path.join(images, "drawing.svg"), '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>');
  writeFileSync(path.join(folder, "secret.png"), readFileSync(path.join(images, "photo.png")));
  symlinkSync(path.join(folder, "secret.png"), path.join(images, "link.png"));
  spoiltModel();
  writeJob("with", interleaved(), 0.9);
  writeJob("without", good, 0);
  without_bad = await pipeline(folder, ["run", "without.yaml"]);
  with_bad = await pipeline(folder, ["run", "with.yaml"]);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("a data set with one bad sample of every kind", () => {
  it("is scored, and every bad sample leaves with its code", async () => {
    expect(with_bad.exit_code, with_bad.stderr).toBe(0);
    const rejects = await rows("out-with", "rejects");
    const found = new Map(rejects.map(({ sample_id, code }) => [String(sample_id), code]));
    for (const [record, code] of bad) if (typeof record !== "string") expect([record.id, found.get(record.id!)]).toEqual([record.id, code]);
    const malformed = rejects.filter(({ code }) => code === "malformed_record").length;
    expect(malformed).toBe(bad.filter(([, code]) => code === "malformed_record").length);
    expect(rejects, JSON.stringify(rejects, undefined, 1)).toHaveLength(bad.length);
    for (const { message } of rejects) expect(String(message).length).toBeGreaterThan(5);
  });

  it("costs no other sample its row or a digit of its scores", async () => {
    expect(without_bad.exit_code, without_bad.stderr).toBe(0);
    const [scored, expected] = [await rows("out-with", "scores"), await rows("out-without", "scores")];
    expect(scored.map(({ sample_id }) => sample_id)).toEqual(good.map(({ id }) => id));
    for (const [i, row] of scored.entries()) {
      const alone = expected[i]!;
      expect([...(row["token_text"] as Iterable<string>)]).toEqual([...(alone["token_text"] as Iterable<string>)]);
      if (alone["vig"] === null) expect(row["vig"]).toBeNull();
      // Batches are packed otherwise, so sums are rounded otherwise.
      else expect(Math.abs(Number(row["vig"]) - Number(alone["vig"])), String(row["sample_id"])).toBeLessThan(1e-5);
    }
  });

  it("is over a limit of 1%: exit code 3, a manifest, and no _SUCCESS", async () => {
    const ended = await pipeline(folder, ["run", "with.yaml", "--set", "max_reject_fraction=0.01"]);
    expect(ended.exit_code, ended.stderr).toBe(3);
    expect(logLines(ended).at(-1)).toMatchObject({ success: false, counts: { num_rejected: bad.length, num_read: good.length + bad.length } });
    expect(existsSync(path.join(folder, "out-with", "_SUCCESS"))).toBe(false);
    expect((JSON.parse(readFileSync(path.join(folder, "out-with", "manifest.json"), "utf8")) as { success: boolean }).success).toBe(false);
  });
});

describe("data/demo/broken.json", () => {
  it("lands as its README says", async () => {
    const sets = ["source.annotations", "source.image_root", "output.path"].flatMap((key, i) => ["--set", `${key}=${[path.join(demo, "broken.json"), path.join(demo, "broken"), "out-demo"][i]}`]);
    const ended = await pipeline(folder, ["run", "with.yaml", ...sets]);
    expect(ended.exit_code, ended.stderr).toBe(3);
    const rejects = await rows("out-demo", "rejects");
    expect(Object.fromEntries(rejects.map(({ sample_id, code }) => [sample_id, code]))).toEqual(DEMO_CODES);
    expect((await rows("out-demo", "scores")).map(({ sample_id }) => sample_id)).toEqual(["good"]);
  });
});

describe("a model that takes one image", () => {
  it("rejects samples with two as too_many_images", async () => {
    const { prepareSample } = await import("../../src/model/prepare.ts");
    const family = { max_images: 1 } as never;
    const sample = { sample_id: "s", source: "", images: ["a", "b"], messages: [{ role: "user", content: "<image><image>" }, { role: "assistant", content: "x" }] } as const;
    expect(prepareSample(sample, [], { family } as never)).toEqual({ code: "too_many_images", message: "2 images, the model takes 1" });
  });
});

it("every code of the closed list is brought about by a test", () => {
  const here = new Set<string>([...bad.map(([, code]) => code), ...Object.values(DEMO_CODES)]);
  const missing = Object.keys(REJECT_CODES).filter((code) => {
    if (here.has(code)) return false;
    const file = ELSEWHERE[code as RejectCode];
    return file === undefined || !readFileSync(path.join(root, file), "utf8").includes(code);
  });
  expect(missing).toEqual([]);
});
