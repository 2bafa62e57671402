import type { Float64, List, RecordBatch } from "apache-arrow";
import { imagesSchema } from "../core/columns.ts";
import { StageError } from "../core/errors.ts";
import type { SplitRecord } from "../core/output.ts";
import type { Plan } from "../core/plan.ts";
import type { RunObserver } from "../core/progress.ts";
import { columnData, columnVector, emptyRecordBatch, isNull, takeRows } from "../core/record-batch.ts";
import type { Split, SplitContent } from "../core/source.ts";
import type { Batch } from "../core/stage.ts";
import { flow } from "./flow.ts";
import { openStages, type FlowItem, type OpenStages } from "./run-stages.ts";
import { sequenceLengths, SplitWork } from "./split-work.ts";

/** The scoring stages, opened: the model is loaded. */
export interface OpenScoring {
  /** tokenize, which sees a split whole. */
  readonly prepare: OpenStages;
  /** The others, which see batches. */
  readonly stages: OpenStages;
  close(): Promise<void>;
}

export async function openScoring(plan: Plan, { observer, signal }: { readonly observer: RunObserver; readonly signal: AbortSignal }): Promise<OpenScoring> {
  const [tokenizeStage, ...batchStages] = plan.stages;
  const loadStart = performance.now();
  observer.report({ event: "phase_started", phase: "load" });
  const prepare = await openStages([tokenizeStage!], signal);
  try {
    const stages = await openStages(batchStages, signal);
    observer.report({ event: "phase_finished", phase: "load", duration_ms: performance.now() - loadStart });
    return { prepare, stages, close: async () => void (await Promise.allSettled([prepare.close(), stages.close()])) };
  } catch (error) {
    await prepare.close();
    throw error;
  }
}

/** Where a lane gets its splits from, and what becomes of them. */
export interface LaneWork {
  /** undefined: there are no more. */
  take(): Promise<Split | undefined>;
  read(split: Split, signal: AbortSignal): Promise<SplitContent>;
  /** Puts splits that a crash interrupted back in front. Throws the crash itself where they have had all their attempts. */
  retry(splits: readonly Split[], crash: StageError): void;
  /** A split's last batch is out. `scores` has the plan's schema, `rejects` rejectsSchema. */
  commit(work: SplitWork, record: SplitRecord, scores: RecordBatch, rejects: RecordBatch): Promise<void>;
}

export interface LaneOptions {
  readonly plan: Plan;
  readonly stages: OpenScoring;
  readonly observer: RunObserver;
  readonly signal: AbortSignal;
  /** From 0, of plan.resources.num_lanes. */
  readonly lane: number;
}

/** One line of splits through the stages; its batches all go to one inference worker. */
export class ScoreLane {
  readonly #options: LaneOptions;
  /** Splits begun and not committed. */
  readonly #open = new Set<SplitWork>();
  #numBegun = 0;

  constructor(options: LaneOptions) {
    this.#options = options;
  }

  /** Until there is no more to take. May be called again for other work. */
  async run(work: LaneWork): Promise<void> {
    const { stages: { stages }, signal, observer } = this.#options;
    for (;;) {
      try {
        for await (const item of flow(this.#batches(work), stages.steps, signal)) await this.#collect(item, work);
        return;
      } catch (error) {
        if (!(error instanceof StageError && error.retryable) || signal.aborted) throw error;
        const interrupted = [...this.#open];
        this.#open.clear();
        for (const begun of interrupted) await stages.closeSplit(begun);
        work.retry(interrupted.map(({ split }) => split), error);
        observer.report({ event: "warning", code: "split_retried", message: `${error.message}; scoring ${interrupted.length} split(s) again` });
      }
    }
  }

  /** The batches of one split after the other: nothing of a split is read before the stages ask for it. */
  async *#batches(from: LaneWork): AsyncGenerator<FlowItem> {
    const { plan, stages: { prepare }, signal, lane } = this.#options;
    for (let split = await from.take(); split; split = await from.take()) {
      const content = await from.read(split, signal);
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

  async #collect({ work, batch: { samples } }: FlowItem, from: LaneWork): Promise<void> {
    const { plan, stages: { stages }, observer, signal } = this.#options;
    observer.report({ event: "batch_scored", num_samples: samples.numRows, num_tokens: countTokens(samples) });
    if (!work.add(samples)) return;
    await stages.closeSplit(work);
    const scores = work.scores(plan.schema.samples);
    const images_digest = await work.imageDigests.ofAll(signal);
    const record = { ...splitRecord(work, scores, (vigs) => plan.threshold.histogram(vigs)), images_digest };
    await from.commit(work, record, scores, work.rejects());
    this.#open.delete(work);
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
