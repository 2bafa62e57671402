import { setTimeout as sleep } from "node:timers/promises";
import { EXIT_CODE, PlanError } from "../core/errors.ts";
import { silentObserver, type RunObserver } from "../core/progress.ts";
import { unlessAborted } from "../core/unless-aborted.ts";
import { colorsFor } from "./colors.ts";
import { interruptible } from "./interruption.ts";
import { watchParent } from "./parent-watch.ts";
import { errorFields, exitCodeOf } from "./report-error.ts";
import { type CommonOptions, logStyle, type Shell } from "./shell.ts";
import { type Verb, withConfigOptions, withExamples } from "./verb.ts";

interface WorkerVerbOptions extends CommonOptions {
  readonly stdio: boolean;
  readonly describe: boolean;
}

/** A parent that still reads has the last words by then. */
const LAST_WORDS_MS = 1_000;

export const workerVerb: Verb<WorkerVerbOptions> = {
  logs: true,
  declare(program) {
    const command = program
      .command("worker")
      .argument("<file>", "configuration (YAML)")
      .summary("score or mask what comes through stdin: the unit that a cluster runs")
      .description(
        "Reads Arrow IPC streams from stdin, one job each, and answers each with one on stdout: splits or samples come back\n" +
          "as scores and rejects, scores as masks. Logs go to stderr. Ends when stdin ends. See docs/worker-protocol.md.",
      );
    withConfigOptions(command)
      .option("--stdio", "serve jobs on stdin and stdout", false)
      .option("--describe", "print plan, hashes and schemas as JSON, and end", false);
    return withExamples(command, [
      "pipeline worker pipelines/select.yaml --stdio < jobs.arrows > answers.arrows",
      "pipeline worker pipelines/select.yaml --describe | jq .targets",
      "pipeline worker pipelines/select.yaml --stdio --set model.device=cuda:3",
    ]);
  },
  async run(shell, options, [file]) {
    if (options.stdio === options.describe) throw new PlanError("a worker wants either --stdio or --describe", { remedy: "--stdio serves jobs, --describe prints what it would serve" });
    const [{ loadConfig }, { buildPlan }] = await Promise.all([import("../config/load-config.ts"), import("../config/build-plan.ts")]);
    const { config } = await loadConfig(file!, { overrides: options.set, environment: shell.env });
    if (options.describe) {
      const { describeWorker } = await import("../worker/describe.ts");
      shell.stdout.write(`${JSON.stringify(await describeWorker(await buildPlan(config)), null, 2)}\n`);
      return EXIT_CODE.done;
    }
    const { serve } = await import("../worker/serve.ts");
    const log = await openLog(shell, options, config.name);
    const orphaned = new AbortController();
    const stopWatching = watchParent(orphaned);
    try {
      await interruptible(
        async (interrupted) => {
          const signal = AbortSignal.any([interrupted, orphaned.signal]);
          const plan = await unlessAborted(buildPlan(config), signal);
          await serve({ plan, stdin: process.stdin, stdout: process.stdout, observer: log.observer, signal });
        },
        () => undefined,
      );
      return EXIT_CODE.done;
    } catch (error) {
      const wasLogged = log.failed(error);
      await leave(exitCodeOf(error));
      if (!wasLogged) throw error;
      return exitCodeOf(error);
    } finally {
      stopWatching();
      log.close();
    }
  },
};

/** A parent that has stopped reading, and may never read again, must not keep this process. */
async function leave(exitCode: number): Promise<void> {
  for (let waited = 0; waited < LAST_WORDS_MS && process.stdout.writableLength > 0; waited += 50) await sleep(50);
  if (process.stdout.writableLength > 0) process.exit(exitCode);
}

interface Log {
  readonly observer: RunObserver;
  /** Whether it is in the log now; else main.ts says it. */
  failed(error: unknown): boolean;
  close(): void;
}

const ignore = (): void => undefined;

async function openLog(shell: Shell, options: WorkerVerbOptions, job: string): Promise<Log> {
  if (logStyle(shell, options) === "json") {
    const { JsonLog } = await import("./json-log.ts");
    const log = new JsonLog(shell.stderr, { job, pid: process.pid }, options.quiet);
    return { observer: { report: (event) => log.report(event) }, failed: (error) => (log.error(errorFields(error, options.debug), "failed"), true), close: () => log.close() };
  }
  if (options.quiet) return { observer: silentObserver, failed: () => false, close: ignore };
  const { TextLog } = await import("./text-log.ts");
  const log = new TextLog(shell.stderr, colorsFor(shell.stderr, shell, options), options.quiet);
  return { observer: { report: (event) => log.report(event) }, failed: () => false, close: () => log.close() };
}
