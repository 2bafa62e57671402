import type { Float64, List, RecordBatch } from "apache-arrow";
import { imagesSchema } from "../core/columns.ts";
import { StageError } from "../core/errors.ts";
import type { SplitRecord, SplitStore } from "../core/output.ts";
import type { Plan } from "../core/plan.ts";
import type { RunObserver } from "../core/progress.ts";
import { columnData, columnVector, emptyRecordBatch, isNull, takeRows } from "../core/record-batch.ts";
import type { Split } from "../core/source.ts";
import type { Batch } from "../core/stage.ts";
import { flow } from "./flow.ts";
import { openStages, type FlowItem, type OpenStages } from "./run-stages.ts";
import { sequenceLengths, SplitWork } from "./split-work.ts";

/** A split whose worker dies is scored again at most so often. */
const MAX_ATTEMPTS = 3;

export interface ScorePhaseOptions {
  readonly observer: RunObserver;
  readonly signal: AbortSignal;
}

/**
 * Scores every split that is not committed yet. Lanes take splits from one queue; each lane streams its splits'
 * batches through the stages and commits a split when its last batch is out.
 * Memory bound: for each lane, the prepared rows of two splits and the pixels of the batches in flight.
 * Throws what a stage throws, after every lane has stopped; committed splits stay.
 */
export async function runScorePhase(plan: Plan, output: SplitStore, splits: readonly Split[], options: ScorePhaseOptions): Promise<Readonly<Record<string, number>>> {
  const pending = splits.filter((split) => !output.committed().has(split.digest));
  const publisher = new Publisher(output, splits);
  if (pending.length === 0) {
    await publisher.publish();
    return {};
  }
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  const [tokenizeStage, ...batchStages] = plan.stages;
  const loadStart = performance.now();
  options.observer.report({ event: "phase_started", phase: "load" });
  const prepare = await openStages([tokenizeStage!], signal);
  let stages: OpenStages;
  try {
    stages = await openStages(batchStages, signal);
  } catch (error) {
    await prepare.close();
    throw error;
  }
  options.observer.report({ event: "phase_finished", phase: "load", duration_ms: performance.now() - loadStart });

  const queue = new SplitQueue(pending);
  const lanes = Array.from({ length: Math.min(plan.resources.num_lanes, pending.length) }, (_, lane) =>
    new Lane({ plan, output, prepare, stages, queue, publisher, observer: options.observer, signal, lane }).run().catch((error: unknown) => {
      stop.abort(error);
      throw error;
    }),
  );
  try {
    const results = await Promise.allSettled(lanes);
    options.signal.throwIfAborted();
    // The first failure is the reason that the others were aborted with.
    if (stop.signal.aborted) throw stop.signal.reason;
    const failed = results.find((result) => result.status === "rejected");
    if (failed) throw failed.reason;
    return { ...prepare.milliseconds, ...stages.milliseconds };
  } finally {
    await Promise.allSettled([prepare.close(), stages.close()]);
    await publisher.idle();
  }
}

/** Splits still to be scored, in input order, shared by the lanes. */
class SplitQueue {
  readonly #splits: Split[];
  readonly #attempts = new Map<Split, number>();

  constructor(splits: readonly Split[]) {
    this.#splits = [...splits];
  }

  take(): Split | undefined {
    return this.#splits.shift();
  }

  /** Puts splits that a crash interrupted back in front. Throws the crash itself once one has had all its attempts. */
  retry(splits: readonly Split[], crash: StageError): void {
    for (const split of splits) {
      const attempts = (this.#attempts.get(split) ?? 1) + 1;
      if (attempts > MAX_ATTEMPTS) {
        throw new StageError(`split ${split.index} (${split.location}) failed ${MAX_ATTEMPTS} times: ${crash.message}`, {
          cause: crash,
          ...(crash.remedy ? { remedy: crash.remedy } : {}),
        });
      }
      this.#attempts.set(split, attempts);
    }
    this.#splits.unshift(...splits);
  }
}

/** Publishes full parts behind the run, one at a time, as the run of committed splits from the start grows. */
class Publisher {
  readonly #output: SplitStore;
  readonly #digests: readonly string[];
  #numReady = 0;
  #work: Promise<void> = Promise.resolve();

  constructor(output: SplitStore, splits: readonly Split[]) {
    this.#output = output;
    this.#digests = splits.map((split) => split.digest);
  }

  publish(): Promise<void> {
    const committed = this.#output.committed();
    while (this.#numReady < this.#digests.length && committed.has(this.#digests[this.#numReady]!)) this.#numReady++;
    const ready = this.#digests.slice(0, this.#numReady);
    this.#work = this.#work.then(() => this.#output.publishScores(ready, { final: false }));
    return this.#work;
  }

  async idle(): Promise<void> {
    await Promise.allSettled([this.#work]);
  }
}

interface LaneOptions extends ScorePhaseOptions {
  readonly plan: Plan;
  readonly output: SplitStore;
  readonly prepare: OpenStages;
  readonly stages: OpenStages;
  readonly queue: SplitQueue;
  readonly publisher: Publisher;
  readonly lane: number;
}

/** One line of splits through the stages; its batches all go to one inference worker. */
class Lane {
  readonly #options: LaneOptions;
  /** Splits begun and not committed. */
  readonly #open = new Set<SplitWork>();
  #numBegun = 0;

  constructor(options: LaneOptions) {
    this.#options = options;
  }

  async run(): Promise<void> {
    const { stages, queue, signal, observer } = this.#options;
    for (;;) {
      try {
        for await (const item of flow(this.#batches(), stages.steps, signal)) await this.#collect(item);
        return;
      } catch (error) {
        if (!(error instanceof StageError && error.retryable) || signal.aborted) throw error;
        const interrupted = [...this.#open];
        this.#open.clear();
        for (const work of interrupted) await stages.closeSplit(work);
        queue.retry(interrupted.map((work) => work.split), error);
        observer.report({ event: "warning", code: "split_retried", message: `${error.message}; scoring ${interrupted.length} split(s) again` });
      }
    }
  }

  /** The batches of one split after the other: nothing of a split is read before the stages ask for it. */
  async *#batches(): AsyncGenerator<FlowItem> {
    const { plan, queue, prepare, signal, lane } = this.#options;
    for (let split = queue.take(); split; split = queue.take()) {
      const content = await plan.source.read(split, signal);
      const work = new SplitWork(split, lane + plan.resources.num_lanes * this.#numBegun++, content.readImage);
      this.#open.add(work);
      work.addSourceRejects(content.rejects);
      work.imageDigests.expect(content.samples);
      const prepared = await prepare.steps[0]!.run({ work, batch: { samples: content.samples, images: NO_IMAGES } });
      for (const batch of this.#cutBatches(work, prepared.batch)) yield { work, batch };
    }
  }

  /** Text-only samples first, in a batch of their own that may be empty, so that every split has one. */
  #cutBatches(work: SplitWork, { samples, images }: Batch): Batch[] {
    const lengths = sequenceLengths(samples);
    const rows = Array.from(lengths.keys());
    const shown = rows.filter((row) => lengths[row]! > 0);
    const packed = this.#options.plan.packBatches(Int32Array.from(shown, (row) => lengths[row]!));
    const tooLong = new Set(packed.tooLong.map((index) => shown[index]!));
    const ids = columnVector(samples, "sample_id");
    work.addRejects(
      "paired_inference",
      [...tooLong].map((row) => ({
        sample_id: String(ids.get(row)),
        code: "sample_too_long" as const,
        message: `${lengths[row]!} positions, twice, exceed max_batch_tokens`,
      })),
    );
    const batches = [rows.filter((row) => lengths[row] === 0), ...packed.batches.map((batch) => Array.from(batch, (index) => shown[index]!))];
    work.expect(tooLong.size === 0 ? samples : takeRows(samples, rows.filter((row) => !tooLong.has(row))), batches.length);
    return batches.map((batch) => ({ samples: takeRows(samples, batch), images }));
  }

  async #collect({ work, batch: { samples } }: FlowItem): Promise<void> {
    const { stages, observer } = this.#options;
    observer.report({ event: "batch_scored", num_samples: samples.numRows, num_tokens: countTokens(samples) });
    if (!work.add(samples)) return;
    await stages.closeSplit(work);
    await this.#commit(work);
    this.#open.delete(work);
  }

  async #commit(work: SplitWork): Promise<void> {
    const { plan, output, publisher, observer, signal } = this.#options;
    const scores = work.scores(plan.schema.samples);
    const images_digest = await work.imageDigests.ofAll(signal);
    const record = { ...splitRecord(work, scores, (vigs) => plan.threshold.histogram(vigs)), images_digest };
    await output.commitSplit(record, scores, work.rejects());
    observer.report({
      event: "split_committed",
      split: work.split.index,
      num_records: record.num_records,
      num_scored: record.num_scored,
      num_text_only: record.num_text_only,
      num_tokens: record.num_tokens,
      rejects_by_code: record.rejects_by_code,
      duration_ms: performance.now() - work.startedAt,
    });
    await publisher.publish();
  }
}

const NO_IMAGES = emptyRecordBatch(imagesSchema);

function countTokens(samples: RecordBatch): number {
  const ids = columnData<List>(samples, "token_id");
  return samples.numRows === 0 ? 0 : ids.valueOffsets[samples.numRows]! - ids.valueOffsets[0]!;
}

function splitRecord(work: SplitWork, scores: RecordBatch, histogram: Plan["threshold"]["histogram"]): SplitRecord {
  const vig = columnData<Float64>(scores, "vig");
  const vigs: number[] = [];
  for (let row = 0; row < scores.numRows; row++) if (!isNull(vig, row)) vigs.push(vig.values[row]!);
  return {
    split_digest: work.split.digest,
    num_records: work.split.num_records,
    num_scored: vigs.length,
    num_text_only: scores.numRows - vigs.length,
    num_tokens: countTokens(scores),
    rejects_by_code: work.rejectsByCode(),
    num_truncated_tokens: work.numTruncatedTokens,
    num_unknown_tokens: work.numUnknownTokens,
    vig_histogram: histogram(vigs),
  };
}
