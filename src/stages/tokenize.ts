import { Schema, type RecordBatch } from "apache-arrow";
import { PREPARED_COLUMNS } from "../core/columns.ts";
import {
  columnData,
  int32Column,
  int32ListColumn,
  messagesValue,
  takeRows,
  utf8ListColumn,
  utf8ListValue,
  utf8Value,
  withColumns,
} from "../core/record-batch.ts";
import type { Reject } from "../core/rejects.ts";
import type { Sample } from "../core/sample.ts";
import { isImageReject, type Batch, type BatchContext, type ImageReject, type MapStage, type SplitScope, type StageOutput } from "../core/stage.ts";
import type { ImageSize, Model, Prepared } from "../model/contract.ts";
import { readImageSize, type DecodeLimits } from "./image-decoding.ts";
import { requireColumns } from "./require-columns.ts";

/**
 * Adds each sample's token sequence and the positions of its supervised answer tokens. Implicit: every plan begins
 * with it, since the batch planner needs the lengths before any image is decoded.
 * Rejects: placeholder_without_image, image_without_placeholder, too_many_images, empty_answer, bad_turn_order,
 * tokenization_mismatch, answer_truncated, and for models whose token count depends on the image's size, the
 * image codes of decode.
 */
export function tokenize(model: Model, limits: DecodeLimits): MapStage {
  return {
    kind: "tokenize",
    version: 1,
    config: {},
    concurrency: 1,
    outputSchema(input) {
      requireColumns("tokenize", input.samples, ["sample_id", "source", "images", "messages"]);
      return { samples: new Schema([...input.samples.fields, ...PREPARED_COLUMNS]), images: input.images };
    },
    open: () =>
      Promise.resolve({
        process: (batch: Batch, context: BatchContext) => tokenizeBatch(model, limits, batch, context),
        close: () => Promise.resolve(),
      }),
  };
}

async function tokenizeBatch(model: Model, limits: DecodeLimits, { samples, images }: Batch, { split, signal }: BatchContext): Promise<StageOutput> {
  const sizes = new Map<string, Promise<ImageSize | ImageReject>>();
  const prepared: Prepared[] = [];
  const kept: number[] = [];
  const rejects: Reject[] = [];
  for (let row = 0; row < samples.numRows; row++) {
    signal.throwIfAborted();
    const sample = sampleAt(samples, row);
    const result = await prepareOne(model, sample, (key) => {
      const size = sizes.get(key) ?? imageSize(key, split, limits, signal);
      sizes.set(key, size);
      return size;
    });
    if ("code" in result) {
      rejects.push({ sample_id: sample.sample_id, code: result.code, message: result.message });
    } else {
      kept.push(row);
      prepared.push(result);
    }
  }
  const remaining = rejects.length === 0 ? samples : takeRows(samples, kept);
  return { batch: { samples: withColumns(remaining, PREPARED_COLUMNS, preparedColumns(prepared)), images }, rejects };
}

async function prepareOne(model: Model, sample: Sample, sizeOf: (key: string) => Promise<ImageSize | ImageReject>): Promise<Prepared | ImageReject> {
  if (!model.needs_image_sizes) return model.prepare(sample, []);
  const sizes: ImageSize[] = [];
  for (const key of sample.images) {
    const size = await sizeOf(key);
    if (isImageReject(size)) return { code: size.code, message: `${key}: ${size.message}` };
    sizes.push(size);
  }
  return model.prepare(sample, sizes);
}

async function imageSize(key: string, split: SplitScope, limits: DecodeLimits, signal: AbortSignal): Promise<ImageSize | ImageReject> {
  const bytes = await split.readImage(key, signal);
  return isImageReject(bytes) ? bytes : readImageSize(bytes, limits);
}

function sampleAt(samples: RecordBatch, row: number): Sample {
  return {
    sample_id: utf8Value(columnData(samples, "sample_id"), row),
    source: utf8Value(columnData(samples, "source"), row),
    images: utf8ListValue(columnData(samples, "images"), row),
    messages: messagesValue(columnData(samples, "messages"), row),
  };
}

function preparedColumns(rows: readonly Prepared[]) {
  return {
    input_ids: int32ListColumn(rows.map((row) => row.input_ids)),
    answer_positions: int32ListColumn(rows.map((row) => row.answer_positions)),
    token_text: utf8ListColumn(rows.map((row) => row.token_text)),
    num_truncated: int32Column(Int32Array.from(rows, (row) => row.num_truncated)),
    num_unknown: int32Column(Int32Array.from(rows, (row) => row.num_unknown)),
  };
}
