import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { StageError } from "../../../src/core/errors.ts";
import { openWebdataset, webdatasetConfig } from "../../../src/io/sources/webdataset.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { readAll, readSplit, splitsOf } from "./read-all.ts";
import { type Entry, tarOf } from "./tar-fixture.ts";

const record = (n: number | string, more: object = {}) => ({
  id: `r${n}`,
  source: "vqa",
  conversations: [{ from: "human", value: "<image>\nWhat?" }, { from: "gpt", value: `It is ${n}.` }],
  ...more,
});
const pair = (n: number): Entry[] => [[`${n}.json`, record(n)], [`${n}.png`, `image ${n}`]];
const pairs = (count: number) => Array.from({ length: count }, (_, n) => pair(n)).flat();

async function sourceOf(shards: Record<string, Buffer>, options: object = {}) {
  const folder = temporaryFolder();
  for (const [name, bytes] of Object.entries(shards)) writeFileSync(join(folder, name), bytes);
  return openWebdataset(webdatasetConfig.parse({ kind: "webdataset", shards: Object.keys(shards).map((name) => join(folder, name)), ...options }));
}

async function textOf(read: Promise<Uint8Array | { code: string }>): Promise<string> {
  const bytes = await read;
  return bytes instanceof Uint8Array ? Buffer.from(bytes).toString() : bytes.code;
}

const ids = (samples: readonly { sample_id: string }[]) => samples.map((sample) => sample.sample_id);

describe("webdataset", () => {
  it.each([["plain", (bytes: Buffer) => bytes], ["packed", gzipSync]] as const)("reads %s shards in splits, with their images", async (_, packed) => {
    const shards = { "a.tar": packed(await tarOf(pairs(5))), "b.tar": packed(await tarOf([["x/9.jpg", "image 9"], ["x/9.json", record(9)]])) };
    const { splits, samples, rejects, contents } = await readAll(await sourceOf(shards, { split_samples: 2 }));
    expect(splits.map((split) => split.num_records)).toEqual([2, 2, 1, 1]);
    expect(rejects).toEqual([]);
    expect(ids(samples)).toEqual(["r0", "r1", "r2", "r3", "r4", "r9"]);
    expect(samples[5]).toMatchObject({ source: "vqa", images: ["x/9.jpg"], messages: [{ role: "user" }, { content: "It is 9." }] });
    expect(await textOf(contents[1]!.readImage("3.png"))).toBe("image 3");
    expect(await textOf(contents[1]!.readImage("0.png"))).toBe("image_not_found");
  });

  it.each([["plain", (bytes: Buffer) => bytes], ["packed", gzipSync]] as const)("reads splits of a %s shard alone, out of order and at once as in sequence", async (_, packed) => {
    const source = await sourceOf({ "a.tar": packed(await tarOf(pairs(12))) }, { split_samples: 3 });
    const splits = await splitsOf(source);
    const in_order = [];
    for (const split of splits) in_order.push((await readSplit(source, split)).samples);
    expect(in_order.flat()).toHaveLength(12);
    for (const at of [3, 0, 2, 2, 1]) expect((await readSplit(source, splits[at]!)).samples).toEqual(in_order[at]);
    const at_once = await Promise.all(splits.toReversed().map((split) => readSplit(source, split)));
    expect(at_once.map(({ samples }) => samples).reverse()).toEqual(in_order);
    expect(await splitsOf(source)).toEqual(splits);
  });

  it("names images as the record does, several in order, and knows text-only samples and long names", async () => {
    const long = `${"folder/".repeat(30)}long`;
    const { samples, contents } = await readAll(await sourceOf({
      "a.tar": await tarOf([
        ["m/1.json", record(1, { image: ["coco/a.jpg", "coco/b.jpg"] })], ["m/1.0.jpg", "first"], ["m/1.1.jpg", "second"], ["m/1.txt", "a caption"],
        ["m/", "", { type: "directory" }], ["m/._2.json", "macOS"],
        ["m/2.json", record(2, { conversations: record(2).conversations.map((turn) => ({ ...turn, value: "text" })) })],
        [`${long}.json`, record(3)], [`${long}.png`, "deep"],
        ["m/4.json", { messages: record(4).conversations.map(({ from, value }) => ({ role: from, content: value })) }], ["m/4.webp", "no id"],
      ]),
    }));
    expect(samples.map((sample) => sample.images)).toEqual([["coco/a.jpg", "coco/b.jpg"], [], [`${long}.png`], ["m/4.webp"]]);
    expect(samples[3]!.sample_id).toMatch(/^content-/);
    expect(await textOf(contents[0]!.readImage("coco/b.jpg"))).toBe("second");
    expect(await textOf(contents[0]!.readImage(`${long}.png`))).toBe("deep");
  });

  it("rejects hostile and unpaired entries, each with its code, and no other", async () => {
    const shard = await tarOf([
      ...pair(0),
      ["../../etc/passwd.json", record("up")], ["../../etc/passwd.png", "x"],
      ["/absolute.json", record("absolute")],
      ["link.json", "", { type: "symlink", linkname: "/etc/passwd" }], ["link.png", "x"],
      ["lonely.png", "no record"],
      ["twice.json", record("twice")], ["twice.extra.json", record("twice")],
      ["count.json", record("count", { image: ["a.png", "b.png"] })], ["count.png", "one"],
      ["bad.json", "{not json"], ["bad.png", "x"],
      ["deep.json", `{"id": ${"[".repeat(300)}${"]".repeat(300)}}`],
      ["long.json", record("x".repeat(3_000))],
      ["role.json", record("role", { conversations: [{ from: "nobody", value: "x" }] })],
      ["same.json", record(0)],
      ["big.json", record("big")], ["big.png", Buffer.alloc(2_000)],
      ...pair(1),
    ]);
    const { samples, rejects, contents } = await readAll(await sourceOf({ "a.tar": shard }, { max_record_bytes: 2_048, max_image_bytes: 1_000 }));
    expect(ids(samples)).toEqual(["r0", "rbig", "r1"]);
    expect(rejects.map((reject) => `${reject.sample_id} ${reject.code}`)).toEqual([
      "a.tar/../../etc/passwd malformed_archive_entry", "a.tar//absolute malformed_archive_entry", "a.tar/link malformed_archive_entry",
      "a.tar/lonely malformed_archive_entry", "a.tar/twice malformed_archive_entry", "a.tar/count malformed_archive_entry",
      "a.tar/bad malformed_record", "a.tar/deep malformed_record", "a.tar/long malformed_record", "rrole unknown_role", "r0 duplicate_id",
    ]);
    expect(await textOf(contents[0]!.readImage("big.png"))).toBe("image_too_large");
  });

  it("keeps different images of one name in a split apart", async () => {
    const shard = await tarOf([["1.json", record(1, { image: "i.png" })], ["1.png", "one"], ["2.json", record(2, { image: "i.png" })], ["2.png", "two"]]);
    const { samples, contents } = await readAll(await sourceOf({ "a.tar": shard }));
    expect(samples.map((sample) => sample.images)).toEqual([["i.png"], ["i.png#2"]]);
    expect(await textOf(contents[0]!.readImage("i.png#2"))).toBe("two");
  });

  it("fails the split in which a shard is cut or damaged, with file and offset, and reads the others", async () => {
    const whole = await tarOf(pairs(6));
    const packed = gzipSync(whole);
    const overwritten = Buffer.from(whole).fill(0xff, 9 * 1_024, 9 * 1_024 + 600);
    const damages = { "cut.tar": whole.subarray(0, 9 * 1_024 + 100), "overwritten.tar": overwritten, "cut.tar.gz": packed.subarray(0, packed.length - 40) };
    for (const [name, bytes] of Object.entries(damages)) {
      const source = await sourceOf({ [name]: bytes, "good.tar": await tarOf([["g.json", record("g")]]) }, { split_samples: 2 });
      const splits = await splitsOf(source);
      const outcomes = [];
      for (const split of splits) outcomes.push(await readSplit(source, split).catch((error: Error) => error));
      const failed = outcomes.filter((outcome) => outcome instanceof Error);
      expect(failed, name).toHaveLength(1);
      expect(failed[0], name).toBeInstanceOf(StageError);
      expect(failed[0]!.message, name).toMatch(/is truncated or damaged behind byte \d+/);
      expect(failed[0]!.message, name).toContain(name);
      const read = outcomes.flatMap((outcome) => (outcome instanceof Error ? [] : ids(outcome.samples)));
      expect(read.at(-1), name).toBe("rg");
      if (name !== "cut.tar.gz") expect(read.slice(0, 4), name).toEqual(["r0", "r1", "r2", "r3"]);
    }
  });

  it("never crashes on any bytes, nor hangs", async () => {
    const whole = await tarOf(pairs(3));
    const flips = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(flips, fc.nat(whole.length), fc.boolean(), async (changes, length, is_packed) => {
        const bytes = Buffer.from(whole.subarray(0, length));
        for (const [at, value] of changes) if (at < length) bytes[at] = value;
        const source = await sourceOf({ "a.tar": is_packed ? gzipSync(bytes) : bytes });
        for (const split of await splitsOf(source)) {
          const outcome = await readSplit(source, split).catch((error: unknown) => error);
          if (outcome instanceof Error) expect(outcome).toBeInstanceOf(StageError);
          else expect((outcome as { samples: unknown[]; rejects: unknown[] }).samples.length + (outcome as { rejects: unknown[] }).rejects.length).toBe(split.num_records);
        }
      }),
      { numRuns: 150 },
    );
  });

  it("is not fooled by its own file names", async () => {
    const source = await sourceOf({ "strange (file 3) bytes 1-2.tar": await tarOf(pairs(2)) });
    expect(ids((await readAll(source)).samples)).toEqual(["r0", "r1"]);
  });
});
