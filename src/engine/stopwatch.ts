import type { RunSummary } from "../core/plan.ts";
import type { Phase, ProgressEvent, RunObserver } from "../core/progress.ts";

/** Times phases, and keeps the warnings that pass through on their way to the observer. */
export class Stopwatch {
  readonly startedAt = new Date();
  readonly observer: RunObserver;
  readonly #start = performance.now();
  readonly #byPhase: Record<string, number> = {};
  readonly #warnings: { readonly code: Extract<ProgressEvent, { event: "warning" }>["code"]; readonly message: string }[] = [];

  constructor(observer: RunObserver) {
    this.observer = {
      report: (event) => {
        if (event.event === "phase_finished") this.#byPhase[event.phase] = event.duration_ms;
        if (event.event === "warning") this.#warnings.push({ code: event.code, message: event.message });
        observer.report(event);
      },
    };
  }

  async phase<T>(phase: Phase, work: () => Promise<T>, totals: { readonly num_records?: number; readonly num_records_done?: number } = {}): Promise<T> {
    const start = performance.now();
    this.observer.report({ event: "phase_started", phase, ...totals });
    const result = await work();
    this.observer.report({ event: "phase_finished", phase, duration_ms: performance.now() - start });
    return result;
  }

  result(): Pick<RunSummary, "warnings" | "duration_ms" | "duration_ms_by_phase"> {
    return { warnings: this.#warnings, duration_ms: performance.now() - this.#start, duration_ms_by_phase: this.#byPhase };
  }
}
