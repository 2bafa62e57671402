/** The page that a run leaves behind. */
import { stat } from "node:fs/promises";
import path from "node:path";
import type { RunSummary } from "../core/plan.ts";
import type { RunObserver } from "../core/progress.ts";
import type { Source } from "../core/source.ts";
import { TimelineRecorder } from "../report/run-timeline.ts";
import type { RunHandles } from "./watch-run.ts";

const REPORT_FILE = "report.html";

/** Watches a run and writes its report. Whatever goes wrong with that is a warning: the run's result is not at stake. */
export class RunReporter {
  readonly #handles: RunHandles;
  readonly #timeline: TimelineRecorder;

  constructor(handles: RunHandles, residentBytes: () => number) {
    this.#handles = handles;
    this.#timeline = new TimelineRecorder(handles.observer, residentBytes);
  }

  /** To be given to the run in place of the one that came with the handles. */
  get observer(): RunObserver {
    return this.#timeline;
  }

  /** Where nothing was done, a page that is there stays as it is, unless the run that it should speak of was killed before writing it. */
  async write(summary: RunSummary, source: Source): Promise<void> {
    const { signal, run_id, observer } = this.#handles;
    try {
      if (summary.up_to_date && (await isCurrent(summary.output_path))) return;
      const { writeReport } = await import("../report/write-report.ts");
      await writeReport({
        outputPath: summary.output_path,
        openSource: () => Promise.resolve(source),
        ...(summary.up_to_date ? {} : { timeline: this.#timeline.timeline(run_id) }),
        signal,
      });
    } catch (error) {
      signal.throwIfAborted();
      const reason = error instanceof Error ? error.message : String(error);
      observer.report({ event: "warning", code: "report", message: `${REPORT_FILE} was not written: ${reason}` });
    }
  }
}

/** Whether the page is no older than the manifest. */
async function isCurrent(output: string): Promise<boolean> {
  const [page, manifest] = await Promise.all([REPORT_FILE, "manifest.json"].map((name) => stat(path.join(output, name)).catch(() => undefined)));
  return page !== undefined && manifest !== undefined && page.mtimeMs >= manifest.mtimeMs;
}
