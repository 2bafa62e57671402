/** How fast a run was and how much memory it took, over its time. */
import { z } from "zod";
import type { ProgressEvent, RunObserver } from "../core/progress.ts";

/** Where a run leaves its timeline, inside its output folder. */
export const TIMELINE_FILE = "_work/timeline.json";

/** Points kept: when there are more, every second one goes and the rest stand twice as far apart. */
const MAX_POINTS = 240;
const FIRST_INTERVAL_MS = 200;

const timelineSchema = z.object({
  run_id: z.string(),
  points: z.array(
    z.object({
      /** Since the run began. */
      ms: z.number(),
      /** Scored so far in this run, and their answer tokens. */
      num_samples: z.number(),
      num_tokens: z.number(),
      /** Of the process and its workers. */
      resident_bytes: z.number(),
    }),
  ),
  phases: z.array(z.object({ phase: z.string(), start_ms: z.number(), end_ms: z.number() })),
});

export type RunTimeline = z.infer<typeof timelineSchema>;

/** The timeline, or undefined where the text is none. */
export function parseTimeline(text: string): RunTimeline | undefined {
  try {
    return timelineSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

/** Listens beside the observer that shows the run. Memory: 240 points. */
export class TimelineRecorder implements RunObserver {
  readonly #next: RunObserver;
  readonly #residentBytes: () => number;
  readonly #start = performance.now();
  #points: RunTimeline["points"] = [];
  readonly #phases: { phase: string; start_ms: number; end_ms: number }[] = [];
  #interval = FIRST_INTERVAL_MS;
  #numSamples = 0;
  #numTokens = 0;

  constructor(next: RunObserver, residentBytes: () => number) {
    this.#next = next;
    this.#residentBytes = residentBytes;
  }

  report(event: ProgressEvent): void {
    this.#next.report(event);
    const ms = performance.now() - this.#start;
    if (event.event === "phase_started") this.#phases.push({ phase: event.phase, start_ms: ms, end_ms: ms });
    if (event.event === "phase_finished") {
      const phase = this.#phases.findLast(({ phase: name }) => name === event.phase);
      if (phase) phase.end_ms = ms;
    }
    if (event.event === "batch_scored") {
      this.#numSamples += event.num_samples;
      this.#numTokens += event.num_tokens;
    }
    if (ms - (this.#points.at(-1)?.ms ?? -Infinity) >= this.#interval) this.#measure(ms);
  }

  #measure(ms: number): void {
    this.#points.push({ ms: Math.round(ms), num_samples: this.#numSamples, num_tokens: this.#numTokens, resident_bytes: this.#residentBytes() });
    if (this.#points.length <= MAX_POINTS) return;
    this.#points = this.#points.filter((_, i) => i % 2 === 0);
    this.#interval *= 2;
  }

  timeline(run_id: string): RunTimeline {
    const last = performance.now() - this.#start;
    if (last > (this.#points.at(-1)?.ms ?? -1)) this.#measure(last);
    // The engine and its phases may both announce one: of the same name, the last is whole.
    const phases = this.#phases.filter(({ end_ms, start_ms }) => end_ms > start_ms);
    return { run_id, points: this.#points, phases: phases.map(({ phase, start_ms, end_ms }) => ({ phase, start_ms: Math.round(start_ms), end_ms: Math.round(end_ms) })) };
  }
}
