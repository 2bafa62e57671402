import type { RecordBatch, Schema } from "apache-arrow";
import type { Reject } from "./rejects.ts";

/**
 * What flows between stages: the samples, and, related to them by `images` = `image_key`, the images that this
 * split has not shown before. An image that several samples of a split share is therefore decoded, blurred and
 * encoded once.
 */
export interface Batch {
  readonly samples: RecordBatch;
  readonly images: RecordBatch;
}

export interface BatchSchema {
  readonly samples: Schema;
  readonly images: Schema;
}

/** The split that a batch belongs to. Identity matters: operators may keep per-split state in a WeakMap on it. */
export interface SplitScope {
  /** Unique within the run; splits of lane l (of n) have sequence = l (mod n), so one worker can serve a lane. */
  readonly sequence: number;
  /**
   * The encoded bytes (JPEG, PNG, ...) of an image of this split.
   * Rejects: resolves to a Reject without sample_id for a cause in the closed list; throws for anything else.
   */
  readImage(key: string, signal: AbortSignal): Promise<Uint8Array | ImageReject>;
  /** How many samples of the split show each image, after tokenize; lets features be freed after their last use. */
  readonly imageUses: ReadonlyMap<string, number>;
}

/** Why an image can't be used; becomes one Reject for every sample that shows it. */
export type ImageReject = Pick<Reject, "code" | "message">;

export function isImageReject(value: object): value is ImageReject {
  return "code" in value && "message" in value;
}

export interface BatchContext {
  readonly split: SplitScope;
  readonly signal: AbortSignal;
}

export interface StageOutput {
  readonly batch: Batch;
  /** Samples that left the stream here. Rows in = rows out + rejects: the engine checks it. */
  readonly rejects: readonly Reject[];
}

/**
 * A stage that has been opened for one run.
 * Contract: `process` keeps the order of rows, never changes its input, gives the same rows however the input
 * was cut into batches, and may be called again before an earlier call has settled. It settles promptly once
 * the signal aborts. Rejects are values; a throw fails the split.
 */
export interface Operator {
  process(batch: Batch, context: BatchContext): Promise<StageOutput>;
  /** No batch of this split will come again. */
  closeSplit?(split: SplitScope): Promise<void>;
  /** Called exactly once, also after a failure. */
  close(): Promise<void>;
}

/** A stage as the plan holds it: configured, checked, not yet opened. Nothing happens before `open`. */
export interface MapStage {
  readonly kind: string;
  /** Part of the plan hash: raise it when the output changes for the same input. */
  readonly version: number;
  /** The configuration after defaults, as it enters the plan hash. */
  readonly config: Readonly<Record<string, unknown>>;
  /** How many batches may be in this stage at once. Order is kept whatever it is. */
  readonly concurrency: number;
  /** The schema that leaves, given the one that arrives. Throws PlanError naming a missing column. */
  outputSchema(input: BatchSchema): BatchSchema;
  open(signal: AbortSignal): Promise<Operator>;
}
