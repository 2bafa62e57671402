/** Fatal errors. One sample that can't be used is a Reject (rejects.ts), never one of these. */

/** What a process exits with; the values are a contract (docs/operations.md). */
export const EXIT_CODE = {
  done: 0,
  failed: 1,
  badConfiguration: 2,
  tooManyRejects: 3,
  locked: 75,
  interrupted: 130,
  terminated: 143,
} as const;

export type ExitCode = (typeof EXIT_CODE)[keyof typeof EXIT_CODE];

/** The root of every error that names its cause well enough to be shown without a stack trace. */
export abstract class PipelineError extends Error {
  abstract readonly exitCode: ExitCode;
  /** What the user can do about it, in one sentence; shown on a line of its own. */
  readonly remedy: string | undefined;

  constructor(message: string, options: { cause?: unknown; remedy?: string } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.remedy = options.remedy;
  }
}

/** One mistake in a configuration file. Lines and columns count from 1. */
export interface Diagnostic {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly message: string;
  readonly remedy?: string;
}

/** The configuration is wrong: every mistake at once, found before any I/O on data or models. */
export class ConfigError extends PipelineError {
  override readonly exitCode = EXIT_CODE.badConfiguration;
  readonly diagnostics: readonly Diagnostic[];

  constructor(diagnostics: readonly Diagnostic[]) {
    super(
      diagnostics
        .map((d) => `${d.file}:${d.line}:${d.column}: ${d.message}${d.remedy ? `\n    fix: ${d.remedy}` : ""}`)
        .join("\n"),
    );
    this.diagnostics = diagnostics;
  }
}

/** The configuration is well formed but can't be carried out: a missing file, a model of an unknown family. */
export class PlanError extends PipelineError {
  override readonly exitCode = EXIT_CODE.badConfiguration;
}

/** A stage or a source failed for a reason that is not one sample's fault. */
export class StageError extends PipelineError {
  override readonly exitCode = EXIT_CODE.failed;
  /** True where the same work may succeed if done again: a worker process died. The engine then redoes the split. */
  readonly retryable: boolean;

  constructor(message: string, options: { cause?: unknown; remedy?: string; retryable?: boolean } = {}) {
    super(message, options);
    this.retryable = options.retryable ?? false;
  }
}

/** Something with a limit ran out: memory, disk, retries. */
export class ResourceExhaustedError extends PipelineError {
  override readonly exitCode = EXIT_CODE.failed;
}

/** Another live run holds the output folder. */
export class LockedError extends PipelineError {
  override readonly exitCode = EXIT_CODE.locked;
}

/** The run was asked to stop; what was committed stays. */
export class InterruptedError extends PipelineError {
  override readonly exitCode: ExitCode;
  constructor(signal: "SIGINT" | "SIGTERM") {
    super(`stopped by ${signal}`, { remedy: "run the same command again to continue" });
    this.exitCode = signal === "SIGINT" ? EXIT_CODE.interrupted : EXIT_CODE.terminated;
  }
}

/** An invariant of this program is broken; users can't cause it. */
export class InternalError extends PipelineError {
  override readonly exitCode = EXIT_CODE.failed;
  constructor(message: string, options: { cause?: unknown } = {}) {
    super(message, { ...options, remedy: "this is a bug: please report it with the command and the configuration" });
  }
}
