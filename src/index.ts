/**
 * The library: `import { ... } from "vig-pipeline"`. What is exported here is documented in docs/library.md and kept
 * from one minor version to the next; everything else may change.
 */
import type { RecordBatch } from "apache-arrow";
import { readDataset, type ReadDatasetOptions } from "./io/output/read-output.ts";

// ---- reading a finished run ----

export { datasetsIn, readFinishedManifest as readManifest, type ReadDatasetOptions } from "./io/output/read-output.ts";
export { rejectsSchema, scoresSchema, selectionSchema } from "./core/columns.ts";

/**
 * Rows of `scores/` in input order, as record batches.
 * Memory bound: the encoded pages of the columns asked for in one row group, and one batch.
 * Throws PlanError where the folder has no scores or lacks a column, StageError where a file is damaged.
 */
export function readScores(out_dir: string, options: ReadDatasetOptions = {}): AsyncIterable<RecordBatch> {
  return readDataset(out_dir, "scores", options);
}

/** Rows of a selection in input order: "selection", or "selection@30" beside it. As readScores. */
export function readSelection(out_dir: string, options: ReadDatasetOptions & { readonly dataset?: string } = {}): AsyncIterable<RecordBatch> {
  const { dataset = "selection", ...rest } = options;
  return readDataset(out_dir, dataset, rest);
}

export { type SelectedSample, selectedSamples } from "./export/selected-sample.ts";
export { type AlignedTurn, alignAnswers } from "./export/align-answers.ts";
export { activeSpans, type ActiveTurn, type Span } from "./export/active-spans.ts";
export { exportSelection, type ExportOptions, type ExportSummary } from "./export/export-selection.ts";
export { FORMAT_NAMES, type FormatName } from "./export/formats.ts";

// ---- running ----

export { loadConfig } from "./config/load-config.ts";
export { buildPlan } from "./config/build-plan.ts";
export { type PipelineConfig, pipelineJsonSchema } from "./config/pipeline-config.ts";
export { runPipeline, selectAgain } from "./engine/run-pipeline.ts";
export type { Plan, RunSummary, SelectionSummary } from "./core/plan.ts";
export type { ProgressEvent, RunObserver } from "./core/progress.ts";
export * from "./core/errors.ts";
export { REJECT_CODES, type Reject, type RejectCode } from "./core/rejects.ts";

// ---- stages ----

export type { Batch, BatchContext, BatchSchema, MapStage, Operator, SplitScope, StageOutput } from "./core/stage.ts";
export type { MaskStage, Masker, SelectionTarget, Threshold, ThresholdStage } from "./core/selection.ts";
export type { Message, Role, Sample } from "./core/sample.ts";
export { tokenize } from "./stages/tokenize.ts";
export { decode, decodeConfig, type DecodeConfig } from "./stages/decode.ts";
export { blur, blurConfig, type BlurConfig } from "./stages/blur.ts";
export { pairedInference, pairedInferenceConfig, type PairedInferenceConfig } from "./stages/paired-inference.ts";
export { tokenDelta, tokenDeltaConfig, type TokenDeltaConfig } from "./stages/token-delta.ts";
export { quantileThreshold, quantileThresholdConfig, type QuantileThresholdConfig } from "./stages/quantile-threshold.ts";
export { mask, maskConfig, type MaskConfig } from "./stages/mask.ts";

/** For stages of one's own: the column kit, and the libraries that it speaks (zod, apache-arrow), in the versions of this copy. */
export * as arrow from "apache-arrow";
export { z } from "zod";
export {
  boolColumn,
  type Column,
  columnData,
  float32ListColumn,
  float64Column,
  int32Column,
  int32ListColumn,
  isNull,
  messagesValue,
  numericListValue,
  takeRows,
  utf8Column,
  utf8ListColumn,
  utf8ListValue,
  utf8Value,
  utf8Values,
  withColumns,
} from "./core/record-batch.ts";
export { requireColumns } from "./stages/require-columns.ts";

// ---- models ----

export type { Model, ModelDescription, Prepared, Scorer } from "./model/contract.ts";
export { loadModel } from "./model/load-model.ts";

// ---- metrics of a model's own outputs (docs/evaluation.md) ----

export { evaluateFile, type EvaluateOptions, type Evaluation } from "./analysis/evaluate-file.ts";
export type { Estimate, MetricGroup, MetricResult, MetricTally } from "./metrics/estimate.ts";
export { METRIC_NAMES, type MetricName, newTally } from "./metrics/metrics.ts";
export { ObjectTable } from "./metrics/object-table.ts";
export { popeMeasures, yesOrNo } from "./metrics/pope.ts";
export { chairCounts } from "./metrics/chair.ts";
export { ratingIn } from "./metrics/mmhal.ts";
export { chosenLetter } from "./metrics/choice.ts";
export { anls, editDistance } from "./metrics/docvqa.ts";

// ---- kernels: plain typed-array maths ----

export { auc } from "./kernels/auc.ts";
export { averageRanks } from "./kernels/average-ranks.ts";
export { blurPixels } from "./kernels/blur-pixels.ts";
export { gaussianBlur, gaussianWeights } from "./kernels/gaussian.ts";
export { countActive, fillLossMask, keepsSample, type ThresholdGranularity } from "./kernels/loss-mask.ts";
export { type PackedBatches, type PackOptions, packBatches } from "./kernels/pack-batches.ts";
export { KthLargestSearch, type KthLargestOptions, LeadingDigitHistogram } from "./kernels/radix-quantile.ts";
export { rankCorrelation } from "./kernels/rank-correlation.ts";
export { tokenMean, tokenVig } from "./kernels/token-delta.ts";
export { topPercentRank } from "./kernels/top-percent.ts";
