import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Binary, Bool, type DataType, Field, Float32, Float64, Int32, List, makeBuilder, makeData, type RecordBatch, RecordBatch as Batch, Schema, Struct, Utf8 } from "apache-arrow";
import fc from "fast-check";
import { parquetMetadata } from "hyparquet";
import { Compression, Table, writeParquet, WriterPropertiesBuilder } from "parquet-wasm";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { DatasetOptions } from "../../../src/core/output.ts";
import { makeRecordBatch, columnData, boolListColumn, float64Column, int32Column, utf8Column, takeRows } from "../../../src/core/record-batch.ts";
import { FolderRowCopyWriter } from "../../../src/io/output/row-copy-writer.ts";
import { encodeIpc } from "../../../src/io/parquet/ipc.ts";
import { readParquet } from "../../../src/io/parquet/read-parquet.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const item = (type: DataType) => new List(new Field("element", type, true));
const message = new Struct([new Field("role", new Utf8(), true), new Field("content", new Utf8(), true)]);

/** Every shape that a copied column may have; `dropped` is not in the copy. */
const stored = new Schema([
  new Field("id", new Utf8(), false),
  new Field("dropped", new Int32(), true),
  new Field("number", new Float64(), true),
  new Field("flag", new Bool(), true),
  new Field("bytes", new Binary(), true),
  new Field("floats", item(new Float32()), true),
  new Field("flags", item(new Bool()), true),
  new Field("texts", item(new Utf8()), false),
  new Field("messages", item(message), true),
]);
const added = [new Field("mask", new List(new Field("item", new Bool(), true)), false), new Field("count", new Int32(), false), new Field("why", new Utf8(), false)];
const copied = new Schema([...stored.fields.filter(({ name }) => name !== "dropped"), ...added]);

type Row = Readonly<Record<string, unknown>>;
const orNull = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: null, freq: 4 });
const text = fc.oneof(fc.constantFrom("", "a", "red", " cat"), fc.string({ unit: "grapheme", maxLength: 12 }));
const list = <T>(value: fc.Arbitrary<T>) => fc.array(orNull(value), { maxLength: 12 });
const row: fc.Arbitrary<Row> = fc.record({
  id: text,
  dropped: orNull(fc.integer()),
  number: orNull(fc.double({ noNaN: true })),
  flag: orNull(fc.boolean()),
  bytes: orNull(fc.uint8Array({ maxLength: 5 })),
  floats: orNull(list(fc.float({ noNaN: true }))),
  flags: orNull(list(fc.boolean())),
  texts: list(text),
  messages: orNull(list(fc.record({ role: orNull(fc.constantFrom("user", "assistant")), content: orNull(text) }))),
});

function batchOf(rows: readonly Row[]): RecordBatch {
  const children = stored.fields.map((field) => {
    const builder = makeBuilder({ type: field.type as DataType, nullValues: [null] });
    for (const value of rows) builder.append(value[field.name]);
    return builder.finish().flush();
  });
  return new Batch(stored, makeData({ type: new Struct(stored.fields), length: rows.length, nullCount: 0, children }));
}

interface FileShape {
  readonly row_group: number;
  readonly page_bytes: number;
  readonly dictionary_bytes: number;
  readonly dictionary: boolean;
  readonly compression: "zstd" | "none";
}

const shape: fc.Arbitrary<FileShape> = fc.record({
  row_group: fc.integer({ min: 1, max: 12 }),
  page_bytes: fc.constantFrom(1, 40, 1 << 20),
  dictionary_bytes: fc.constantFrom(1, 30, 1 << 20),
  dictionary: fc.boolean(),
  compression: fc.constantFrom("zstd", "none"),
});

/** A file by the library's encoder with pages, dictionaries and row groups as small as asked. */
async function writeStored(path: string, rows: readonly Row[], { row_group, page_bytes, dictionary_bytes, dictionary, compression }: FileShape, createdBy = "vig-pipeline"): Promise<void> {
  const properties = new WriterPropertiesBuilder()
    .setCreatedBy(createdBy)
    .setCompression(compression === "zstd" ? Compression.ZSTD : Compression.UNCOMPRESSED)
    .setMaxRowGroupSize(row_group)
    .setDataPageSizeLimit(page_bytes)
    .setDictionaryPageSizeLimit(dictionary_bytes)
    .setDictionaryEnabled(dictionary)
    .setWriteBatchSize(3)
    .build();
  const batch = batchOf(rows);
  await writeFile(path, writeParquet(Table.fromIPCStream(encodeIpc(stored, [batch])), properties));
}

function addedRows(rows: readonly number[]): RecordBatch {
  return makeRecordBatch(new Schema(added), {
    mask: boolListColumn(rows.map((n) => Array.from({ length: n % 5 }, (_, i) => (n + i) % 3 === 0))),
    count: int32Column(Int32Array.from(rows)),
    why: utf8Column(rows.map((n) => (n % 2 ? "odd" : "even é"))),
  });
}

function plainRows(batches: readonly RecordBatch[]): unknown[] {
  const plain = (value: unknown): unknown => {
    if (value === null || typeof value !== "object") return value;
    if (value instanceof Uint8Array) return [...value];
    if (Symbol.iterator in value && "length" in value) return Array.from(value as ArrayLike<unknown>, plain);
    return Object.fromEntries(Object.entries((value as { toJSON(): object }).toJSON()).map(([key, v]) => [key, plain(v)]));
  };
  return batches.flatMap((batch) =>
    Array.from({ length: batch.numRows }, (_, i) => Object.fromEntries(batch.schema.fields.map((field, column) => [field.name, plain(batch.getChildAt(column)!.get(i))]))),
  );
}

async function readAll(folder: string): Promise<unknown[]> {
  const batches: RecordBatch[] = [];
  for (const name of (await readdir(folder)).sort()) for await (const batch of readParquet(join(folder, name))) batches.push(batch);
  return plainRows(batches);
}

const options = (compression: "zstd" | "none"): DatasetOptions => ({ schema: copied, compression, metadata: { rule: "test" } });

const rows = Array.from({ length: 40 }, (_, i): Row => ({ id: `id-${i}`, dropped: i, number: i / 3, flag: true, bytes: null, floats: [i], flags: [], texts: [`secret-${i}`], messages: null }));
const ordinary: FileShape = { row_group: 10, page_bytes: 1 << 20, dictionary_bytes: 1 << 20, dictionary: true, compression: "none" };

describe("FolderRowCopyWriter", () => {
  // Threads last as long as one writer is open: this one saves every case from starting its own.
  let keepsThreads: FolderRowCopyWriter | null;
  let keeper: string;
  beforeAll(async () => {
    keeper = await mkdtemp(join(tmpdir(), "vig-io-"));
    await writeStored(join(keeper, "in.parquet"), rows, ordinary);
    keepsThreads = await FolderRowCopyWriter.open(join(keeper, "tmp"), join(keeper, "out"), options("none"), [join(keeper, "in.parquet")], 0);
  });
  afterAll(async () => {
    await keepsThreads?.discard();
    await rm(keeper, { recursive: true });
  });

  it("gives the rows that decoding and encoding would give, whatever the pages, however decisions arrive", async () => {
    const files = fc.array(fc.array(row, { maxLength: 25 }), { minLength: 1, maxLength: 3 });
    await fc.assert(
      fc.asyncProperty(files, shape, fc.integer({ min: 1, max: 9 }), fc.nat({ max: 10 }), async (contents, fileShape, decisionRows, keepOf10) => {
        const folder = temporaryFolder();
        const paths = contents.map((_, i) => join(folder, `in-${i}.parquet`));
        for (const [i, rows] of contents.entries()) await writeStored(paths[i]!, rows, fileShape);
        const writer = (await FolderRowCopyWriter.open(join(folder, "tmp"), join(folder, "out"), options(fileShape.compression), paths, 0))!;
        const all = contents.flat();
        const kept = all.flatMap((_, i) => ((i * 7) % 10 < keepOf10 ? [i] : []));
        for (let start = 0; start < all.length; start += decisionRows) {
          const end = Math.min(all.length, start + decisionRows);
          const inside = kept.filter((i) => i >= start && i < end);
          await writer.write({ num_rows: end - start, rows: Int32Array.from(inside, (i) => i - start), added: addedRows(inside) });
        }
        expect((await writer.publish()).num_rows).toBe(kept.length);
        await writer.discard();
        const taken = takeRows(batchOf(all), kept);
        const expected = makeRecordBatch(copied, {
          ...Object.fromEntries(copied.fields.slice(0, -3).map(({ name }) => [name, columnData(taken, name)])),
          ...Object.fromEntries(added.map(({ name }) => [name, columnData(addedRows(kept), name)])),
        });
        expect(await readAll(join(folder, "out"))).toEqual(plainRows([expected]));
      }),
      { numRuns: 60 },
    );
  });

  it("leaves nothing of the other rows in the file", async () => {
    const folder = temporaryFolder();
    await writeStored(join(folder, "in.parquet"), rows, ordinary);
    const writer = (await FolderRowCopyWriter.open(join(folder, "tmp"), join(folder, "out"), options("none"), [join(folder, "in.parquet")], 0))!;
    await writer.write({ num_rows: 40, rows: Int32Array.of(3, 25), added: addedRows([3, 25]) });
    const { parts } = await writer.publish();
    await writer.discard();
    const content = await readFile(join(folder, "out", parts[0]!), "latin1");
    expect([...content.matchAll(/secret-\d+/g)].map(String)).toEqual(["secret-3", "secret-25"]);
  });

  it("gives vig and sample_id their smallest and largest kept value", async () => {
    const folder = temporaryFolder();
    const schema = new Schema([new Field("sample_id", new Utf8(), false), new Field("vig", new Float64(), true)]);
    const batch = makeRecordBatch(schema, { sample_id: utf8Column(["a", "b", "é", "c", "z"]), vig: float64Column([-9, 0, null, 0.5, 7]) });
    const properties = new WriterPropertiesBuilder().setCreatedBy("vig-pipeline").setCompression(Compression.UNCOMPRESSED).setDictionaryEnabled(false).build();
    await writeFile(join(folder, "in.parquet"), writeParquet(Table.fromIPCStream(encodeIpc(schema, [batch])), properties));
    const writer = (await FolderRowCopyWriter.open(join(folder, "tmp"), join(folder, "out"), { ...options("none"), schema: new Schema([...schema.fields, ...added]) }, [join(folder, "in.parquet")], 0))!;
    await writer.write({ num_rows: 5, rows: Int32Array.of(1, 2, 3), added: addedRows([1, 2, 3]) });
    const { parts } = await writer.publish();
    await writer.discard();
    const { columns } = parquetMetadata(Uint8Array.from(await readFile(join(folder, "out", parts[0]!))).buffer).row_groups[0]!;
    const statistics = Object.fromEntries(columns.map(({ meta_data }) => [meta_data!.path_in_schema.join("."), meta_data!.statistics]));
    expect(statistics.sample_id).toMatchObject({ min_value: "b", max_value: "é", null_count: 0n });
    expect(statistics.vig).toMatchObject({ min_value: -0, max_value: 0.5, null_count: 1n });
    expect(statistics.count).toBeUndefined();
  });

  it.each([
    ["files of another writer", ordinary, "someone", options("none")],
    ["another compression", ordinary, "vig-pipeline", options("zstd")],
    ["a codec that it lacks", ordinary, "vig-pipeline", { ...options("none"), compression: "snappy" as const }],
    ["a column of another type", ordinary, "vig-pipeline", { ...options("none"), schema: new Schema([new Field("number", new Int32(), true)]) }],
  ])("declines %s and leaves no folder", async (_name, fileShape, createdBy, wanted) => {
    const folder = temporaryFolder();
    await writeStored(join(folder, "in.parquet"), rows, fileShape, createdBy);
    expect(await FolderRowCopyWriter.open(join(folder, "tmp"), join(folder, "out"), wanted, [join(folder, "in.parquet")], 0)).toBeNull();
    expect(await readdir(folder)).toEqual(["in.parquet"]);
  });

  it("declines a few rows, for which threads are not worth starting", async () => {
    const folder = temporaryFolder();
    await writeStored(join(folder, "in.parquet"), rows, ordinary);
    expect(await FolderRowCopyWriter.open(join(folder, "tmp"), join(folder, "out"), options("none"), [join(folder, "in.parquet")], 41)).toBeNull();
  });

  it("refuses to publish before every row is decided about", async () => {
    const folder = temporaryFolder();
    await writeStored(join(folder, "in.parquet"), rows, ordinary);
    const writer = (await FolderRowCopyWriter.open(join(folder, "tmp"), join(folder, "out"), options("none"), [join(folder, "in.parquet")], 0))!;
    await writer.write({ num_rows: 39, rows: new Int32Array(0), added: addedRows([]) });
    await expect(writer.publish()).rejects.toThrow("not all rows");
    await writer.discard();
    expect(await readdir(folder)).toEqual(["in.parquet"]);
  });
});
