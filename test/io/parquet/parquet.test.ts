import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { RecordBatch } from "apache-arrow";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { scoresSchema } from "../../../src/core/columns.ts";
import { PlanError, StageError } from "../../../src/core/errors.ts";
import { emptyRecordBatch } from "../../../src/core/record-batch.ts";
import { EvenBatches } from "../../../src/io/parquet/even-batches.ts";
import { bytesBefore, logicalBytes, rowsThatFit, rowsToReach } from "../../../src/io/parquet/logical-bytes.ts";
import { ParquetThread } from "../../../src/io/parquet/parquet-thread.ts";
import { type Compression, ParquetWriter } from "../../../src/io/parquet/parquet-writer.ts";
import { ParquetReader, readParquet } from "../../../src/io/parquet/read-parquet.ts";
import { scoresRows } from "../scores-rows.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const plain = (batches: readonly RecordBatch[]) => batches.flatMap((batch) => batch.toArray().map((row) => JSON.stringify(row)));

async function write(path: string, batches: readonly RecordBatch[], compression: Compression = "zstd") {
  const writer = await ParquetWriter.open(path, { schema: scoresSchema, compression, metadata: { purpose: "test" } });
  for (const batch of batches) await writer.write(batch);
  return writer.finish();
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const collected: T[] = [];
  for await (const item of items) collected.push(item);
  return collected;
}

describe("Parquet", () => {
  it.each(["zstd", "snappy", "none"] as const)("gives back the rows written with %s", async (compression) => {
    const path = join(temporaryFolder(), "a.parquet");
    const rows = scoresRows(0, 500);
    const summary = await write(path, [rows], compression);
    expect(summary).toMatchObject({ num_rows: 500, num_bytes: readFileSync(path).length });
    const read = await all(readParquet(path, { batch_rows: 64 }));
    expect(read.map((batch) => batch.numRows)).toEqual([64, 64, 64, 64, 64, 64, 64, 52]);
    expect(plain(read)).toEqual(plain([rows]));
    expect(String(read[0]!.schema)).toBe(String(scoresSchema));
  });

  it("writes the same bytes however the rows arrive", async () => {
    const folder = temporaryFolder();
    const rows = scoresRows(0, 5_003);
    const whole = await write(join(folder, "whole"), [rows]);
    const cut = [rows.slice(0, 1), rows.slice(1, 1), rows.slice(1, 1_999), rows.slice(1_999, 4_500), rows.slice(4_500, 5_003)];
    expect((await write(join(folder, "cut"), cut)).digest).toBe(whole.digest);
    expect((await write(join(folder, "made apart"), [scoresRows(0, 77), scoresRows(77, 5_003)])).digest).toBe(whole.digest);
  });

  it("writes the same bytes whatever the thread has written before", async () => {
    const folder = temporaryFolder();
    const metadata = Object.fromEntries(["one", "two", "three", "four", "five"].map((name, i) => [name, String(i)]));
    const digests = new Set<string>();
    for (let n = 0; n < 12; n++) {
      const writer = await ParquetWriter.open(join(folder, `${n}.parquet`), { schema: scoresSchema, compression: "zstd", metadata });
      await writer.write(scoresRows(0, 3));
      const { digest, num_bytes } = await writer.finish();
      const content = readFileSync(join(folder, `${n}.parquet`));
      expect([digest, num_bytes]).toEqual([createHash("sha256").update(content).digest("hex"), content.length]);
      digests.add(digest);
    }
    expect(digests.size).toBe(1);
    const text = readFileSync(join(folder, "0.parquet")).toString("latin1");
    const places = ["ARROW:schema", "five", "four", "huggingface", "one", "three", "two"].map((key) => text.lastIndexOf(key));
    expect(places).toEqual([...places].sort((a, b) => a - b));
    expect(await all(readParquet(join(folder, "11.parquet"))).then(plain)).toEqual(plain([scoresRows(0, 3)]));
  });

  it("keeps a schema without rows", async () => {
    const path = join(temporaryFolder(), "empty.parquet");
    await write(path, [emptyRecordBatch(scoresSchema)]);
    const reader = await ParquetReader.open(path);
    expect(reader.num_rows).toBe(0);
    expect(String(reader.schema)).toBe(String(scoresSchema));
    expect(await all(reader.batches())).toEqual([]);
    await reader.close();
  });

  it("cuts row groups and reads the chosen ones and columns, in the order asked", async () => {
    const path = join(temporaryFolder(), "groups.parquet");
    await write(path, [scoresRows(0, 45_000, 2)]);
    const reader = await ParquetReader.open(path);
    expect(reader.row_groups.map((group) => group.num_rows)).toEqual([20_000, 20_000, 5_000]);
    expect(reader.key_value.purpose).toBe("test");
    expect(reader.created_by).toBe("vig-pipeline");
    const [batch, ...more] = await all(reader.batches({ columns: ["vig", "sample_id"], row_groups: [2], batch_rows: 50_000 }));
    expect(more).toEqual([]);
    expect(batch!.schema.names).toEqual(["vig", "sample_id"]);
    expect(batch!.getChild("sample_id")!.get(0)).toBe("sample-40000");
    await reader.close();
  });

  it("names a column that is missing and those that are there", async () => {
    const path = join(temporaryFolder(), "a.parquet");
    await write(path, [scoresRows(0, 3)]);
    const reading = all(readParquet(path, { columns: ["vigg"] }));
    await expect(reading).rejects.toThrow(PlanError);
    await expect(reading).rejects.toThrow(/a\.parquet has no column vigg; it has sample_id, source/);
  });

  it("names a damaged file, and goes on with the next one", async () => {
    const folder = temporaryFolder();
    const good = join(folder, "good.parquet");
    await write(good, [scoresRows(0, 4_000)]);
    const bytes = readFileSync(good);
    const overwritten = Buffer.from(bytes).fill(0xa5, 100, bytes.length - 20_000);
    const long_footer = Buffer.from(bytes);
    long_footer.writeUInt32LE(0xfffffff0, bytes.length - 8);
    const damages = { empty: Buffer.alloc(0), text: Buffer.from("not Parquet at all, sorry"), short: bytes.subarray(0, bytes.length - 100), overwritten, long_footer };
    const thread = new ParquetThread();
    for (const [name, damage] of Object.entries(damages)) {
      writeFileSync(join(folder, name), damage);
      const reading = all(readParquet(join(folder, name), { thread }));
      await expect(reading, name).rejects.toThrow(StageError);
      await expect(reading, name).rejects.toThrow(join(folder, name));
    }
    expect((await all(readParquet(good, { thread }))).length).toBe(1);
    await thread.close();
  });

  it("names a file that is missing", async () => {
    await expect(all(readParquet("/nowhere/x.parquet"))).rejects.toThrow(/\/nowhere\/x\.parquet/);
  });

  it("stops reading where the signal says", async () => {
    const path = join(temporaryFolder(), "a.parquet");
    await write(path, [scoresRows(0, 100)]);
    const controller = new AbortController();
    const reading = readParquet(path, { batch_rows: 10, signal: controller.signal });
    await reading.next();
    controller.abort();
    await expect(reading.next()).rejects.toThrow(/abort/);
  });
});

describe("logical bytes", () => {
  it("count the same however a batch was cut", () => {
    const rows = scoresRows(0, 300);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 300 }), (a, b) => {
        const [start, end] = [Math.min(a, b), Math.max(a, b)];
        const direct = bytesBefore(rows.data, end) - bytesBefore(rows.data, start);
        expect(logicalBytes(rows.slice(start, end))).toBe(direct);
        expect(logicalBytes(scoresRows(start, end))).toBe(direct);
      }),
    );
  });

  it("find how many rows fit", () => {
    const rows = scoresRows(0, 100);
    const row = (n: number) => bytesBefore(rows.data, n + 1) - bytesBefore(rows.data, n);
    expect(rowsThatFit(rows, 10, row(10) + row(11))).toBe(2);
    expect(rowsThatFit(rows, 10, row(10) + row(11) - 1)).toBe(1);
    expect(rowsThatFit(rows, 10, 0)).toBe(1);
    expect(rowsThatFit(rows, 0, 1e9)).toBe(100);
    expect(rowsToReach(rows, 10, row(10) + row(11))).toBe(2);
    expect(rowsToReach(rows, 10, row(10) + row(11) + 1)).toBe(3);
    expect(rowsToReach(rows, 10, row(10) - 1)).toBe(1);
    expect(rowsToReach(rows, 10, 1e9)).toBe(90);
  });
});

describe("even batches", () => {
  const evenOf = (batches: readonly RecordBatch[]) => {
    const even = new EvenBatches(scoresSchema);
    return [...batches.flatMap((batch) => [...even.push(batch)]), ...even.flush()];
  };

  it("have the same bounds and content however the rows arrive", () => {
    const rows = scoresRows(0, 4_100);
    const expected = evenOf([rows]);
    expect(expected.map((batch) => batch.numRows)).toEqual([2_000, 2_000, 100]);
    const expected_rows = expected.map((batch) => plain([batch]).join("\n"));
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 4_100 }), { maxLength: 12 }), (cuts) => {
        const bounds = [0, ...cuts.sort((a, b) => a - b), 4_100];
        const pieces = bounds.slice(1).map((end, i) => rows.slice(bounds[i], end));
        const got = evenOf(pieces);
        for (const [i, text] of expected_rows.entries()) if (plain([got[i]!]).join("\n") !== text) throw new Error(`batch ${i} differs`);
        expect(got.length).toBe(3);
      }),
      { numRuns: 20 },
    );
  });
});
