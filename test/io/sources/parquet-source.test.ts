import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { PlanError, StageError } from "../../../src/core/errors.ts";
import { openParquetSource, parquetSourceConfig } from "../../../src/io/sources/parquet-source.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { Binary, Dictionary, Float64, Int32, Int64, list, struct, Utf8, writeParquetFixture } from "./parquet-fixture.ts";
import { readAll, readSplit, splitsOf } from "./read-all.ts";

const image = struct({ bytes: new Binary(), path: new Utf8() });
const turns = list(struct({ from: new Utf8(), value: new Utf8() }));
const bytesOf = (n: number | string) => Buffer.from(`image ${n}`);
const row = (n: number) => ({
  id: `r${n}`,
  image: { bytes: bytesOf(n), path: `${n}.png` },
  conversations: [{ from: "human", value: "<image>\nWhat?" }, { from: "gpt", value: `It is ${n}.` }],
  source: n % 2 ? "vqa" : "caption",
  difficulty: n / 2,
  tags: [`t${n}`],
  big: 2n ** 40n + BigInt(n),
});
const types = { id: new Utf8(), image, conversations: turns, source: new Utf8(), difficulty: new Float64(), tags: list(new Utf8()), big: new Int64() };
const rows = (count: number) => Array.from({ length: count }, (_, n) => row(n));

const open = (files: string | string[], options: object = {}) => openParquetSource(parquetSourceConfig.parse({ kind: "parquet", files, ...options }));

async function textOf(read: Promise<Uint8Array | { code: string }>): Promise<string> {
  const bytes = await read;
  return bytes instanceof Uint8Array ? Buffer.from(bytes).toString() : bytes.code;
}

describe("parquet", () => {
  it("reads rows in splits that lie in one row group each, with their images", async () => {
    const path = join(temporaryFolder(), "a.parquet");
    writeParquetFixture(path, types, rows(10), 4);
    const { splits, samples, rejects, contents } = await readAll(await open(path, { split_samples: 3 }));
    expect(splits.map((split) => split.num_records)).toEqual([3, 1, 3, 1, 2]);
    expect(rejects).toEqual([]);
    expect(samples[4]).toEqual({
      sample_id: "r4",
      source: "caption",
      images: ["4.png"],
      messages: [{ role: "user", content: "<image>\nWhat?" }, { role: "assistant", content: "It is 4." }],
    });
    expect(await textOf(contents[2]!.readImage("4.png"))).toBe("image 4");
    expect(await textOf(contents[2]!.readImage("9.png"))).toBe("image_not_found");
  });

  it("reads splits alone and out of order as in sequence", async () => {
    const path = join(temporaryFolder(), "a.parquet");
    writeParquetFixture(path, types, rows(40), 16);
    const source = await open(path, { split_samples: 5 });
    const splits = await splitsOf(source);
    const in_order = [];
    for (const split of splits) in_order.push((await readSplit(source, split)).samples);
    expect(in_order.flat()).toHaveLength(40);
    for (const at of [3, 0, 7, 7, 1, 2, 5, 4]) expect((await readSplit(source, splits[at]!)).samples).toEqual(in_order[at]);
    const at_once = await Promise.all(splits.toReversed().map((split) => readSplit(source, split)));
    expect(at_once.map(({ samples }) => samples).reverse()).toEqual(in_order);
    expect(await splitsOf(await open(path, { split_samples: 5 }))).toEqual(splits);
  });

  it("reads categories as text, and a turn that is null as a reject", async () => {
    const path = join(temporaryFolder(), "a.parquet");
    const broken = { ...row(1), conversations: [null, null] };
    const category = new Dictionary(new Utf8(), new Int32());
    writeParquetFixture(path, { ...types, source: category }, [{ ...row(0), source: "vqa" }, broken, { ...row(2), source: "caption" }, { ...row(3), source: "vqa" }], 2);
    const { samples, rejects } = await readAll(await open(path));
    expect(samples.map(({ source }) => source)).toEqual(["vqa", "caption", "vqa"]);
    expect(rejects).toMatchObject([{ sample_id: "r1", code: "malformed_record", message: expect.stringContaining("turn 0 is null") as string }]);
  });

  it("passes further columns through", async () => {
    const path = join(temporaryFolder(), "a.parquet");
    const bad = { ...row(1), conversations: [] };
    writeParquetFixture(path, types, [row(0), bad, row(2), row(0), row(4)]);
    const source = await open(path, { pass_through: ["difficulty", "tags", "big"] });
    expect(source.schema.names.slice(-3)).toEqual(["difficulty", "tags", "big"]);
    const [split] = await splitsOf(source);
    const { samples, rejects } = await source.read(split!, new AbortController().signal);
    expect(rejects.map((reject) => `${reject.sample_id} ${reject.code}`)).toEqual(["r1 malformed_record", "r0 duplicate_id"]);
    expect(samples.schema.names).toEqual(source.schema.names);
    expect([...samples.getChild("difficulty")!]).toEqual([0, 1, 2]);
    expect(samples.toArray().map((r) => JSON.stringify(r.tags))).toEqual(['["t0"]', '["t2"]', '["t4"]']);
    expect([...samples.getChild("big")!]).toEqual([0n, 2n, 4n].map((n) => 2n ** 40n + n));
  });

  it("takes columns as configured, ids as integers, content parts, and several images", async () => {
    const path = join(temporaryFolder(), "a.parquet");
    const parts = list(struct({ role: new Utf8(), content: list(struct({ type: new Utf8(), text: new Utf8() })) }));
    writeParquetFixture(path, { key: new Int32(), pictures: list(image), dialog: parts, from_set: new Utf8() }, [{
      key: 7,
      pictures: [{ bytes: bytesOf("a"), path: "a.png" }, { bytes: bytesOf("b"), path: "b.png" }],
      dialog: [
        { role: "user", content: [{ type: "image", text: null }, { type: "image", text: null }, { type: "text", text: "Which?" }] },
        { role: "assistant", content: [{ type: "text", text: "Both." }] },
      ],
      from_set: "mix",
    }]);
    const { samples } = await readAll(await open(path, { columns: { id: "key", images: "pictures", turns: "dialog", source: "from_set" } }));
    expect(samples).toEqual([{
      sample_id: "7",
      source: "mix",
      images: ["a.png", "b.png"],
      messages: [{ role: "user", content: "<image><image>Which?" }, { role: "assistant", content: "Both." }],
    }]);
  });

  it("reads pairs of user and assistant, whose images come first", async () => {
    const path = join(temporaryFolder(), "cauldron.parquet");
    const pairs = list(struct({ user: new Utf8(), assistant: new Utf8(), source: new Utf8() }));
    const texts = (n: number) => [{ user: "First?", assistant: `${n}`, source: "chartqa" }, { user: "Second?", assistant: "B", source: "chartqa" }];
    writeParquetFixture(path, { images: list(image), texts: pairs }, [
      { images: [{ bytes: bytesOf(1), path: null }, { bytes: bytesOf(2), path: null }], texts: texts(1) },
      { images: [], texts: texts(2) },
    ]);
    const { samples, contents } = await readAll(await open(path));
    expect(samples[0]!.images).toEqual(["cauldron.parquet/0.0", "cauldron.parquet/0.1"]);
    expect(samples[0]!.messages[0]!.content).toBe("<image>\n<image>\nFirst?");
    expect(samples.map((sample) => [sample.source, sample.images.length, sample.messages.length])).toEqual([["chartqa", 2, 4], ["chartqa", 0, 4]]);
    expect(new Set(samples.map((sample) => sample.sample_id)).size).toBe(2);
    expect(await textOf(contents[0]!.readImage("cauldron.parquet/0.1"))).toBe("image 2");
  });

  it("keeps apart different images of one name, reads equal ones once, and takes those without bytes from image_root", async () => {
    const folder = temporaryFolder();
    const path = join(folder, "a.parquet");
    writeFileSync(join(folder, "file.png"), "from the folder");
    const with_image = (n: number, picture: object | null) => ({ ...row(n), image: picture });
    writeParquetFixture(path, types, [
      with_image(0, { bytes: bytesOf("x"), path: "image.png" }),
      with_image(1, { bytes: bytesOf("y"), path: "image.png" }),
      with_image(2, { bytes: bytesOf("x"), path: "image.png" }),
      with_image(3, { bytes: null, path: "file.png" }),
      with_image(4, { bytes: null, path: "../secret.png" }),
      with_image(5, null),
      with_image(6, { bytes: Buffer.alloc(200), path: "big.png" }),
    ]);
    const { samples, contents } = await readAll(await open(path, { image_root: folder, max_image_bytes: 100 }));
    expect(samples.map((sample) => sample.images)).toEqual([["image.png"], ["image.png#a.parquet/1"], ["image.png"], ["file.png"], ["../secret.png"], [], ["big.png"]]);
    const { readImage } = contents[0]!;
    expect(await textOf(readImage("image.png"))).toBe("image x");
    expect(await textOf(readImage("image.png#a.parquet/1"))).toBe("image y");
    expect(await textOf(readImage("file.png"))).toBe("from the folder");
    expect(await textOf(readImage("../secret.png"))).toBe("image_path_outside_root");
    expect(await textOf(readImage("big.png"))).toBe("image_too_large");
    const without = (await readAll(await open(path))).contents[0]!;
    expect(await textOf(without.readImage("file.png"))).toBe("image_not_found");
  });

  it.each<[string, object, object, RegExp]>([
    ["turns are missing", { text: new Utf8() }, {}, /a\.parquet has no column conversations or messages or texts; it has text/],
    ["turns are text", { messages: new Utf8() }, {}, /column messages is Utf8, not a list of structs/],
    ["images are numbers", { conversations: turns, image: new Int32() }, {}, /column image is Int32, not a struct of bytes and path/],
    ["ids are fractions", { conversations: turns, id: new Float64() }, {}, /column id is Float64, not text or an integer/],
    ["a configured column is missing", { conversations: turns }, { columns: { id: "key" } }, /no column key; it has conversations/],
    ["a passed column is missing", { conversations: turns }, { pass_through: ["x"] }, /no column x; it has conversations/],
    ["a passed column is in the output", { conversations: turns, source: new Utf8() }, { pass_through: ["source"] }, /pass_through names source/],
  ])("says which column is wrong and what was found where %s", async (_, fields, options, message) => {
    const path = join(temporaryFolder(), "a.parquet");
    writeParquetFixture(path, fields as never, [{ text: "x", messages: "x", image: 1, id: 1.5, conversations: row(0).conversations, source: "s" }]);
    const opening = open(path, options);
    await expect(opening).rejects.toThrow(PlanError);
    await expect(opening).rejects.toThrow(message);
  });

  it("says which file differs from the first", async () => {
    const folder = temporaryFolder();
    writeParquetFixture(join(folder, "a.parquet"), types, rows(2));
    writeParquetFixture(join(folder, "b.parquet"), { ...types, difficulty: new Utf8() }, [{ ...row(3), difficulty: "hard" }]);
    writeParquetFixture(join(folder, "c.parquet"), { messages: turns }, [{ messages: row(4).conversations }]);
    await expect(readAll(await open([join(folder, "a.parquet"), join(folder, "b.parquet")], { pass_through: ["difficulty"] }))).rejects.toThrow(/b\.parquet: column difficulty is Utf8, but Float64 in .*a\.parquet/);
    await expect(readAll(await open([join(folder, "a.parquet"), join(folder, "c.parquet")]))).rejects.toThrow(/c\.parquet: the id column is missing, but id in .*a\.parquet/);
  });

  it("names a truncated file", async () => {
    const folder = temporaryFolder();
    const path = join(folder, "a.parquet");
    writeParquetFixture(path, types, rows(100));
    writeFileSync(join(folder, "b.parquet"), readFileSync(path).subarray(0, -200));
    const reading = readAll(await open([path, join(folder, "b.parquet")]));
    await expect(reading).rejects.toThrow(StageError);
    await expect(reading).rejects.toThrow(/b\.parquet: can't open: .*footer; the file ends at byte \d+/);
  });
});
