import { join } from "node:path";
import type { RecordBatch } from "apache-arrow";
import { scoresSchema, selectionSchema } from "../../src/core/columns.ts";
import { boolListColumn, float32ListColumn, float64Column, int32Column, int32ListColumn, makeRecordBatch, messagesColumn, utf8Column, utf8ListColumn } from "../../src/core/record-batch.ts";
import { makeFolder } from "../../src/io/output/durable-file.ts";
import { ParquetWriter, type Compression } from "../../src/io/parquet/parquet-writer.ts";

/** A row of scores as any reader gives it, in plain values. */
export interface ScoresRow {
  readonly sample_id: string;
  readonly source: string;
  readonly images: readonly string[];
  readonly messages: readonly { readonly role: string; readonly content: string }[];
  readonly num_tokens: number;
  readonly nll_image: number | null;
  readonly nll_blur: number | null;
  readonly vig: number | null;
  readonly token_id: readonly number[];
  readonly token_text: readonly string[];
  readonly token_nll_image: readonly number[] | null;
  readonly token_vig: readonly number[] | null;
}

/** Ids, lengths and VIGs that rise with the number, so that row groups have ranges of their own; every seventh is text-only. */
export function scoresRow(n: number): ScoresRow {
  const isTextOnly = n % 7 === 3;
  const numTokens = 1 + Math.floor(n / 4_000) + (n % 3);
  const tokens = Array.from({ length: numTokens }, (_, t) => t);
  const token_vig = tokens.map((t) => Math.fround(n / 10_000 - 1 + Math.sin(n * 31 + t * 7) / 100));
  const token_nll_image = tokens.map((t) => Math.fround(Math.abs(Math.cos(n * 17 + t * 3))));
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / numTokens;
  return {
    sample_id: `sample-${String(n).padStart(6, "0")}`,
    source: ["", "vqa", "légende 😀"][n % 3]!,
    images: isTextOnly ? [] : Array.from({ length: 1 + (n % 2) }, (_, i) => `folder/image-${n}-${i}.png`),
    messages: [
      { role: "user", content: isTextOnly ? `What is ${n}?` : `<image>\nWhat is ${n}? é\n"quoted"` },
      { role: "assistant", content: `It is ${"so ".repeat(n % 5)}${n} 😀.` },
    ],
    num_tokens: numTokens,
    nll_image: isTextOnly ? null : mean(token_nll_image),
    nll_blur: isTextOnly ? null : mean(token_nll_image) + mean(token_vig),
    vig: isTextOnly ? null : mean(token_vig),
    token_id: tokens.map((t) => n + t),
    token_text: tokens.map((t) => (t === 0 ? "" : ` t${n + t}`)),
    token_nll_image: isTextOnly ? null : token_nll_image,
    token_vig: isTextOnly ? null : token_vig,
  };
}

export function scoresBatch(start: number, end: number): RecordBatch {
  const rows = Array.from({ length: end - start }, (_, i) => scoresRow(start + i));
  const floats = (values: readonly number[] | null): Float32Array | null => values && Float32Array.from(values);
  return makeRecordBatch(scoresSchema, {
    sample_id: utf8Column(rows.map((row) => row.sample_id)),
    source: utf8Column(rows.map((row) => row.source)),
    images: utf8ListColumn(rows.map((row) => row.images)),
    messages: messagesColumn(rows.map((row) => row.messages as never)),
    num_tokens: int32Column(Int32Array.from(rows, (row) => row.num_tokens)),
    nll_image: float64Column(rows.map((row) => row.nll_image)),
    nll_blur: float64Column(rows.map((row) => row.nll_blur)),
    vig: float64Column(rows.map((row) => row.vig)),
    token_id: int32ListColumn(rows.map((row) => Int32Array.from(row.token_id))),
    token_text: utf8ListColumn(rows.map((row) => row.token_text)),
    token_nll_image: float32ListColumn(rows.map((row) => floats(row.token_nll_image))),
    token_vig: float32ListColumn(rows.map((row) => floats(row.token_vig))),
  });
}

/** Rows of a selection at `tau`, as the mask's rule says. */
export function selectionBatch(start: number, end: number, tau: number): RecordBatch {
  const kept = Array.from({ length: end - start }, (_, i) => scoresRow(start + i)).filter(({ vig }) => vig === null || vig >= tau);
  const masks = kept.map(({ token_vig, num_tokens }) => token_vig?.map((value) => value >= tau) ?? Array<boolean>(num_tokens).fill(true));
  return makeRecordBatch(selectionSchema, {
    sample_id: utf8Column(kept.map((row) => row.sample_id)),
    source: utf8Column(kept.map((row) => row.source)),
    images: utf8ListColumn(kept.map((row) => row.images)),
    messages: messagesColumn(kept.map((row) => row.messages as never)),
    vig: float64Column(kept.map((row) => row.vig)),
    token_id: int32ListColumn(kept.map((row) => Int32Array.from(row.token_id))),
    token_text: utf8ListColumn(kept.map((row) => row.token_text)),
    loss_mask: boolListColumn(masks),
    num_active: int32Column(Int32Array.from(masks, (mask) => mask.filter(Boolean).length)),
    kept_as: utf8Column(kept.map((row) => (row.vig === null ? "text_only" : "vig"))),
  });
}

const BATCH_ROWS = 2_000;

/** Writes `num_rows` rows of scores as the pipeline does: `folder`/part-00000.parquet. Returns the file. */
export async function writeScores(folder: string, num_rows: number, compression: Compression): Promise<string> {
  await makeFolder(folder);
  const path = join(folder, "part-00000.parquet");
  const writer = await ParquetWriter.open(path, { schema: scoresSchema, compression, metadata: {} });
  for (let start = 0; start < num_rows; start += BATCH_ROWS) await writer.write(scoresBatch(start, Math.min(num_rows, start + BATCH_ROWS)));
  await writer.finish();
  return path;
}

export async function writeSelection(folder: string, num_rows: number, tau: number, compression: Compression): Promise<string> {
  await makeFolder(folder);
  const path = join(folder, "part-00000.parquet");
  const writer = await ParquetWriter.open(path, { schema: selectionSchema, compression, metadata: {} });
  for (let start = 0; start < num_rows; start += BATCH_ROWS) await writer.write(selectionBatch(start, Math.min(num_rows, start + BATCH_ROWS), tau));
  await writer.finish();
  return path;
}

