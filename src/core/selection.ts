/** Contracts of the select phase, where all samples must have been seen before any can be kept or dropped. */
import type { Field, RecordBatch, Schema } from "apache-arrow";
import type { RowDecision } from "./output.ts";
import type { WarningCode } from "./progress.ts";

/** Something that must see all rows of `scores/`, perhaps several times, before it can answer. */
export interface DataPass {
  /** Columns that the next pass reads; null once no further pass is needed. */
  readonly columns: readonly string[] | null;
  /** Rows of that pass, in order, however they are cut into batches. */
  observe(scores: RecordBatch): void;
  endPass(): void;
}

/** One selection that is asked for: the top percent by VIG, or a tau given outright (exactly one of the two is set). */
export interface SelectionTarget {
  /** Name of its data set: "selection", or "selection@30" beside it. */
  readonly dataset: string;
  readonly top_percent: number | null;
  readonly tau: number | null;
}

/** A threshold that has been found or given. */
export interface Threshold {
  readonly target: SelectionTarget;
  /** Nats. Infinity: nothing passes (0 percent, or no sample has a VIG). */
  readonly tau: number;
  /** Samples with a VIG; null where tau was given and nothing had to be counted. */
  readonly num_vig: number | null;
  /** ceil(top_percent / 100 * num_vig), exactly; null where tau was given. */
  readonly k: number | null;
}

export interface ThresholdSearch extends DataPass {
  /** In the order of the targets. Throws InternalError before the last pass. */
  thresholds(): readonly Threshold[];
}

/** Merged SplitRecord.vig_histogram: [digit, count], digits ascending. */
export type VigHistogram = readonly (readonly [digit: number, count: number])[];

/** The global barrier between scores and selection. */
export interface ThresholdStage {
  readonly kind: "quantile_threshold";
  readonly version: number;
  readonly config: Readonly<Record<string, unknown>>;
  /** What the configuration asks for; reads the manifest that `tau_from` names. Throws PlanError where it can't. */
  targets(): Promise<readonly SelectionTarget[]>;
  /** The histogram of some samples' VIGs, for the journal; histograms merge by addition. */
  histogram(vigs: Iterable<number>): VigHistogram;
  /** With the histogram of all samples' VIGs, one pass fewer is needed. */
  open(targets: readonly SelectionTarget[], histogram?: VigHistogram): ThresholdSearch;
}

/** Cuts selections out of scores at one threshold. After its own passes, it takes all rows once, in order. */
export interface Masker extends DataPass {
  /** Columns of scores that `decide` reads, and those that `select` reads. */
  readonly decideColumns: readonly string[];
  readonly selectColumns: readonly string[];
  /** Which rows are kept, with the columns that scores lack. A run calls this or `select`, not both. */
  decide(scores: RecordBatch): RowDecision;
  /** The kept rows, in order, with the stage's output schema. */
  select(scores: RecordBatch): RecordBatch;
  /** What `decide` or `select` has seen and kept so far. */
  counts(): MaskCounts;
  /** What the user should know beside the counts; after the last row. */
  warnings(): readonly { readonly code: WarningCode; readonly message: string }[];
}

export interface MaskCounts {
  readonly num_vig: number;
  readonly num_text_only: number;
  readonly num_kept_vig: number;
  /** Samples whose VIG equals tau; all of them are kept or none. */
  readonly num_ties: number;
  /** Answer tokens of all samples, and of samples with a VIG alone. */
  readonly num_tokens: number;
  readonly num_vig_tokens: number;
  /** Tokens whose loss mask is true, and those of them in samples with a VIG. */
  readonly num_active: number;
  readonly num_vig_active: number;
  /**
   * The share of the VIG samples' tokens that would be active at tau = -eps and at tau = +eps. Only where |tau| < eps:
   * there the sign of tau decides whether every function word passes. Else null.
   */
  readonly near_zero: { readonly eps: number; readonly active_share_below: number; readonly active_share_above: number } | null;
}

export interface MaskStage {
  readonly kind: "mask";
  readonly version: number;
  readonly config: Readonly<Record<string, unknown>>;
  /** Throws PlanError naming a missing column. `passedThrough`: columns of scores to carry along. */
  outputSchema(scores: Schema, passedThrough: readonly Field[]): Schema;
  open(threshold: Threshold, passedThrough: readonly Field[]): Masker;
}
