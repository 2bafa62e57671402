import { setMaxListeners } from "node:events";
import type { Writable } from "node:stream";
import { PipelineError, PlanError, StageError } from "../core/errors.ts";
import type { Plan } from "../core/plan.ts";
import type { RunObserver } from "../core/progress.ts";
import { utf8Column } from "../core/record-batch.ts";
import { unlessAborted } from "../core/unless-aborted.ts";
import { openScoring, type OpenScoring, ScoreLane } from "../engine/score-lane.ts";
import { type Job, readJobs } from "./arrow-in.ts";
import { ArrowOut } from "./arrow-out.ts";
import { incomingSplits } from "./incoming-splits.ts";
import { maskJob } from "./mask-job.ts";
import { ERROR_SCHEMA, KEYS, PROTOCOL_VERSION, scoringSchema, withMetadata } from "./protocol.ts";
import { scoreJob } from "./score-job.ts";
import { taggedRows } from "./tagged-rows.ts";

export interface ServeOptions {
  readonly plan: Plan;
  readonly stdin: AsyncIterable<Uint8Array>;
  readonly stdout: Writable;
  readonly observer: RunObserver;
  readonly signal: AbortSignal;
}

/**
 * Does one job after the other until stdin ends between two (docs/worker-protocol.md). The model is loaded by the first
 * scoring job and kept.
 * Throws what stopped it, after it has been said in the stream as well: a broken pipe, a job that is none, what stages throw.
 */
export async function serve({ plan, stdin, stdout, observer, signal }: ServeOptions): Promise<void> {
  const stop = new AbortController();
  const ending = AbortSignal.any([signal, stop.signal]);
  // Every process and every batch under way listens.
  setMaxListeners(0, ending);
  const out = new ArrowOut(stdout, ending);
  const scoring = new Scoring(plan, observer, ending);
  const reply = { [KEYS.protocol]: String(PROTOCOL_VERSION), [KEYS.scoresHash]: plan.scores_hash };
  try {
    for await (const job of readJobs(untilAborted(stdin, ending))) {
      try {
        const mode = modeOf(job);
        if (mode === "mask") await maskJob(plan, job, out, { ...reply, [KEYS.mode]: mode }).then(() => out.end());
        else {
          const splits = incomingSplits(job.schema, job.batches);
          const lanes = await scoring.lanes();
          await out.begin(withMetadata(scoringSchema(plan.schema.samples), { ...reply, [KEYS.mode]: mode }));
          await scoreJob({ plan, lanes, out, splits, signal: ending, onBroken: (error) => stop.abort(error) });
          await out.end();
        }
      } catch (error) {
        const cause: unknown = ending.aborted ? ending.reason : error;
        if (!signal.aborted) sayInStream(out, cause);
        throw cause;
      }
    }
  } finally {
    await scoring.close();
  }
}

/** What comes through the pipe; throws the signal's reason even while nothing comes, for the pipe may stay open for ever. */
async function* untilAborted(pipe: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncGenerator<Uint8Array, void, void> {
  const chunks = pipe[Symbol.asyncIterator]();
  for (;;) {
    const next = await unlessAborted(chunks.next(), signal);
    if (next.done) return;
    yield next.value;
  }
}

/** The scoring stages, opened when they are first needed. */
class Scoring {
  readonly #plan: Plan;
  readonly #observer: RunObserver;
  readonly #signal: AbortSignal;
  #open: OpenScoring | undefined;
  #lanes: ScoreLane[] = [];

  constructor(plan: Plan, observer: RunObserver, signal: AbortSignal) {
    this.#plan = plan;
    this.#observer = observer;
    this.#signal = signal;
  }

  async lanes(): Promise<readonly ScoreLane[]> {
    if (this.#open) return this.#lanes;
    const [plan, observer, signal] = [this.#plan, this.#observer, this.#signal];
    const stages = (this.#open = await openScoring(plan, { observer, signal }));
    this.#lanes = Array.from({ length: plan.resources.num_lanes }, (_, lane) => new ScoreLane({ plan, stages, observer, signal, lane }));
    return this.#lanes;
  }

  async close(): Promise<void> {
    await this.#open?.close();
  }
}

function modeOf({ schema: { metadata } }: Job): "score" | "mask" {
  const protocol = metadata.get(KEYS.protocol);
  if (protocol !== String(PROTOCOL_VERSION)) {
    throw new PlanError(`stdin: ${KEYS.protocol} is ${protocol ?? "absent"}, this worker speaks ${PROTOCOL_VERSION}`, { remedy: "use the integration of the same version as the pipeline" });
  }
  const mode = metadata.get(KEYS.mode);
  if (mode === "score" || mode === "mask") return mode;
  throw new PlanError(`stdin: ${KEYS.mode} is ${mode ?? "absent"}, not score or mask`, { remedy: "docs/worker-protocol.md" });
}

/** A row of kind error ends the stream, so that a parent that reads it need not look for stderr. */
function sayInStream(out: ArrowOut, error: unknown): void {
  const schema = out.openSchema ?? withMetadata(ERROR_SCHEMA, { [KEYS.protocol]: String(PROTOCOL_VERSION) });
  const { name, message } = error instanceof Error ? error : new StageError(String(error));
  const record = { name, message, ...(error instanceof PipelineError && { remedy: error.remedy, exit_code: error.exitCode }) };
  out.endWith(schema, taggedRows(schema, "error", 1, { record: utf8Column([JSON.stringify(record)]) }));
}
