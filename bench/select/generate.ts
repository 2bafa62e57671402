/**
 * A data set of scores as large as asked, seeded, as `pipeline run` would have left it: answers of a long-tailed
 * length (64 tokens on average), pieces of a vocabulary by Zipf's law, one text-only sample in eleven.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Data, List, RecordBatch, Utf8 } from "apache-arrow";
import { emptyRecordBatch, float64Column, int32Column, makeRecordBatch, messagesColumn, utf8Column, utf8ListColumn } from "../../src/core/record-batch.ts";
import { rejectsSchema, scoresSchema } from "../../src/core/columns.ts";
import { float32ListColumn, int32ListColumn } from "../../src/core/record-batch.ts";
import type { OutputFolder, SplitRecord } from "../../src/core/output.ts";
import { openOutputFolder } from "../../src/io/output/output-folder.ts";
import { RandomStream } from "../../src/kernels/random-stream.ts";
import { tokenMean, tokenVig } from "../../src/kernels/token-delta.ts";
import { quantileThreshold } from "../../src/stages/quantile-threshold.ts";

const SPLIT_ROWS = 4096;
const VOCABULARY = 20_000;

export function openScores(path: string): Promise<OutputFolder> {
  return openOutputFolder({
    path,
    scores_hash: "bench",
    scores_plan: { made_by: "bench/select" },
    scores_schema: scoresSchema,
    compression: "zstd",
    fresh: false,
    retry_rejects: false,
  });
}

/** Makes the data set unless it is there. Leaves the folder closed. */
export async function generateScores(path: string, numSamples: number, report: (done: number) => void): Promise<void> {
  if (existsSync(join(path, "scores"))) return;
  const output = await openScores(path);
  try {
    const digests: string[] = [];
    for (let start = 0; start < numSamples; start += SPLIT_ROWS) {
      const digest = `split-${start}`;
      digests.push(digest);
      if (output.committed().has(digest)) continue;
      const scores = makeScores(start, Math.min(SPLIT_ROWS, numSamples - start));
      await output.commitSplit(recordOf(digest, scores), scores, emptyRecordBatch(rejectsSchema));
      report(start + scores.numRows);
    }
    await output.publishScores(digests);
  } finally {
    await output.close();
  }
}

/** Pieces of two to nine letters; two in three begin a word. */
const PIECES = Array.from({ length: VOCABULARY }, (_, id) => {
  const random = new RandomStream(id, 3);
  const letters = Array.from({ length: 2 + (random.uint32() % 8) }, () => String.fromCharCode(97 + (random.uint32() % 26))).join("");
  return id % 3 === 0 ? letters : ` ${letters}`;
});

function makeScores(first: number, numRows: number): RecordBatch {
  const random = new RandomStream(first, 4);
  const rows = Array.from({ length: numRows }, (_, i) => makeSample(first + i, random));
  return makeRecordBatch(scoresSchema, {
    sample_id: utf8Column(rows.map((row) => row.sample_id)),
    source: utf8Column(rows.map((row) => row.source)),
    images: utf8ListColumn(rows.map((row) => (row.vig ? [`images/${row.sample_id}.jpg`] : []))),
    messages: messagesColumn(rows.map((row) => [
      { role: "user", content: `${row.vig ? "<image>\n" : ""}What can be said about ${row.sample_id}?` },
      { role: "assistant", content: row.token_text.join("").trimStart() },
    ])),
    num_tokens: int32Column(Int32Array.from(rows, (row) => row.token_id.length)),
    nll_image: float64Column(rows.map((row) => row.image && tokenMean(row.image))),
    nll_blur: float64Column(rows.map((row) => row.blur && tokenMean(row.blur))),
    vig: float64Column(rows.map((row) => row.vig && tokenMean(row.vig))),
    token_id: int32ListColumn(rows.map((row) => row.token_id)),
    token_text: utf8ListColumn(rows.map((row) => row.token_text)),
    token_nll_image: float32ListColumn(rows.map((row) => row.image)),
    token_vig: float32ListColumn(rows.map((row) => row.vig)),
  });
}

function makeSample(number: number, random: RandomStream) {
  const length = Math.min(600, 3 + Math.floor(-61 * Math.log(1 - random.uniform())));
  // Zipf with exponent 1: the id's logarithm is uniform.
  const token_id = Int32Array.from({ length }, () => Math.floor(VOCABULARY ** random.uniform()) - 1);
  const textOnly = number % 11 === 7;
  const grounded = random.uniform() - 0.2;
  const image = textOnly ? null : Float32Array.from({ length }, () => -Math.log(1 - random.uniform()));
  const blur = image && image.map((nll) => Math.max(0, nll + (random.uniform() - 0.4) * 2 * grounded));
  return {
    sample_id: `sample-${String(number).padStart(8, "0")}`,
    source: ["caption", "question", "chat", "count"][number % 4]!,
    token_id,
    token_text: Array.from(token_id, (id) => PIECES[id]!),
    image,
    blur,
    vig: image && tokenVig(image, blur!),
  };
}

const threshold = quantileThreshold({});

function recordOf(split_digest: string, scores: RecordBatch): SplitRecord {
  const vigs = Array.from(scores.getChild("vig")!.toArray() as Float64Array).filter((_, row) => scores.getChild("vig")!.isValid(row));
  const numTokens = (scores.getChild("token_text")!.data[0] as Data<List<Utf8>>).valueOffsets[scores.numRows]!;
  return {
    split_digest,
    num_records: scores.numRows,
    num_scored: vigs.length,
    num_text_only: scores.numRows - vigs.length,
    num_tokens: numTokens,
    rejects_by_code: {},
    num_truncated_tokens: 0,
    num_unknown_tokens: 0,
    vig_histogram: threshold.histogram(vigs),
  };
}
