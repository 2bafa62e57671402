import type { Phase, ProgressEvent } from "../core/progress.ts";

/** Rates are of the last seconds: the first batches and pauses long past don't count. */
const WINDOW_MS = 15_000;

export interface ProgressState {
  readonly phase: Phase | undefined;
  /** Records of the phase, and how many of them are done, those of earlier runs included. */
  readonly num_records: number | undefined;
  readonly num_records_done: number;
  readonly num_rejects: number;
  /** undefined until there is something to tell. */
  readonly samples_per_second: number | undefined;
  readonly tokens_per_second: number | undefined;
  readonly eta_seconds: number | undefined;
}

interface RunningPhase {
  readonly phase: Phase;
  readonly numRecords: number | undefined;
  start: number;
  numCommitted: number;
  numUncommitted: number;
}

/** Turns events into what a watcher wants to know at any moment. */
export class ProgressMeter {
  readonly #now: () => number;
  /** Phases nest: the model is loaded while scoring has begun. */
  readonly #phases: RunningPhase[] = [];
  #numRejects = 0;
  #measurements: { readonly time: number; readonly samples: number; readonly tokens: number }[] = [];

  /** `now` in milliseconds, monotonic. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  add(event: ProgressEvent): void {
    const current = this.#phases.at(-1);
    switch (event.event) {
      case "phase_started":
        this.#phases.push({ phase: event.phase, numRecords: event.num_records, start: this.#now(), numCommitted: event.num_records_done ?? 0, numUncommitted: 0 });
        break;
      case "phase_finished":
        this.#finish(event.phase);
        break;
      case "batch_scored":
        if (current) current.numUncommitted += event.num_samples;
        this.#measurements.push({ time: this.#now(), samples: event.num_samples, tokens: event.num_tokens });
        break;
      case "split_committed":
        if (current) {
          current.numCommitted += event.num_records;
          current.numUncommitted = Math.max(0, current.numUncommitted - event.num_scored - event.num_text_only);
        }
        for (const count of Object.values(event.rejects_by_code)) this.#numRejects += count;
        break;
      case "warning":
        break;
    }
  }

  #finish(phase: Phase): void {
    const index = this.#phases.findLastIndex((running) => running.phase === phase);
    if (index >= 0) this.#phases.splice(index, 1);
    // The outer phase could not move while the inner one ran.
    const outer = this.#phases.at(-1);
    if (outer) outer.start = this.#now();
    this.#measurements = [];
  }

  state(): ProgressState {
    const now = this.#now();
    const current = this.#phases.at(-1);
    const start = Math.max(current?.start ?? now, now - WINDOW_MS);
    this.#measurements = this.#measurements.filter(({ time }) => time >= start);
    const seconds = (now - start) / 1000;
    const isMeasured = this.#measurements.length > 0 && seconds > 0.2;
    const perSecond = (key: "samples" | "tokens"): number | undefined =>
      isMeasured ? this.#measurements.reduce((sum, measurement) => sum + measurement[key], 0) / seconds : undefined;
    const rate = perSecond("samples");
    const numRecords = current?.numRecords;
    const done = current === undefined ? 0 : Math.min(current.numCommitted + current.numUncommitted, numRecords ?? Infinity);
    return {
      phase: current?.phase,
      num_records: numRecords,
      num_records_done: done,
      num_rejects: this.#numRejects,
      samples_per_second: rate,
      tokens_per_second: perSecond("tokens"),
      eta_seconds: rate && numRecords !== undefined ? (numRecords - done) / rate : undefined,
    };
  }
}
