import type { RecordBatch } from "apache-arrow";
import type { PlacedReject } from "./rejects.ts";
import type { SplitScope } from "./stage.ts";

/**
 * A fixed run of input samples, in input order: the unit of work, of commit and of retry. Deterministic for the
 * same input, and cheap to find again.
 */
export interface Split {
  /** Position in the input, from 0. */
  readonly index: number;
  /** Where it lies (file, byte or row range), for messages and for reading it again. Opaque to the engine. */
  readonly location: string;
  /** Records in it, rejected ones included. */
  readonly num_records: number;
  /** sha256 (hex) over the records' bytes: equal content at another place is equal work. Image files are not part of it. */
  readonly digest: string;
}

export interface SplitContent {
  /** Columns of samplesSchema, plus passed-through ones behind them. */
  readonly samples: RecordBatch;
  /** Records that are no samples: malformed ones, duplicates. */
  readonly rejects: readonly Omit<PlacedReject, "split" | "stage">[];
  /** Reads this split's images; released with the split. */
  readonly readImage: SplitScope["readImage"];
}

export interface Source {
  readonly kind: string;
  /** The input's splits in order, found in one cheap pass (no image is opened). Throws PlanError for a missing input. */
  splits(signal: AbortSignal): AsyncIterable<Split>;
  /** Throws StageError with file and offset where the input is damaged beyond one record. */
  read(split: Split, signal: AbortSignal): Promise<SplitContent>;
  /** Names and types of passed-through columns are part of it. */
  readonly schema: import("apache-arrow").Schema;
  /** What identifies the input in the manifest: file names, sizes. */
  describe(): Promise<Readonly<Record<string, unknown>>>;
}

/** A change of what a source delivers: part of the scores plan, so that scores with and without it are never mixed. */
export interface SourceChange {
  /** What tells it from other changes; goes into the plan's hash. */
  readonly identity: Readonly<Record<string, unknown>>;
  apply(source: Source): Source;
}
