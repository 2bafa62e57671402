import { type RecordBatch, Schema, type Binary, type Int32, type List } from "apache-arrow";
import { z } from "zod";
import { NLL_COLUMNS, PREPARED_COLUMNS } from "../core/columns.ts";
import {
  binaryValue,
  columnData,
  emptyRecordBatch,
  float32ListColumn,
  int32ListColumn,
  numericListValue,
  projectColumns,
  takeRows,
  utf8ListValue,
  utf8Value,
  utf8Values,
  withColumns,
} from "../core/record-batch.ts";
import type { Reject } from "../core/rejects.ts";
import type { Batch, BatchContext, MapStage, Operator, SplitScope, StageOutput } from "../core/stage.ts";
import type { ImageInput, ImageSize, Model, Scorer, ScorerOptions, ScoreStatistics, Sequence, SequenceNlls, ViewPixels } from "../model/contract.ts";
import { requireColumns } from "./require-columns.ts";

export const pairedInferenceConfig = z
  .strictObject({
    max_batch_tokens: z
      .int()
      .min(64)
      .default(8192)
      .describe("Positions that one inference batch may hold: image tokens, padding and both variants counted. Bounds memory."),
  })
  .describe("Scores every answer token twice, with the clean and with the blurred image, in one batch.");

export type PairedInferenceConfig = z.infer<typeof pairedInferenceConfig>;

/** The images end here: nothing behind inference needs pixels. */
const NO_IMAGES = emptyRecordBatch(new Schema([]));

/** Consumed here; token_text goes on to the output. */
const CONSUMED = PREPARED_COLUMNS.map((field) => field.name).filter((name) => name !== "token_text");

/**
 * Replaces the token sequences by token_id and the two NLLs of every answer token. Text-only samples pass with
 * null NLLs: they have no VIG (method, "Definitions").
 * Rejects: non_finite_nll.
 */
export function pairedInference(
  config: PairedInferenceConfig,
  options: {
    readonly model: Model;
    readonly scorer: ScorerOptions;
    /** Told of every response: what the model's processes did. */
    readonly onStatistics?: (statistics: ScoreStatistics) => void;
    /** Told once the model is loaded. */
    readonly onScorer?: (scorer: Scorer) => void;
  },
): MapStage {
  return {
    kind: "paired_inference",
    version: 2,
    config,
    // One batch at the model, one on its way: a worker never waits for the next.
    concurrency: 2,
    outputSchema(input) {
      requireColumns("paired_inference", input.samples, [...PREPARED_COLUMNS.map((field) => field.name), "images"]);
      requireColumns("paired_inference", input.images, ["image_key", "source_width", "source_height", "pixels", "pixels_blur"]);
      const kept = input.samples.fields.filter((field) => !CONSUMED.includes(field.name));
      return { samples: new Schema([...kept, ...NLL_COLUMNS]), images: NO_IMAGES.schema };
    },
    async open(signal) {
      const scorer = await options.model.openScorer(options.scorer, signal);
      options.onScorer?.(scorer);
      return new PairedInferenceOperator(scorer, options.onStatistics);
    },
  };
}

class PairedInferenceOperator implements Operator {
  readonly #scorer: Scorer;
  readonly #onStatistics: ((statistics: ScoreStatistics) => void) | undefined;

  constructor(scorer: Scorer, onStatistics?: (statistics: ScoreStatistics) => void) {
    this.#scorer = scorer;
    this.#onStatistics = onStatistics;
  }

  async process({ samples, images }: Batch, { split, signal }: BatchContext): Promise<StageOutput> {
    const rows = Array.from({ length: samples.numRows }, (_, row) => sequenceAt(samples, row));
    const shown = rows.filter((row) => row.images.length > 0);
    const newImages = imageInputs(images, split);
    const nlls =
      shown.length === 0 && newImages.length === 0
        ? []
        : (await this.#score({ split: split.sequence, images: newImages, sequences: shown }, signal)).slice();
    const nllOf = rows.map((row) => (row.images.length > 0 ? nlls.shift()! : null));
    return attachNlls(samples, rows, nllOf);
  }

  async #score(request: Parameters<Scorer["score"]>[0], signal: AbortSignal): Promise<readonly SequenceNlls[]> {
    const response = await this.#scorer.score(request, signal);
    this.#onStatistics?.(response.statistics);
    return response.sequences;
  }

  closeSplit(split: SplitScope): Promise<void> {
    return this.#scorer.closeSplit(split.sequence);
  }

  close(): Promise<void> {
    return this.#scorer.close();
  }
}

function sequenceAt(samples: RecordBatch, row: number): Sequence {
  return {
    input_ids: numericListValue<Int32Array>(columnData<List>(samples, "input_ids"), row)!,
    answer_positions: numericListValue<Int32Array>(columnData<List>(samples, "answer_positions"), row)!,
    images: utf8ListValue(columnData<List>(samples, "images"), row),
  };
}

function imageInputs(images: RecordBatch, split: SplitScope): ImageInput[] {
  const views = new Map<string, ViewPixels[]>();
  const sizes = new Map<string, ImageSize>();
  const names = ["width", "height", "source_width", "source_height"];
  const [width, height, sourceWidth, sourceHeight] = names.map((name) => columnData<Int32>(images, name).values);
  const pixels = columnData<Binary>(images, "pixels");
  const blurred = columnData<Binary>(images, "pixels_blur");
  for (const [row, key] of utf8Values(images, "image_key").entries()) {
    const view = {
      width: width![row]!,
      height: height![row]!,
      pixels: binaryValue(pixels, row),
      pixels_blur: binaryValue(blurred, row),
    };
    views.set(key, [...(views.get(key) ?? []), view]);
    sizes.set(key, { width: sourceWidth![row]!, height: sourceHeight![row]! });
  }
  return [...views].map(([key, list]) => ({ key, uses: split.imageUses.get(key) ?? 1, source_size: sizes.get(key)!, views: list }));
}

function attachNlls(samples: RecordBatch, rows: readonly Sequence[], nllOf: readonly (SequenceNlls | null)[]): StageOutput {
  const rejects: Reject[] = [];
  const kept: number[] = [];
  for (const [row, nlls] of nllOf.entries()) {
    const bad = nlls === null ? -1 : firstNonFinite(nlls);
    if (bad < 0) kept.push(row);
    else {
      const message = `answer token ${bad} of ${rows[row]!.answer_positions.length} has a NaN or infinite log-probability`;
      rejects.push({ sample_id: utf8Value(columnData(samples, "sample_id"), row), code: "non_finite_nll", message });
    }
  }
  const remaining = rejects.length === 0 ? samples : takeRows(samples, kept);
  const schema = new Schema(samples.schema.fields.filter((field) => !CONSUMED.includes(field.name)));
  const scored = withColumns(projectColumns(remaining, schema), NLL_COLUMNS, {
    token_id: int32ListColumn(kept.map((row) => rows[row]!.answer_positions.map((position) => rows[row]!.input_ids[position]!))),
    token_nll_image: float32ListColumn(kept.map((row) => nllOf[row]?.nll_image ?? null)),
    token_nll_blur: float32ListColumn(kept.map((row) => nllOf[row]?.nll_blur ?? null)),
  });
  return { batch: { samples: scored, images: NO_IMAGES }, rejects };
}

/** Index of the first token with a NaN or infinite NLL under either variant, or -1. */
function firstNonFinite({ nll_image, nll_blur }: SequenceNlls): number {
  return nll_image.findIndex((value, t) => !Number.isFinite(value) || !Number.isFinite(nll_blur[t]!));
}
