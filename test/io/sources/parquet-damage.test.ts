import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { PipelineError } from "../../../src/core/errors.ts";
import { openParquetSource, parquetSourceConfig } from "../../../src/io/sources/parquet-source.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { Binary, list, struct, Utf8, writeParquetFixture } from "./parquet-fixture.ts";
import { readSplit, splitsOf } from "./read-all.ts";

describe("a damaged Parquet file", () => {
  // A damaged file may end the decoder's thread, which costs half a second: hence few runs here and none in parallel.
  it("is read or named in an error, whatever is wrong with it", { timeout: 240_000 }, async () => {
    const folder = temporaryFolder();
    const path = join(folder, "a.parquet");
    const image = struct({ bytes: new Binary(), path: new Utf8() });
    const turns = list(struct({ from: new Utf8(), value: new Utf8() }));
    writeParquetFixture(path, { id: new Utf8(), image, conversations: turns }, Array.from({ length: 40 }, (_, n) => ({
      id: `r${n}`,
      image: { bytes: Buffer.from(`image ${n}`), path: `${n}.png` },
      conversations: [{ from: "human", value: "<image>\nWhat?" }, { from: "gpt", value: `It is ${n}.` }],
    })), 16);
    const whole = readFileSync(path);
    const changes = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(changes, fc.option(fc.nat(whole.length), { freq: 5 }), async (flips, length) => {
        const bytes = Buffer.from(whole.subarray(0, length ?? whole.length));
        for (const [at, value] of flips) if (at < bytes.length) bytes[at] = value;
        writeFileSync(path, bytes);
        try {
          const source = await openParquetSource(parquetSourceConfig.parse({ kind: "parquet", files: path, split_samples: 8 }));
          for (const split of await splitsOf(source)) {
            const { samples, rejects } = await readSplit(source, split);
            expect(samples.length + rejects.length).toBe(split.num_records);
          }
        } catch (error) {
          expect(error).toBeInstanceOf(PipelineError);
          expect(String(error)).toContain("a.parquet");
        }
      }),
      { numRuns: 10 },
    );
  });
});
