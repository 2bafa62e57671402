import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import type { RecordBatch } from "apache-arrow";
import { rejectsSchema, scoresSchema, selectionSchema } from "../../../src/core/columns.ts";
import type { OutputFolder, SplitRecord } from "../../../src/core/output.ts";
import { boolListColumn, columnData, emptyRecordBatch, int32Column, makeRecordBatch, utf8Column } from "../../../src/core/record-batch.ts";
import { openOutputFolder, type OutputFolderOptions } from "../../../src/io/output/output-folder.ts";
import { scoresRows } from "../scores-rows.ts";

/** A split of the simulated input: sample numbers [start, end); every 7th is rejected. */
export interface TestSplit {
  readonly start: number;
  readonly end: number;
}

export const digestOf = ({ start, end }: TestSplit) => createHash("sha256").update(`${start}-${end}`).digest("hex");

export const splitsOf = (count: number, rows: number, first = 0): TestSplit[] =>
  Array.from({ length: count }, (_, i) => ({ start: first + i * rows, end: first + (i + 1) * rows }));

export function resultOf({ start, end }: TestSplit): { record: SplitRecord; scores: RecordBatch; rejects: RecordBatch } {
  const rejected = Array.from({ length: end - start }, (_, i) => start + i).filter((n) => n % 7 === 6);
  const pieces = scoresRows(start, end);
  const record: SplitRecord = {
    split_digest: digestOf({ start, end }),
    num_records: end - start + rejected.length,
    num_scored: pieces.numRows,
    num_text_only: 0,
    num_tokens: end,
    rejects_by_code: { image_not_found: rejected.length },
    num_truncated_tokens: 0,
    num_unknown_tokens: 0,
    vig_histogram: [[start, 1], [end, 2]],
  };
  const rejects = rejected.length === 0 ? emptyRecordBatch(rejectsSchema) : makeRecordBatch(rejectsSchema, {
    sample_id: utf8Column(rejected.map((n) => `rejected-${n}`)),
    split: int32Column(new Int32Array(rejected.length).fill(99)),
    stage: utf8Column(rejected.map(() => "decode")),
    code: utf8Column(rejected.map(() => "image_not_found")),
    message: utf8Column(rejected.map((n) => `no file ${n}.png`)),
  });
  return { record, scores: pieces, rejects };
}

export const optionsFor = (path: string, more: Partial<OutputFolderOptions> = {}): OutputFolderOptions => ({
  path,
  scores_hash: "hash-1",
  scores_plan: { model: { dtype: "fp32" }, blur: { sigma_fraction: 0.28 } },
  scores_schema: scoresSchema,
  compression: "zstd",
  fresh: false,
  retry_rejects: false,
  ...more,
});

/** What the engine does with an output folder, with made-up scores. Gives the number of splits that it had to score. */
export async function simulateRun(path: string, splits: readonly TestSplit[], more: Partial<OutputFolderOptions> = {}): Promise<number> {
  const output = await openOutputFolder(optionsFor(path, more));
  try {
    await output.invalidate();
    const digests = splits.map(digestOf);
    let scored = 0;
    let numWritten = 0;
    for (const [i, split] of splits.entries()) {
      if (output.committed().has(digests[i]!)) continue;
      const { record, scores, rejects } = resultOf(split);
      await output.commitSplit(record, scores, rejects);
      scored++;
      numWritten += await output.writeFullParts(digests.slice(numWritten, i + 1));
    }
    await output.publishScores(digests);
    await writeSelection(output);
    await output.finish({ splits: splits.length }, true);
    return scored;
  } finally {
    await output.close();
  }
}

async function writeSelection(output: OutputFolder): Promise<void> {
  const writer = await output.openDataset("selection", { schema: selectionSchema, compression: "zstd", metadata: {} });
  const columns = ["sample_id", "source", "images", "messages", "vig", "token_id", "token_text"];
  for await (const batch of output.readScores(columns, new AbortController().signal)) {
    const masks = Array.from({ length: batch.numRows }, (_, row) => Array.from({ length: row % 3 }, () => 1));
    await writer.write(makeRecordBatch(selectionSchema, {
      ...Object.fromEntries(columns.map((name) => [name, columnData(batch, name)])),
      loss_mask: boolListColumn(masks),
      num_active: int32Column(Int32Array.from(masks, (mask) => mask.length)),
      kept_as: utf8Column(masks.map(() => "vig")),
    }));
  }
  await writer.publish();
}

/** Path -> digest of every file that a reader may see: all but the work folder. */
export function visibleFiles(path: string): Record<string, string> {
  const files: Record<string, string> = {};
  const visit = (folder: string) => {
    for (const name of readdirSync(folder).sort()) {
      const child = join(folder, name);
      if (name === "_work") continue;
      if (statSync(child).isDirectory()) visit(child);
      else files[relative(path, child)] = createHash("sha256").update(readFileSync(child)).digest("hex");
    }
  };
  visit(path);
  return files;
}

/** Names of the files under the work folder, locks left out. */
export function workFiles(path: string): string[] {
  return readdirSync(join(path, "_work"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.name.startsWith("lock-"))
    .map((entry) => relative(path, join(entry.parentPath, entry.name)))
    .sort();
}
