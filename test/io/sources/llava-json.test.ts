import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { PlanError, StageError } from "../../../src/core/errors.ts";
import { llavaJsonConfig, openLlavaJson } from "../../../src/io/sources/llava-json.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { readAll, readSplit, splitsOf } from "./read-all.ts";

const record = (id: string | number | undefined, more: object = {}) => ({
  ...(id !== undefined && { id }),
  image: `${id}.png`,
  conversations: [{ from: "human", value: "<image>\nWhat?" }, { from: "gpt", value: `It is ${id}.` }],
  ...more,
});

async function sourceOf(content: string | Uint8Array | Record<string, string>, options: object = {}) {
  const folder = temporaryFolder();
  const files = typeof content === "string" || content instanceof Uint8Array ? { "train.json": content } : content;
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  const annotations = Object.keys(files).map((name) => join(folder, name));
  return openLlavaJson(llavaJsonConfig.parse({ kind: "llava_json", annotations, image_root: folder, ...options }));
}

const ids = (samples: readonly { sample_id: string }[]) => samples.map((sample) => sample.sample_id);

describe("llava_json", () => {
  const records = Array.from({ length: 7 }, (_, i) => record(`r${i}`, { source: i % 2 ? "vqa" : "caption" }));
  const forms = {
    "an array on one line": JSON.stringify(records),
    "an indented array": JSON.stringify(records, null, 2),
    "an array with a record a line": `[\n${records.map((r) => JSON.stringify(r)).join(",\n")}\n]\n`,
    "JSON lines": records.map((r) => JSON.stringify(r)).join("\n"),
    "JSON lines with blank ones, CRLF and a byte order mark": `\ufeff${records.map((r) => JSON.stringify(r)).join("\r\n\r\n")}\r\n`,
  };

  it.each(Object.entries(forms))("reads %s", async (_, text) => {
    const { splits, samples, rejects } = await readAll(await sourceOf(text, { split_samples: 3 }));
    expect(rejects).toEqual([]);
    expect(splits.map((split) => [split.index, split.num_records])).toEqual([[0, 3], [1, 3], [2, 1]]);
    expect(samples).toHaveLength(7);
    expect(samples[1]).toEqual({
      sample_id: "r1",
      source: "vqa",
      images: ["r1.png"],
      messages: [{ role: "user", content: "<image>\nWhat?" }, { role: "assistant", content: "It is r1." }],
    });
  });

  it("takes roles, ids, images and text as they come", async () => {
    const turns = [{ role: "system", content: "Be brief." }, { role: "user", content: [{ type: "image" }, { type: "text", text: "What?" }] }, { role: "assistant", content: "A cat." }];
    const { samples, rejects } = await readAll(await sourceOf(JSON.stringify([
      { id: 17, images: ["a.png", "b.png"], messages: turns, dataset: "mix" },
      { id: "text", conversations: record(1).conversations },
      { id: "none", image: null, conversations: record(1).conversations, task: "t" },
    ])));
    expect(rejects).toEqual([]);
    expect(samples[0]).toEqual({
      sample_id: "17",
      source: "mix",
      images: ["a.png", "b.png"],
      messages: [{ role: "system", content: "Be brief." }, { role: "user", content: "<image>What?" }, { role: "assistant", content: "A cat." }],
    });
    expect(samples.map((sample) => [sample.images, sample.source])).toEqual([[["a.png", "b.png"], "mix"], [[], ""], [[], "t"]]);
  });

  it("refuses an image_root that is a file", async () => {
    const folder = temporaryFolder();
    const annotations = join(folder, "train.json");
    writeFileSync(annotations, JSON.stringify([record("a")]));
    const source = await openLlavaJson(llavaJsonConfig.parse({ kind: "llava_json", annotations, image_root: annotations }));
    const [split] = await splitsOf(source);
    await expect((await readSplit(source, split!)).readImage("a.png")).rejects.toThrow(/image_root .* is a file, not a folder/);
  });

  it("takes images that parts of messages name", async () => {
    const asked = (part: object) => [{ role: "user", content: [part, { type: "text", text: "What?" }] }, { role: "assistant", content: "A cat." }];
    const { samples, rejects } = await readAll(await sourceOf(JSON.stringify([
      { id: "a", messages: asked({ type: "image", image: "a.png" }) },
      { id: "b", messages: asked({ type: "image_url", image_url: { url: "b.png" } }) },
      { id: "c", images: ["c.png"], messages: asked({ type: "image", image: "not this" }) },
      { id: "d", messages: asked({ type: "image", image: 7 }) },
    ])));
    expect(samples.map((sample) => sample.images)).toEqual([["a.png"], ["b.png"], ["c.png"]]);
    expect(rejects).toMatchObject([{ sample_id: "d", code: "malformed_record" }]);
  });

  it("keeps whole-number ids apart that no number holds", async () => {
    const long = (id: string) => JSON.stringify(record("LONG")).replace('"LONG"', id);
    const quoted = JSON.stringify(record("q", { note: '{"id": 12345678901234567890}' }));
    const { samples, rejects } = await readAll(await sourceOf(`[${long("9007199254740993")}, ${long("9007199254740992")}, ${long("-12345678901234567890123")}, ${quoted}]`));
    expect(rejects).toEqual([]);
    expect(ids(samples)).toEqual(["9007199254740993", "9007199254740992", "-12345678901234567890123", "q"]);
  });

  it("names the data set as configured", async () => {
    const text = JSON.stringify([record("a", { kind: "k", source: "s" }), record("b", { image: "coco/train2017/b.jpg" }), record("c")]);
    const sources = async (options: object) => (await readAll(await sourceOf(text, options))).samples.map((sample) => sample.source);
    expect(await sources({ source_field: "kind" })).toEqual(["k", "", ""]);
    expect(await sources({ source_from_image_folder: true })).toEqual(["s", "coco", ""]);
  });

  it("makes ids from content, and rejects ids that came before in any file", async () => {
    const anonymous = record(undefined);
    const source = await sourceOf({
      "a.json": JSON.stringify([record("x"), anonymous, record("y")]),
      "b.json": JSON.stringify([record("x", { image: "other.png" }), anonymous, record("z")]),
    });
    const { samples, rejects } = await readAll(source);
    expect(ids(samples)).toEqual(["x", expect.stringMatching(/^content-[0-9a-f]{20}$/), "y", "z"]);
    expect(rejects.map((reject) => [reject.sample_id, reject.code, reject.message])).toEqual([
      ["x", "duplicate_id", "an earlier record has the id; this one is b.json@1"],
      [ids(samples)[1], "duplicate_id", expect.stringContaining("b.json@")],
    ]);
  });

  it("rejects what is no sample, each with its code", async () => {
    const turns = (...roles: string[]) => ({ conversations: roles.map((from) => ({ from, value: "text" })) });
    const { samples, rejects } = await readAll(await sourceOf(JSON.stringify([
      record("good"),
      record("role", turns("human", "narrator")),
      record("proto", turns("human", "constructor")),
      record("order", turns("gpt", "human")),
      record("end", turns("human", "gpt", "human")),
      record("empty", { conversations: [{ from: "human", value: "?" }, { from: "gpt", value: " \n" }] }),
      record("turns", { conversations: [] }),
      record("text", { conversations: [{ from: "human", value: 5 }, { from: "gpt", value: "a" }] }),
      record("image", { image: [7] }),
      { caption: "neither id nor turns" },
      12,
    ])));
    expect(ids(samples)).toEqual(["good"]);
    expect(rejects.map((reject) => `${reject.sample_id} ${reject.code}`)).toEqual([
      "role unknown_role", "proto unknown_role", "order bad_turn_order", "end bad_turn_order", "empty empty_answer", "turns malformed_record",
      "text malformed_record", "image malformed_record", expect.stringMatching(/^train\.json@\d+ malformed_record$/), expect.stringMatching(/^train\.json@\d+ malformed_record$/),
    ]);
  });

  const good = Array.from({ length: 6 }, (_, i) => JSON.stringify(record(`r${i}`)));
  const damages: [name: string, damaged: string][] = [
    ["a value is missing", '{"id": "bad", "image": }'],
    ["a bracket is missing", '{"id": "bad", "conversations": [{"from": "human", "value": "x"}'],
    ["two brackets are missing", '{"id": "bad", "conversations": [{"from": "human", "value": "x"'],
    ["a bracket is too many", '{"id": "bad", "conversations": []}}'],
    ["a list's bracket is too many", '{"id": "bad", "conversations": []]}'],
    ["a string does not end", '{"id": "bad", "conversations": [{"from": "human, "value": "x"}]}'],
    ["it is cut in a string", '{"id": "bad", "conversations": [{"from": "hu'],
    ["an escape is wrong", '{"id": "bad\\q"}'],
    ["there is a control character", '{"id": "b\u0001d"}'],
    ["it is garbage", "%$&/()=?"],
    ["it is a word", "nonsense"],
    ["it is nested too deep", `{"id": ${"[".repeat(200)}${"]".repeat(200)}}`],
    ["it is too long", `{"id": "${"x".repeat(20_000)}"}`],
  ];
  const layouts: [name: string, join: (records: string[]) => string][] = [
    ["an array with a record a line", (all) => `[\n${all.join(",\n")}\n]`],
    ["JSON lines", (all) => `${all.join("\n")}\n`],
    ["an array on one line", (all) => `[${all.join(", ")}]`],
  ];
  for (const [layout, joined] of layouts) {
    it.each(damages)(`in ${layout} loses one record and no other where %s`, async (_, damaged) => {
      const source = await sourceOf(joined([...good.slice(0, 3), damaged, ...good.slice(3)]), { split_samples: 2, max_record_bytes: 16_384 });
      const { samples, rejects } = await readAll(source);
      expect(ids(samples)).toEqual(["r0", "r1", "r2", "r3", "r4", "r5"]);
      expect(rejects.length).toBeGreaterThan(0);
      expect(new Set(rejects.map((reject) => reject.code))).toEqual(new Set(["malformed_record"]));
      expect(rejects.map((reject) => reject.message).join("\n")).toMatch(/byte.* of train\.json/);
    });
  }

  it("loses the last record only where that one is damaged", async () => {
    for (const [, damaged] of damages.slice(0, 1)) {
      const { samples, rejects } = await readAll(await sourceOf(`[${good.join(",\n")},\n${damaged}]`));
      expect(ids(samples)).toHaveLength(6);
      expect(rejects).toHaveLength(1);
    }
  });

  it("rejects text that is not UTF-8", async () => {
    const text = Buffer.from(`[${good[0]}, {"id": "b\u00e9d"}, ${good[1]}]`, "latin1");
    const { samples, rejects } = await readAll(await sourceOf(text));
    expect(ids(samples)).toEqual(["r0", "r1"]);
    expect(rejects[0]!.message).toMatch(/not UTF-8/);
  });

  it("fails the split in which a file is cut, with file and offset, and reads the others", async () => {
    for (const [name, text] of [["array", `[\n${good.join(",\n")}\n]`], ["lines", good.join("\n")]] as const) {
      const source = await sourceOf(text.slice(0, -40), { split_samples: 2 });
      const splits = await splitsOf(source);
      expect(splits.map((split) => split.num_records), name).toEqual([2, 2, 1]);
      expect((await readSplit(source, splits[1]!)).samples).toHaveLength(2);
      const reading = readSplit(source, splits[2]!);
      await expect(reading).rejects.toThrow(StageError);
      await expect(reading).rejects.toThrow(/train\.json is truncated: it ends at byte \d+, (inside what begins at byte \d+|without the \] of its array)/);
    }
  });

  it("finds the same splits again, and others unchanged where one file grows", async () => {
    const [a, b] = [good.slice(0, 3).join("\n"), good.slice(3).join("\n")];
    const before = await splitsOf(await sourceOf({ "a.jsonl": a, "b.jsonl": b }, { split_samples: 2 }));
    expect(await splitsOf(await sourceOf({ "a.jsonl": a, "b.jsonl": b }, { split_samples: 2 }))).toEqual(before);
    const grown = await splitsOf(await sourceOf({ "a.jsonl": `${a}\n${JSON.stringify(record("new"))}`, "b.jsonl": b }, { split_samples: 2 }));
    expect([grown[0]!.digest, grown[2]!.digest, grown[3]!.digest]).toEqual([before[0]!.digest, before[2]!.digest, before[3]!.digest]);
    expect(grown[1]!.digest).not.toBe(before[1]!.digest);
    expect(new Set(before.map((split) => split.digest)).size).toBe(before.length);
  });

  it("gives every split its own digest, also where a file comes twice", async () => {
    const text = good.join("\n");
    const { splits, samples, rejects } = await readAll(await sourceOf({ "a.jsonl": text, "b.jsonl": text, "c.jsonl": text }));
    expect(new Set(splits.map((split) => split.digest)).size).toBe(3);
    expect([samples.length, rejects.length]).toEqual([6, 12]);
  });

  it("notices that a file changed between indexing and reading", async () => {
    const folder = temporaryFolder();
    const path = join(folder, "a.jsonl");
    writeFileSync(path, good.join("\n"));
    const source = await openLlavaJson(llavaJsonConfig.parse({ kind: "llava_json", annotations: path, image_root: folder }));
    const [split] = await splitsOf(source);
    writeFileSync(path, good.join("\n").replace("r3", "R3"));
    await expect(readSplit(source, split!)).rejects.toThrow(/a\.jsonl has changed since it was indexed/);
  });

  it("reads files by globs, sorted", async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, "more"));
    for (const [i, name] of ["b.json", "a.json", "more/c.json"].entries()) writeFileSync(join(folder, name), JSON.stringify([record(`g${i}`)]));
    const open = (annotations: string) => openLlavaJson(llavaJsonConfig.parse({ kind: "llava_json", annotations, image_root: folder }));
    expect(ids((await readAll(await open(join(folder, "*.json")))).samples)).toEqual(["g1", "g0"]);
    expect(ids((await readAll(await open(join(folder, "**/*.json")))).samples)).toEqual(["g1", "g0", "g2"]);
    await expect(readAll(await open(join(folder, "*.jsonl")))).rejects.toThrow(PlanError);
    await expect(readAll(await open(join(folder, "missing.json")))).rejects.toThrow(/missing\.json: it does not exist/);
    await expect(readAll(await open(folder))).rejects.toThrow(/is not a file/);
  });

  it("refuses a file of another kind, and gives nothing for an empty one", async () => {
    await expect(readAll(await sourceOf("id,image\n1,a.png\n"))).rejects.toThrow(/train\.json is neither a JSON array nor JSON lines: it begins with "id,image/);
    expect(await splitsOf(await sourceOf(""))).toEqual([]);
    expect(await splitsOf(await sourceOf("[]"))).toEqual([]);
  });

  it("reads images inside image_root and nowhere else", async () => {
    const folder = temporaryFolder();
    const root = join(folder, "root");
    mkdirSync(join(root, "sub"), { recursive: true });
    writeFileSync(join(root, "sub", "a.png"), "pixels");
    writeFileSync(join(root, "big.png"), Buffer.alloc(101));
    writeFileSync(join(folder, "secret.png"), "secret");
    mkdirSync(join(folder, "root-sibling"));
    writeFileSync(join(folder, "root-sibling", "x.png"), "secret");
    symlinkSync(join(folder, "secret.png"), join(root, "link.png"));
    symlinkSync("../root-sibling", join(root, "sibling"));
    symlinkSync("sub/a.png", join(root, "inner.png"));
    symlinkSync("loop.png", join(root, "loop.png"));
    writeFileSync(join(folder, "t.json"), JSON.stringify([record("r")]));
    const source = await openLlavaJson(llavaJsonConfig.parse({ kind: "llava_json", annotations: join(folder, "t.json"), image_root: root, max_image_bytes: 100 }));
    const { readImage } = await readSplit(source, (await splitsOf(source))[0]!);
    const outcome = async (key: string) => {
      const read = await readImage(key);
      return "code" in read ? read.code : Buffer.from(read).toString();
    };
    expect(await outcome("sub/a.png")).toBe("pixels");
    expect(await outcome("./sub//a.png")).toBe("pixels");
    expect(await outcome("inner.png")).toBe("pixels");
    for (const key of ["../secret.png", "sub/../../secret.png", join(folder, "secret.png"), "file:///etc/passwd", "http://x/y.png", "data:image/png;base64,AA", "C:\\x.png", "..\\secret.png", "\\\\host\\x", "a\0b", "link.png", "sibling/x.png"]) {
      expect(await outcome(key), key).toBe("image_path_outside_root");
    }
    for (const key of ["none.png", "sub", "sub/a.png/x", "loop.png", "x".repeat(5_000), "."]) expect(["image_not_found", "image_path_outside_root"], key).toContain(await outcome(key));
    expect(await outcome("big.png")).toBe("image_too_large");
  });
});
