/** Everything around a run that is not the run: who watches it, what stops it, how it ends. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { randomUUID } from "node:crypto";
import { EXIT_CODE } from "../core/errors.ts";
import type { RunSummary } from "../core/plan.ts";
import type { RunObserver } from "../core/progress.ts";
import { colorsFor } from "./colors.ts";
import { interruptible } from "./interruption.ts";
import { writeMetricsFile } from "./metrics-file.ts";
import { type LineageJob, OpenLineage } from "./open-lineage.ts";
import { errorFields, exitCodeOf } from "./report-error.ts";
import { type CommonOptions, logStyle, type Shell, widthOf } from "./shell.ts";
import { renderSummary } from "./summary.ts";

export interface WatchOptions {
  readonly shell: Shell;
  readonly options: CommonOptions & { readonly metricsFile?: string; readonly openlineage?: string };
  readonly configFile: string;
  readonly name: string;
  /** What the run reads and writes, for OpenLineage. */
  readonly lineage?: Pick<LineageJob, "inputs" | "output">;
}

export interface RunHandles {
  readonly observer: RunObserver;
  readonly signal: AbortSignal;
  readonly run_id: string;
}

/** Runs `work` under an observer and a signal, shows its summary, writes its metrics; returns the exit code. */
export async function watchRun(watch: WatchOptions, work: (handles: RunHandles) => Promise<RunSummary>): Promise<number> {
  const run_id = randomUUID();
  const start = performance.now();
  const { shell, options } = watch;
  const view = await openView(watch, run_id);
  const lineage = openLineage(watch, run_id, view);
  let summary: RunSummary | undefined;
  let exitCode: number = EXIT_CODE.failed;
  try {
    summary = await interruptible(
      (signal) => work({ observer: view, signal, run_id }),
      (name) => {
        view.close(); // with the cursor shown again, whatever comes next
        view.notice(`${name}: finishing what is being committed; again to stop at once`);
      },
    );
    exitCode = summary.success ? EXIT_CODE.done : EXIT_CODE.tooManyRejects;
    await lineage?.ended({ summary });
    view.close();
    if (logStyle(shell, options) === "json") view.notice("finished", finishedFields(summary, exitCode));
    else if (!options.quiet) {
      const hasReport = existsSync(join(summary.output_path, "report.html"));
      const context = { ...watch, colors: colorsFor(shell.stdout, shell, options), width: widthOf(shell.stdout), hasReport };
      shell.stdout.write(renderSummary(summary, context));
    }
    return exitCode;
  } catch (error) {
    exitCode = exitCodeOf(error);
    await lineage?.ended({ error });
    view.close();
    if (logStyle(shell, options) !== "json") throw error;
    // With the run's id, as every other line.
    view.failed(error);
    return exitCode;
  } finally {
    view.close();
    const duration_ms = performance.now() - start;
    if (options.metricsFile !== undefined) {
      const outcome = { name: watch.name, exit_code: exitCode, duration_ms, finished_at: Date.now() / 1000, ...(summary ? { summary } : {}) };
      await writeMetricsFile(options.metricsFile, outcome).catch((error: unknown) => {
        // The run's own outcome matters more; a monitor sees that the last success grows old.
        view.report({ event: "warning", code: "configuration", message: `${options.metricsFile} can't be written: ${(error as Error).message}` });
      });
    }
  }
}

function openLineage({ options, name, lineage }: WatchOptions, run_id: string, view: View): OpenLineage | undefined {
  if (options.openlineage === undefined || lineage === undefined) return undefined;
  return new OpenLineage(options.openlineage, { name, run_id, ...lineage }, (message) => view.report({ event: "warning", code: "configuration", message }));
}

/** The summary as one log line's fields; the run id is on every line already. */
function finishedFields(summary: RunSummary, exit_code: number): Record<string, unknown> {
  const fields = Object.fromEntries(Object.entries(summary).filter(([key]) => key !== "run_id"));
  return { event: "finished", exit_code, ...fields };
}

export interface View extends RunObserver {
  /** A line for whoever watches. */
  notice(message: string, fields?: Readonly<Record<string, unknown>>): void;
  /** The last line of a run that failed; only where `logStyle` is json. */
  failed(error: unknown): void;
  close(): void;
}

const ignore = (): void => undefined;

/** Each view brings a library; only the one that is shown is loaded. */
export async function openView({ shell, options, name }: Pick<WatchOptions, "shell" | "options" | "name">, run_id: string): Promise<View> {
  const colors = colorsFor(shell.stderr, shell, options);
  const style = logStyle(shell, options);
  if (style === "json") {
    const { JsonLog } = await import("./json-log.ts");
    const log = new JsonLog(shell.stderr, { run_id, job: name }, options.quiet);
    return {
      report: (event) => log.report(event),
      notice: (message, fields = { event: "notice" }) => log.info(fields, message),
      failed: (error) => log.error(errorFields(error, options.debug), "failed"),
      close: () => log.close(),
    };
  }
  if (style === "bar" && !options.quiet) {
    const { ProgressBar } = await import("./progress-bar.ts");
    const bar = new ProgressBar(shell.stderr, colors);
    return { report: (event) => bar.report(event), notice: (message) => bar.print(message), failed: ignore, close: () => bar.close() };
  }
  const { TextLog } = await import("./text-log.ts");
  const log = new TextLog(shell.stderr, colors, options.quiet);
  return { report: (event) => log.report(event), notice: (message) => void shell.stderr.write(`${message}\n`), failed: ignore, close: () => log.close() };
}
