import type { RecordBatch } from "apache-arrow";
import { scoresSchema } from "../../src/core/columns.ts";
import {
  columnData,
  float32ListColumn,
  float64Column,
  int32Column,
  int32ListColumn,
  makeRecordBatch,
  messagesColumn,
  utf8Column,
  utf8ListColumn,
} from "../../src/core/record-batch.ts";
import { tokenMean } from "../../src/kernels/token-delta.ts";
import fc from "fast-check";

/** A sample as the mask sees it: the VIGs of its tokens, or null for a text-only one of that many tokens. */
export type ScoredSample = { readonly tokens: readonly string[]; readonly token_vig: Float32Array | null };

export function scored(...token_vig: number[]): ScoredSample {
  return { tokens: token_vig.map((_, t) => ` w${t}`), token_vig: Float32Array.from(token_vig) };
}

export function textOnly(numTokens: number): ScoredSample {
  return { tokens: Array.from({ length: numTokens }, (_, t) => ` w${t}`), token_vig: null };
}

export function vigOf(sample: ScoredSample): number | null {
  return sample.token_vig && tokenMean(sample.token_vig);
}

/** Rows of `scores/`; sample i has the id s<first + i>. */
export function scoresOf(samples: readonly ScoredSample[], first = 0): RecordBatch {
  const ids = samples.map((_, i) => `s${first + i}`);
  return makeRecordBatch(scoresSchema, {
    sample_id: utf8Column(ids),
    source: utf8Column(ids.map((id) => `source of ${id}`)),
    images: utf8ListColumn(samples.map((sample, i) => (sample.token_vig ? [`${ids[i]}.png`] : []))),
    messages: messagesColumn(ids.map((id) => [{ role: "user", content: `ask ${id}` }, { role: "assistant", content: `answer ${id}` }])),
    num_tokens: int32Column(Int32Array.from(samples, (sample) => sample.tokens.length)),
    nll_image: float64Column(samples.map((sample) => (sample.token_vig ? 1 : null))),
    nll_blur: float64Column(samples.map((sample) => (sample.token_vig ? 1 + vigOf(sample)! : null))),
    vig: float64Column(samples.map(vigOf)),
    token_id: int32ListColumn(samples.map((sample, i) => Int32Array.from(sample.tokens, (_, t) => 100 * (first + i) + t))),
    token_text: utf8ListColumn(samples.map((sample) => sample.tokens)),
    token_nll_image: float32ListColumn(samples.map((sample) => sample.token_vig && new Float32Array(sample.tokens.length).fill(1))),
    token_vig: float32ListColumn(samples.map((sample) => sample.token_vig)),
  });
}

/** The rows cut into batches of `size`, some of them slices with an offset. */
export function scoresBatches(samples: readonly ScoredSample[], size: number): RecordBatch[] {
  const whole = scoresOf(samples);
  const batches: RecordBatch[] = [];
  for (let start = 0; start < samples.length; start += size) batches.push(whole.slice(start, Math.min(samples.length, start + size)));
  return batches;
}

const tokenVig = fc.oneof(fc.float({ min: -2, max: 4, noNaN: true }), fc.constantFrom(0, -0, 0.5, -0.005, 0.005));

export const scoredSample: fc.Arbitrary<ScoredSample> = fc.oneof(
  { weight: 8, arbitrary: fc.array(tokenVig, { minLength: 1, maxLength: 8 }).map((values) => scored(...values)) },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 5 }).map(textOnly) },
);

export interface SelectedRow {
  readonly sample_id: string;
  readonly vig: number | null;
  readonly loss_mask: boolean[];
  readonly num_active: number;
  readonly kept_as: string;
}

/** Rows of a selection by Arrow's own accessors, what the mask decides about only. */
export function selectedRows(batches: readonly RecordBatch[]): SelectedRow[] {
  return batches.flatMap((batch) => {
    const value = (name: string, row: number): unknown => batch.getChild(name)!.get(row);
    return Array.from({ length: batch.numRows }, (_, row) => ({
      sample_id: value("sample_id", row) as string,
      vig: value("vig", row) as number | null,
      loss_mask: Array.from(value("loss_mask", row) as Iterable<boolean>),
      num_active: value("num_active", row) as number,
      kept_as: value("kept_as", row) as string,
    }));
  });
}

/** Every column of the row but those that the mask makes, for comparing with the scores row of the same sample. */
export function carried(batch: RecordBatch, row: number): unknown {
  const names = ["sample_id", "source", "images", "messages", "vig", "token_id", "token_text"];
  return names.map((name) => (columnData(batch, name), JSON.stringify(batch.getChild(name)!.get(row) as unknown)));
}
