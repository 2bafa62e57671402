import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";
import { type AsyncBuffer, asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from "hyparquet";
import parquetjs from "parquetjs-lite";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ParquetReader } from "../../src/io/parquet/read-parquet.ts";
import { type ScoresRow, scoresRow, writeScores, writeSelection } from "./stored-rows.ts";

/** Three row groups. */
const NUM_ROWS = 45_000;
const TAU = 0.7;

const folder = mkdtempSync(join(tmpdir(), "vig-readers-"));
const scores = { zstd: "", snappy: "" };
const selection = join(folder, "selection-snappy");

beforeAll(async () => {
  scores.zstd = await writeScores(join(folder, "zstd"), NUM_ROWS, "zstd");
  scores.snappy = await writeScores(join(folder, "snappy"), NUM_ROWS, "snappy");
  await writeSelection(selection, NUM_ROWS, TAU, "snappy");
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const rowsToCompare = [0, 1, 2, 3, 10, 6_999, 19_999, 20_000, 39_999, 40_000, NUM_ROWS - 1];

describe("hyparquet", () => {
  it("gives every value, null and list", async () => {
    const file = await asyncBufferFromFile(scores.snappy);
    for (const n of rowsToCompare) {
      const [row] = await parquetReadObjects({ file, rowStart: n, rowEnd: n + 1 });
      // It leaves a list out that is null.
      expect({ token_nll_image: null, token_vig: null, ...definedOf(row!) }).toEqual(scoresRow(n));
    }
    const ids = await parquetReadObjects({ file, columns: ["sample_id", "num_tokens"] });
    expect(ids.length).toBe(NUM_ROWS);
    expect(ids.every((row, n) => row["sample_id"] === scoresRow(n).sample_id)).toBe(true);
  });

  it("finds statistics of sample_id, num_tokens and vig in every row group, and reads fewer for a filter", async () => {
    const file = await asyncBufferFromFile(scores.snappy);
    const metadata = await parquetMetadataAsync(file);
    expect(metadata.row_groups.map(({ num_rows }) => Number(num_rows))).toEqual([20_000, 20_000, 5_000]);
    for (const { columns } of metadata.row_groups) {
      const withRange = columns.filter(({ meta_data }) => meta_data?.statistics?.min_value !== undefined && meta_data.statistics.max_value !== undefined);
      expect(withRange.map(({ meta_data }) => meta_data!.path_in_schema.join("."))).toEqual(["sample_id", "num_tokens", "vig"]);
      expect(Number(columns.find(({ meta_data }) => meta_data?.path_in_schema[0] === "vig")!.meta_data!.statistics!.null_count)).toBeGreaterThan(500);
    }
    for (const filter of [{ vig: { $gte: 3.2 } }, { sample_id: { $gte: "sample-041000" } }, { num_tokens: { $gte: 13 } }]) {
      const counted = counting(file);
      const rows = await parquetReadObjects({ file: counted, metadata, columns: ["sample_id", "vig", "num_tokens"], filter });
      expect(rows.length).toBeGreaterThan(100);
      const lastRowGroup = Number(metadata.row_groups[2]!.columns[0]!.meta_data!.data_page_offset) - 100_000;
      expect(Math.min(...counted.starts)).toBeGreaterThan(lastRowGroup);
    }
  });
});

function definedOf(row: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(row).filter(([, value]) => value !== undefined));
}

/** The file, and where reads of it began. */
function counting(file: AsyncBuffer): AsyncBuffer & { readonly starts: number[] } {
  const starts: number[] = [];
  return {
    byteLength: file.byteLength,
    starts,
    slice(start, end) {
      starts.push(start);
      return file.slice(start, end);
    },
  };
}

describe("parquetjs-lite", () => {
  it("gives every value, null and list of a snappy file", async () => {
    const reader = await parquetjs.ParquetReader.openFile(scores.snappy);
    try {
      expect(Number(reader.getRowCount())).toBe(NUM_ROWS);
      const cursor = reader.getCursor();
      for (let n = 0; n < 20_500; n++) {
        const row = (await cursor.next()) as Record<string, unknown>;
        if (n % 500 === 0 || rowsToCompare.includes(n)) expect(plainRow(row)).toEqual(scoresRow(n));
      }
    } finally {
      await reader.close();
    }
  });
});

/** parquetjs-lite shows three-level lists as they are stored, and leaves out nulls and empty lists. */
function plainRow(row: Readonly<Record<string, unknown>>): ScoresRow {
  const list = (name: string): unknown[] => ((row[name] as { list?: { element: unknown }[] } | undefined)?.list ?? []).map(({ element }) => element);
  const orNull = (name: string): unknown => (row["vig"] === undefined || row["vig"] === null ? null : list(name));
  const value = (name: string): unknown => row[name] ?? null;
  return {
    sample_id: value("sample_id"),
    source: value("source"),
    images: list("images"),
    messages: list("messages"),
    num_tokens: value("num_tokens"),
    nll_image: value("nll_image"),
    nll_blur: value("nll_blur"),
    vig: value("vig"),
    token_id: list("token_id"),
    token_text: list("token_text"),
    token_nll_image: orNull("token_nll_image"),
    token_vig: orNull("token_vig"),
  } as ScoresRow;
}

describe("DuckDB", () => {
  it("describes the types", async () => {
    const columns = await query(`DESCRIBE SELECT * FROM '${scores.zstd}'`);
    expect(Object.fromEntries(columns.map((row) => [row["column_name"], row["column_type"]]))).toEqual({
      sample_id: "VARCHAR",
      source: "VARCHAR",
      images: "VARCHAR[]",
      messages: "STRUCT(\"role\" VARCHAR, \"content\" VARCHAR)[]",
      num_tokens: "INTEGER",
      nll_image: "DOUBLE",
      nll_blur: "DOUBLE",
      vig: "DOUBLE",
      token_id: "INTEGER[]",
      token_text: "VARCHAR[]",
      token_nll_image: "FLOAT[]",
      token_vig: "FLOAT[]",
    });
  });

  it("gives every value, null and list", async () => {
    for (const path of [scores.zstd, scores.snappy]) {
      const ids = rowsToCompare.map((n) => `'${scoresRow(n).sample_id}'`).join(", ");
      const rows = await query(`SELECT * FROM '${path}' WHERE sample_id IN (${ids}) ORDER BY sample_id`);
      expect(rows).toEqual([...rowsToCompare].sort((a, b) => a - b).map(scoresRow));
    }
  });

  it("recomputes the masks of the selection", async () => {
    const different = await query(`
      WITH expected AS (
        SELECT sample_id, CASE WHEN vig IS NULL THEN list_transform(token_id, lambda t: true)
                               ELSE list_transform(token_vig, lambda v: v::DOUBLE >= ${TAU}) END AS loss_mask
        FROM '${scores.zstd}' WHERE vig IS NULL OR vig >= ${TAU})
      SELECT count(*) AS n, count(*) FILTER (s.loss_mask IS DISTINCT FROM e.loss_mask) AS wrong,
             count(*) FILTER (s.num_active <> len(list_filter(s.loss_mask, lambda x: x))) AS miscounted
      FROM expected e FULL JOIN '${selection}/*.parquet' s USING (sample_id)`);
    const kept = Array.from({ length: NUM_ROWS }, (_, n) => scoresRow(n).vig).filter((vig) => vig === null || vig >= TAU).length;
    expect(different).toEqual([{ n: kept, wrong: 0, miscounted: 0 }]);
  });
});

async function query(sql: string): Promise<Record<string, unknown>[]> {
  const instance = await DuckDBInstance.create();
  const connection = await instance.connect();
  try {
    const reader = await connection.runAndReadAll(sql);
    return reader.getRowObjectsJson().map((row) => Object.fromEntries(Object.entries(row).map(([key, value]) => [key, plain(value)])));
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

/** DuckDB's JSON writes 64-bit integers as text. */
function plain(value: unknown): unknown {
  return typeof value === "string" && /^\d+$/.test(value) ? Number(value) : value;
}

describe("our own reader", () => {
  it("reads the row groups that are asked for", async () => {
    const reader = await ParquetReader.open(scores.zstd);
    try {
      const ids: unknown[] = [];
      for await (const batch of reader.batches({ columns: ["sample_id"], row_groups: [2] })) for (let row = 0; row < batch.numRows; row++) ids.push(batch.getChildAt(0)!.get(row));
      expect([ids.length, ids[0], ids.at(-1)]).toEqual([5_000, scoresRow(40_000).sample_id, scoresRow(NUM_ROWS - 1).sample_id]);
    } finally {
      await reader.close();
    }
  });
});
