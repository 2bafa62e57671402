import type { RecordBatch, Schema } from "apache-arrow";
import type { RejectCode } from "./rejects.ts";
import type { Shard } from "./shard.ts";

/** What the journal says of one committed split: one fsynced JSON line. */
export interface SplitRecord {
  /** Split.digest: what was in it. Position is not part of it, so splits that move keep their scores. */
  readonly split_digest: string;
  readonly num_records: number;
  readonly num_scored: number;
  readonly num_text_only: number;
  readonly num_tokens: number;
  readonly rejects_by_code: Readonly<Partial<Record<RejectCode, number>>>;
  /** Answer tokens cut off by max_length, and answer tokens unknown to the tokenizer. */
  readonly num_truncated_tokens: number;
  readonly num_unknown_tokens: number;
  /** Sparse counts of the first radix digit of the VIG keys: [digit, count] in ascending order. */
  readonly vig_histogram: readonly (readonly [number, number])[];
  /** Over the bytes of every image that its samples show, as they were scored; absent where an earlier version scored it. */
  readonly images_digest?: string;
}

/** One Parquet data set folder being written; nothing of it is visible before `publish`. */
export interface DatasetWriter {
  /** Rows are appended in order; parts and row groups are cut by rule, not by batch. Takes no ownership. */
  write(batch: RecordBatch): Promise<void>;
  /** Makes the data set visible under its name in one step, replacing an earlier one. Returns rows and parts written. */
  publish(): Promise<{ readonly num_rows: number; readonly parts: readonly string[] }>;
  /** Removes what was written. Safe after publish. */
  discard(): Promise<void>;
}

/** Which of the next `num_rows` rows of `scores/` are kept, and the columns that the kept ones get beside their own. */
export interface RowDecision {
  readonly num_rows: number;
  /** Ascending, from 0 for the first of these rows. */
  readonly rows: Int32Array;
  /** One row for each of `rows`. */
  readonly added: RecordBatch;
}

/** One data set folder being written of rows of `scores/` that are copied without being decoded. */
export interface RowCopyWriter {
  /** Decisions about all rows of `scores/`, in order. */
  write(decision: RowDecision): Promise<void>;
  publish(): Promise<{ readonly num_rows: number; readonly parts: readonly string[] }>;
  discard(): Promise<void>;
}

export interface DatasetOptions {
  readonly schema: Schema;
  readonly compression: "zstd" | "snappy" | "none";
  /** Key-value metadata of every file's footer. Deterministic: no times, no paths. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** What a shard says of itself when it has ended, for the manifest. */
export interface ShardReport extends Shard {
  readonly run_id: string;
  readonly host: string;
  readonly duration_ms: number;
  /** Splits that this run scored. */
  readonly num_splits: number;
  readonly stage_ms: Readonly<Record<string, number>>;
  readonly model: Readonly<Record<string, unknown>>;
  readonly inference: Readonly<Record<string, number>>;
}

/** A shard that was begun in an output folder and is not merged yet. */
export interface BegunShard extends Shard {
  /** Of its last run that scored anything. */
  readonly report?: ShardReport;
}

/** Where scored splits become durable: the output folder, or one shard of it. */
export type SplitStore = Pick<OutputFolder, "committed" | "commitSplit" | "writeFullParts">;

/** One shard of an output folder, under a lock of its own: several may be open at once, on one machine or many. */
export interface ShardFolder extends SplitStore {
  /** The whole output's. */
  readonly path: string;
  readonly damaged: readonly string[];
  /** Leaves a report for the manifest. */
  finish(report: ShardReport): Promise<void>;
  close(): Promise<void>;
}

/**
 * The output folder, held under its lock. The only way the engine touches the disk.
 * `scores/` grows by committed splits: `commitSplit` makes one durable (temporary name, fsync, rename, journal
 * line), `publishScores` turns them into parts of a size that readers like. An interrupted run's folder and an
 * undisturbed run's are byte for byte the same once both have finished.
 */
export interface OutputFolder {
  readonly path: string;
  /** Files of earlier runs that were found damaged when the folder was opened; what they held is done again. */
  readonly damaged: readonly string[];
  /** Shards whose splits were taken in and not yet merged, in order. */
  readonly shards: readonly BegunShard[];
  /** Splits whose scores are durable under this run's scores hash, by digest. */
  committed(): ReadonlyMap<string, SplitRecord>;
  /** Makes it durable that splits found damaged or gone are to be scored again, for shards, which read the journal alone. */
  forgetLost(): Promise<void>;
  /** Splits that are to be scored again; durable before it settles. */
  forget(split_digests: readonly string[]): Promise<void>;
  /** Makes one split durable. `rejects` has rejectsSchema. */
  commitSplit(record: SplitRecord, scores: RecordBatch, rejects: RecordBatch): Promise<void>;
  /**
   * While the run goes on: writes the full parts that these splits make up, from the first on, which is the first of a
   * part. Gives the number of splits in them, which need not be asked about again.
   */
  writeFullParts(split_digests: readonly string[]): Promise<number>;
  /** Writes `scores/` and `rejects/` for exactly these splits in this order, reusing parts that are already right. */
  publishScores(split_digests: readonly string[]): Promise<void>;
  /**
   * Streams the published scores in order, only the named columns, row group by row group. Throws StageError for a
   * part that is not as it was written.
   */
  readScores(columns: readonly string[], signal: AbortSignal): AsyncIterable<RecordBatch>;
  openDataset(name: string, options: DatasetOptions): Promise<DatasetWriter>;
  /**
   * Like openDataset, for rows of the published scores as they are, some columns left out and some added: several
   * times faster, since values are moved as bytes. null: these files can't be copied so, and openDataset must do.
   */
  openRowCopy?(name: string, options: DatasetOptions): Promise<RowCopyWriter | null>;
  /** Removes every selection but these: what stands beside `_SUCCESS` is what the manifest speaks of. */
  keepSelections(names: readonly string[]): Promise<void>;
  /** Whether `_SUCCESS` stands: an earlier run finished and nothing was invalidated since. */
  isComplete(): Promise<boolean>;
  readManifest(): Promise<Readonly<Record<string, unknown>> | undefined>;
  /** Removes `_SUCCESS` first, so that a folder with `_SUCCESS` always matches its manifest. */
  invalidate(): Promise<void>;
  /** Paths of files in `rejects/` and selections that are missing, changed or new since the manifest was written. */
  findDamage(): Promise<readonly string[]>;
  /** Writes manifest.json, with the digest of every published file, then (if success) `_SUCCESS`, both by rename. */
  finish(manifest: Readonly<Record<string, unknown>>, success: boolean): Promise<void>;
  /** All is merged: the shards are forgotten. */
  dropShards(): Promise<void>;
  /** Releases the lock. */
  close(): Promise<void>;
}
