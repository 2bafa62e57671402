import { setMaxListeners } from "node:events";
import { StageError } from "../core/errors.ts";
import type { SplitStore } from "../core/output.ts";
import type { Plan } from "../core/plan.ts";
import type { RunObserver } from "../core/progress.ts";
import type { Split } from "../core/source.ts";
import { type LaneWork, openScoring, ScoreLane } from "./score-lane.ts";

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
  // Every process and every batch under way listens: their number is bounded by the lanes, not by Node's default of 10.
  setMaxListeners(0, signal);
  const stages = await openScoring(plan, { observer: options.observer, signal });
  const queue = new SplitQueue(pending);
  const work: LaneWork = {
    take: () => Promise.resolve(queue.take()),
    read: (split) => plan.source.read(split, signal),
    retry: (interrupted, crash) => queue.retry(interrupted, crash),
    commit: async (_, record, scores, rejects) => {
      await output.commitSplit(record, scores, rejects);
      await publisher.publish();
    },
  };
  const lanes = Array.from({ length: Math.min(plan.resources.num_lanes, pending.length) }, (_, lane) =>
    new ScoreLane({ plan, stages, observer: options.observer, signal, lane }).run(work).catch((error: unknown) => {
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
    return { ...stages.prepare.milliseconds, ...stages.stages.milliseconds };
  } finally {
    await stages.close();
    await publisher.idle();
  }
}

/** Splits still to be scored, in input order, shared by the lanes. */
export class SplitQueue {
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
  /** Splits in parts that are written: only those behind are laid out again at a commit. */
  #numWritten = 0;
  #work: Promise<void> = Promise.resolve();

  constructor(output: SplitStore, splits: readonly Split[]) {
    this.#output = output;
    this.#digests = splits.map((split) => split.digest);
  }

  publish(): Promise<void> {
    const committed = this.#output.committed();
    while (this.#numReady < this.#digests.length && committed.has(this.#digests[this.#numReady]!)) this.#numReady++;
    const numReady = this.#numReady;
    this.#work = this.#work.then(async () => {
      this.#numWritten += await this.#output.writeFullParts(this.#digests.slice(this.#numWritten, numReady));
    });
    return this.#work;
  }

  async idle(): Promise<void> {
    await Promise.allSettled([this.#work]);
  }
}
