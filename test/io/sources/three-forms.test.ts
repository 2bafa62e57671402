import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openSource, resolveSourcePaths, sourceConfig, type SourceConfig, sourceIdentity } from "../../../src/io/sources/open-source.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { Binary, list, struct, Utf8, writeParquetFixture } from "./parquet-fixture.ts";
import { readAll } from "./read-all.ts";
import { tarOf } from "./tar-fixture.ts";

const turns = (n: number) => [
  { from: "human", value: `${n % 4 === 3 ? "" : "<image>\n"}What is ${n}? é` },
  { from: "gpt", value: n === 5 ? " " : `It is ${n}.` },
  ...(n % 3 === 0 ? [{ from: n === 6 ? "narrator" : "human", value: "Sure?" }, { from: "gpt", value: "Yes." }] : []),
];
const records = Array.from({ length: 12 }, (_, n) => ({
  ...(n % 5 !== 2 && { id: n === 9 ? "r8" : `r${n}` }),
  ...(n % 4 !== 3 && { image: `pictures/${n % 6}.png` }),
  source: n % 2 ? "vqa" : "caption",
  conversations: turns(n),
}));
const bytesOf = (image: string) => Buffer.from(`bytes of ${image}`);

async function writeForms(folder: string): Promise<Record<string, object>> {
  mkdirSync(join(folder, "pictures"));
  for (const { image } of records) if (image) writeFileSync(join(folder, image), bytesOf(image));
  writeFileSync(join(folder, "train.json"), JSON.stringify(records, null, 1));
  writeFileSync(join(folder, "train.jsonl"), records.map((record) => JSON.stringify(record)).join("\n"));
  writeParquetFixture(
    join(folder, "train.parquet"),
    { id: new Utf8(), image: struct({ bytes: new Binary(), path: new Utf8() }), source: new Utf8(), conversations: list(struct({ from: new Utf8(), value: new Utf8() })) },
    records.map((record) => ({ ...record, image: record.image ? { bytes: bytesOf(record.image), path: record.image } : null })),
    5,
  );
  const entries = records.flatMap((record, n) => [
    [`${n}.json`, record] as [string, object],
    ...(record.image ? [[`${n}.png`, bytesOf(record.image)] as [string, Buffer]] : []),
  ]);
  writeFileSync(join(folder, "train.tar"), await tarOf(entries));
  return {
    array: { kind: "llava_json", annotations: "train.json", image_root: "." },
    lines: { kind: "llava_json", annotations: ["*.jsonl"], image_root: "." },
    parquet: { kind: "parquet", files: "train.parquet" },
    webdataset: { kind: "webdataset", shards: "train.tar" },
  };
}

describe("the same data in every form", () => {
  it("gives the same samples, rejects and images", async () => {
    const folder = temporaryFolder();
    const forms = await writeForms(folder);
    const outcomes: Record<string, unknown> = {};
    for (const [name, config] of Object.entries(forms)) {
      const { samples, rejects, contents } = await readAll(await openSource(sourceConfig.parse({ ...config, split_samples: 4 }), folder));
      const images: Record<string, string> = {};
      for (const content of contents) {
        for (const key of content.samples.flatMap((sample) => sample.images)) images[key] = Buffer.from((await content.readImage(key)) as Uint8Array).toString();
      }
      outcomes[name] = { samples, images, rejects: rejects.map(({ sample_id, code }) => [sample_id, code]) };
    }
    const { array, ...others } = outcomes as Record<string, { samples: unknown[]; rejects: unknown[] }>;
    expect([array!.samples.length, array!.rejects.length]).toEqual([9, 3]);
    for (const [name, outcome] of Object.entries(others)) expect(outcome, name).toEqual(array);
  });

  it("has its paths resolved, and a plan that does not depend on them", async () => {
    const configs = Object.values(await writeForms(temporaryFolder())).map((config): SourceConfig => sourceConfig.parse(config));
    for (const config of configs) {
      const resolved = resolveSourcePaths(config, "/base");
      expect(JSON.stringify(resolved)).toContain("/base");
      expect(sourceIdentity(resolved)).toEqual(sourceIdentity(config));
      expect(JSON.stringify(sourceIdentity(resolved))).not.toMatch(/base|train|jsonl/);
    }
    const text_only = sourceConfig.parse({ kind: "parquet", files: "x.parquet" });
    expect("image_root" in resolveSourcePaths(text_only, "/base")).toBe(false);
  });
});
