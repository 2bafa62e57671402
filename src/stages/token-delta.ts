import { type List, type RecordBatch, Schema } from "apache-arrow";
import { z } from "zod";
import { SAMPLE_COLUMNS, scoresSchema } from "../core/columns.ts";
import { columnData, float32ListColumn, float64Column, int32Column, numericListValue, projectColumns, withColumns } from "../core/record-batch.ts";
import type { Batch, BatchSchema, MapStage, StageOutput } from "../core/stage.ts";
import { tokenMean, tokenVig } from "../kernels/token-delta.ts";
import { requireColumns } from "./require-columns.ts";

export const tokenDeltaConfig = z
  .strictObject({})
  .describe("Takes the difference of the two NLLs of every answer token (token VIG) and its mean (sample VIG).");

export type TokenDeltaConfig = z.infer<typeof tokenDeltaConfig>;

const CONSUMED = ["token_nll_blur"];
const STORED = new Set(scoresSchema.names.map(String));

/**
 * Makes the columns of `scores/`: token_vig, vig and the mean NLLs; passed-through columns stand behind them.
 * The arithmetic is src/kernels/token-delta.ts. Rejects nothing.
 */
export function tokenDelta(config: TokenDeltaConfig): MapStage {
  return {
    kind: "token_delta",
    version: 1,
    config,
    concurrency: 1,
    outputSchema(input: BatchSchema) {
      requireColumns("token_delta", input.samples, [
        ...SAMPLE_COLUMNS.map((field) => field.name),
        "token_id",
        "token_text",
        "token_nll_image",
        "token_nll_blur",
      ]);
      return { samples: outputSchema(input.samples), images: input.images };
    },
    open: () =>
      Promise.resolve({
        process: (batch: Batch) => Promise.resolve(addVig(batch)),
        close: () => Promise.resolve(),
      }),
  };
}

function outputSchema(input: Schema): Schema {
  const passedThrough = input.fields.filter((field) => !STORED.has(field.name) && !CONSUMED.includes(field.name));
  return new Schema([...scoresSchema.fields, ...passedThrough]);
}

function addVig({ samples, images }: Batch): StageOutput {
  const lists = (name: string) => listValues(samples, name);
  const nllImage = lists("token_nll_image");
  const nllBlur = lists("token_nll_blur");
  const vig = nllImage.map((clean, row) => (clean === null ? null : tokenVig(clean, nllBlur[row]!)));
  const mean = (rows: readonly (Float32Array | null)[]) => float64Column(rows.map((values) => values && tokenMean(values)));
  const tokenIds = columnData<List>(samples, "token_id");
  const numTokens = Int32Array.from({ length: samples.numRows }, (_, row) => tokenIds.valueOffsets[row + 1]! - tokenIds.valueOffsets[row]!);
  const added = scoresSchema.fields.filter((field) => ["num_tokens", "nll_image", "nll_blur", "vig", "token_vig"].includes(field.name));
  const scored = withColumns(samples, added, {
    num_tokens: int32Column(numTokens),
    nll_image: mean(nllImage),
    nll_blur: mean(nllBlur),
    vig: mean(vig),
    token_vig: float32ListColumn(vig),
  });
  return { batch: { samples: projectColumns(scored, outputSchema(samples.schema)), images }, rejects: [] };
}

function listValues(samples: RecordBatch, name: string): (Float32Array | null)[] {
  const data = columnData<List>(samples, name);
  return Array.from({ length: samples.numRows }, (_, row) => numericListValue<Float32Array>(data, row));
}
