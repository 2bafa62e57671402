/**
 * What the engine carries out, and what it says afterwards. A plan is made by src/config from a configuration file;
 * the engine knows configuration, model and files only through the interfaces here.
 */
import type { OutputFolder, ShardFolder } from "./output.ts";
import type { WarningCode } from "./progress.ts";
import type { RejectCode } from "./rejects.ts";
import type { MaskCounts, MaskStage, SelectionTarget, ThresholdStage } from "./selection.ts";
import type { Shard } from "./shard.ts";
import type { Source } from "./source.ts";
import type { BatchSchema, MapStage } from "./stage.ts";

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
  /** Ends with its reason what takes long: reading all that a large folder holds, writing parts. */
  readonly signal?: AbortSignal;
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
  readonly threshold: ThresholdStage;
  readonly mask: MaskStage;
  /** What to select; null: what the threshold stage's configuration asks for. */
  readonly targets: readonly SelectionTarget[] | null;
  /** Cuts a split's sequences, given their lengths in positions, into inference batches (src/kernels/pack-batches.ts). */
  packBatches(lengths: Int32Array): {
    /** Row indices of each batch. */
    readonly batches: readonly Int32Array[];
    /** Rows that no batch can hold. */
    readonly tooLong: readonly number[];
  };
  readonly resources: Resources;
  /** 0 to 1: beyond it the run ends with exit code 3 and without `_SUCCESS`. */
  readonly max_reject_fraction: number;
  readonly output: {
    readonly path: string;
    readonly compression: "zstd" | "snappy" | "none";
    /** Takes the lock. Throws LockedError, and PlanError where the folder holds scores of another plan. */
    open(options: OpenOutputOptions): Promise<OutputFolder>;
    /** Takes the shard's lock. Throws as `open`, and PlanError where the folder is being made by another number of shards. */
    openShard(shard: Shard, options: OpenOutputOptions): Promise<ShardFolder>;
  };
  /** sha256 (hex) of `canonical.scores`: everything that changes a stored score. Guards scores/. */
  readonly scores_hash: string;
  /** sha256 (hex) of `canonical`: also threshold and mask. */
  readonly plan_hash: string;
  /** The plan as data, defaults filled in, keys sorted when hashed: what the hashes cover and the manifest shows. */
  readonly canonical: {
    readonly scores: Readonly<Record<string, unknown>>;
    readonly selection: Readonly<Record<string, unknown>>;
  };
  /** Path, digests, dtype, template, and once it is loaded the execution provider, for the manifest. */
  describeModel(): Readonly<Record<string, unknown>>;
  /** Kernel, sigma, where, for the manifest. */
  readonly blur: Readonly<Record<string, unknown>>;
  /** What inference has done in this process so far. */
  inferenceStatistics(): InferenceStatistics;
  /** This tool, Node, and every library that can change a number or a byte: name -> version. */
  readonly versions: Readonly<Record<string, string>>;
  /** Found while planning; the engine passes them to the observer. */
  readonly warnings: readonly { readonly code: WarningCode; readonly message: string }[];
}

export interface InferenceStatistics {
  /** Inference processes, of all shards together; 0 where nothing was to be scored. */
  readonly num_processes: number;
  /** Milliseconds inside session.run, all workers together: on a device its arithmetic and the copies to it and back. */
  readonly session_ms: number;
  /** Milliseconds of the workers' own work between runs, and those that they waited for a request. */
  readonly host_ms: number;
  readonly idle_ms: number;
  /** Positions fed to the decoder, padding included, both variants; and the padding alone. */
  readonly num_positions: number;
  readonly num_padding: number;
}

/** What one selection came out as. */
export interface SelectionSummary {
  readonly target: SelectionTarget;
  /** Nats. Infinity: nothing passes. */
  readonly tau: number;
  /** ceil(top_percent / 100 * samples with a VIG); null where tau was given. `counts.num_kept_vig - k` ties were kept beyond it. */
  readonly k: number | null;
  readonly counts: MaskCounts;
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
  /** Which shard of the job this run was; absent for whole runs. Its counts are of its own splits. */
  readonly shard?: Shard;
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
  /** Where something was scored. */
  readonly inference?: InferenceStatistics;
}
