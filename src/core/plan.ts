/**
 * What the engine carries out, and what it says afterwards. A plan is made by src/config from a configuration file;
 * the engine knows configuration, model and files only through the interfaces here.
 */
import type { OutputFolder } from "./output.ts";
import type { WarningCode } from "./progress.ts";
import type { RejectCode } from "./rejects.ts";
import type { Source } from "./source.ts";
import type { BatchSchema, MapStage } from "./stage.ts";

/** How tau is found: the k-th largest VIG with k = ceil(top_percent / 100 * n), or a value given. */
export type ThresholdRule =
  | { readonly kind: "top_percent"; readonly top_percent: number }
  | {
      readonly kind: "tau";
      /** Nats; compared as float64. */
      readonly tau: number;
      /** Where it came from: "configuration", or the manifest it was read from. */
      readonly origin: string;
    };

/** Which samples and tokens keep their loss (method, "Definitions"; `random` is the paper's control of equal size). */
export interface MaskRule {
  readonly granularity: "sample" | "token" | "sample_and_token" | "random";
  /** Used by `random` alone. */
  readonly seed: number;
}

/** One selection made from the scores. */
export interface SelectionPlan {
  /** Its folder under the output: "selection", or "selection@30" for one of `pipeline select --top`. */
  readonly folder: string;
  readonly threshold: ThresholdRule;
  readonly mask: MaskRule;
}

/** What a run may use at once. Changes speed and memory, never a number that is stored. */
export interface Resources {
  /** Splits in work at once. */
  readonly num_lanes: number;
  /** Inference worker processes. */
  readonly num_workers: number;
  /** Intra-op threads of each worker. */
  readonly num_threads: number;
}

/** This run's choices about what is already in the output folder. */
export interface OpenOutputOptions {
  /** Start over: scores under another hash are removed instead of refused. */
  readonly fresh: boolean;
  /** Splits with rejects are scored again. */
  readonly retry_rejects: boolean;
}

/** Checked and ready: files were read to make it, but no session, worker or output folder is open yet. */
export interface Plan {
  /** The configuration's `name`. */
  readonly name: string;
  readonly source: Source;
  /** In order: tokenize (implicit), decode, blur, paired_inference, token_delta. */
  readonly stages: readonly MapStage[];
  /** What leaves the last stage; `samples` has scoresSchema's columns, passed-through ones behind them. */
  readonly schema: BatchSchema;
  /** At least one. */
  readonly selections: readonly SelectionPlan[];
  /** Positions (image tokens included, padding included, both variants) that one batch may hold. */
  readonly max_batch_tokens: number;
  readonly resources: Resources;
  /** 0 to 1: beyond it the run ends with exit code 3 and without `_SUCCESS`. */
  readonly max_reject_fraction: number;
  readonly output: {
    readonly path: string;
    readonly compression: "zstd" | "snappy" | "none";
    /** Takes the lock. Throws LockedError, and PlanError where the folder holds scores of another plan. */
    open(options: OpenOutputOptions): Promise<OutputFolder>;
  };
  /** sha256 (hex) of `canonical.scores`: everything that changes a stored score. Guards scores/. */
  readonly scores_hash: string;
  /** sha256 (hex) of `canonical`: also threshold and mask. */
  readonly plan_hash: string;
  /** The plan as data, defaults filled in, keys sorted when hashed: what the hashes cover and the manifest shows. */
  readonly canonical: {
    readonly scores: Readonly<Record<string, unknown>>;
    readonly selections: readonly SelectionPlan[];
  };
  /** Path, digests, dtype, template, for the manifest. */
  readonly model: Readonly<Record<string, unknown>>;
  /** This tool, Node, and every library that can change a number or a byte: name -> version. */
  readonly versions: Readonly<Record<string, string>>;
  /** Found while planning; the engine passes them to the observer. */
  readonly warnings: readonly { readonly code: WarningCode; readonly message: string }[];
}

/** What one selection came out as. */
export interface SelectionSummary {
  readonly folder: string;
  /** null where tau was given. */
  readonly top_percent: number | null;
  /** Nats. null where no sample has a VIG. */
  readonly tau: number | null;
  /** Samples kept by their VIG, and text-only samples kept whole. */
  readonly num_kept_vig: number;
  readonly num_kept_text_only: number;
  /** True values in loss_mask, text-only samples included. */
  readonly num_active_tokens: number;
  /** Answer tokens of samples with a VIG, kept or not, and the active ones among them: the share to watch. */
  readonly num_vig_tokens: number;
  readonly num_active_vig_tokens: number;
  /** Where |tau| < 0.01: active_vig_tokens that tau just below and just above the cliff would leave. */
  readonly cliff: { readonly num_active_below: number; readonly num_active_above: number } | null;
}

/** A word (lower case, as it stands in answers) and its mean token VIG. */
export interface WordVig {
  readonly word: string;
  /** Nats: mean over occurrences of the mean VIG of the word's tokens. */
  readonly mean_vig: number;
  readonly count: number;
}

/** What a run did, for the closing summary, the metrics file and tests. The manifest holds the same numbers. */
export interface RunSummary {
  readonly run_id: string;
  readonly output_path: string;
  /** The output was complete before: nothing was done. */
  readonly up_to_date: boolean;
  /** False where rejects exceed max_reject_fraction: no _SUCCESS was written. */
  readonly success: boolean;
  readonly num_splits: number;
  /** Splits that an earlier run had committed. */
  readonly num_splits_reused: number;
  readonly counts: {
    readonly num_read: number;
    readonly num_scored: number;
    readonly num_text_only: number;
    readonly num_rejected: number;
    readonly rejects_by_code: Readonly<Partial<Record<RejectCode, number>>>;
    /** Answer tokens of all samples that were not rejected. */
    readonly num_tokens: number;
    readonly num_truncated_tokens: number;
    readonly num_unknown_tokens: number;
  };
  readonly selections: readonly SelectionSummary[];
  /** Words that occur often enough to mean something; empty where none does. */
  readonly words: { readonly highest: readonly WordVig[]; readonly lowest: readonly WordVig[] };
  readonly warnings: readonly { readonly code: WarningCode; readonly message: string }[];
  readonly duration_ms: number;
  readonly duration_ms_by_phase: Readonly<Record<string, number>>;
}
