import type { RecordBatch, Schema } from "apache-arrow";
import type { SplitRecord } from "../core/output.ts";
import type { Plan } from "../core/plan.ts";
import { columnData, int32Column, utf8Column } from "../core/record-batch.ts";
import type { Split } from "../core/source.ts";
import { unlessAborted } from "../core/unless-aborted.ts";
import type { LaneWork, ScoreLane } from "../engine/score-lane.ts";
import { SplitQueue } from "../engine/score-phase.ts";
import type { ArrowOut } from "./arrow-out.ts";
import type { IncomingSplit } from "./incoming-splits.ts";
import { scoringSchema } from "./protocol.ts";
import { taggedRows } from "./tagged-rows.ts";

export interface ScoreJobOptions {
  readonly plan: Plan;
  readonly lanes: readonly ScoreLane[];
  readonly out: ArrowOut;
  readonly splits: AsyncIterator<IncomingSplit, void>;
  readonly signal: AbortSignal;
  /** Called where stdin fails while splits are in work: what is in work is not worth finishing. */
  readonly onBroken: (error: unknown) => void;
}

/**
 * Scores splits as they come and sends each one's rows back whole, in the order of their coming: scores, rejects, and
 * one row with its record.
 * Memory bound: two splits a lane, and one that is being read ahead.
 */
export async function scoreJob(options: ScoreJobOptions): Promise<void> {
  const work = new PipedWork(options);
  const results = await Promise.allSettled(options.lanes.map((lane) => lane.run(work).catch((error: unknown) => {
    options.onBroken(error);
    throw error;
  })));
  const failed = results.find((result) => result.status === "rejected");
  if (failed) throw failed.reason;
}

type Taken = IncomingSplit & { readonly order: number };

class PipedWork implements LaneWork {
  readonly #options: ScoreJobOptions;
  readonly #schema: Schema;
  readonly #again = new SplitQueue([]);
  readonly #open = new Map<Split, Taken>();
  /** Results that wait for earlier ones. */
  readonly #done = new Map<number, readonly RecordBatch[]>();
  #reading: Promise<IteratorResult<IncomingSplit, void>>;
  #taking: Promise<unknown> = Promise.resolve();
  #sending: Promise<void> = Promise.resolve();
  #numTaken = 0;
  #numSent = 0;
  #wake: () => void = () => undefined;

  constructor(options: ScoreJobOptions) {
    this.#options = options;
    this.#schema = scoringSchema(options.plan.schema.samples);
    this.#reading = this.#read();
  }

  take(): Promise<Split | undefined> {
    const taken = this.#taking.then(() => this.#take());
    this.#taking = taken.catch(() => undefined);
    return taken;
  }

  read(split: Split, signal: AbortSignal) {
    const { content } = this.#open.get(split)!;
    return content ? Promise.resolve(content) : this.#options.plan.source.read(split, signal);
  }

  retry(splits: readonly Split[], crash: Parameters<LaneWork["retry"]>[1]): void {
    this.#again.retry(splits, crash);
    this.#wake();
  }

  async commit({ split }: Parameters<LaneWork["commit"]>[0], record: SplitRecord, scores: RecordBatch, rejects: RecordBatch): Promise<void> {
    this.#done.set(this.#open.get(split)!.order, this.#rowsOf(split, record, scores, rejects));
    this.#open.delete(split);
    this.#sending = this.#sending.then(() => this.#send());
    await this.#sending;
  }

  async #take(): Promise<Split | undefined> {
    for (;;) {
      const again = this.#again.take();
      if (again) return again;
      const woken = new Promise<undefined>((resolve) => (this.#wake = () => resolve(undefined)));
      // A lane must not run away from one that is slow: what is done waits in memory.
      const hasRoom = this.#numTaken - this.#numSent < 2 * this.#options.lanes.length;
      const next = await unlessAborted(hasRoom ? Promise.race([this.#reading, woken]) : woken, this.#options.signal);
      if (!next) continue;
      if (next.done) return undefined;
      this.#reading = this.#read();
      this.#open.set(next.value.split, { ...next.value, order: this.#numTaken++ });
      return next.value.split;
    }
  }

  /** One ahead, so that a parent that dies is noticed while its last split is in work. */
  #read(): Promise<IteratorResult<IncomingSplit, void>> {
    const reading = this.#options.splits.next();
    reading.catch((error: unknown) => this.#options.onBroken(error));
    return reading;
  }

  async #send(): Promise<void> {
    for (let rows = this.#done.get(this.#numSent); rows; rows = this.#done.get(this.#numSent)) {
      this.#done.delete(this.#numSent);
      for (const batch of rows) await this.#options.out.write(batch);
      this.#numSent++;
      this.#wake();
    }
  }

  #rowsOf({ index }: Split, record: SplitRecord, scores: RecordBatch, rejects: RecordBatch): RecordBatch[] {
    const rows = (kind: "score" | "reject" | "split", length: number, columns: Parameters<typeof taggedRows>[3]): RecordBatch[] =>
      length === 0 ? [] : [taggedRows(this.#schema, kind, length, { split: int32Column(new Int32Array(length).fill(index)), row: int32Column(Int32Array.from({ length }, (_, row) => row)), ...columns })];
    const columnsOf = (batch: RecordBatch, names: readonly string[]) => Object.fromEntries(names.map((name) => [name, columnData(batch, name)]));
    return [
      ...rows("score", scores.numRows, columnsOf(scores, scores.schema.names.map(String))),
      ...rows("reject", rejects.numRows, columnsOf(rejects, ["sample_id", "stage", "code", "message"])),
      ...rows("split", 1, { record: utf8Column([JSON.stringify(record)]) }),
    ];
  }
}
