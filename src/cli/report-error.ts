/** What a user sees of a failure: one screen that says what, where, why and what to do. */
import { ConfigError, type Diagnostic, EXIT_CODE, InterruptedError, PipelineError } from "../core/errors.ts";
import { type Colors, printable } from "./colors.ts";

/** More mistakes than this are counted instead of shown. */
const MAX_DIAGNOSTICS = 12;
/** A chain of causes longer than this repeats itself. */
const MAX_CAUSES = 5;

export function exitCodeOf(error: unknown): number {
  return error instanceof PipelineError ? error.exitCode : EXIT_CODE.failed;
}

/** Ends with a newline. Stack traces only where `debug` asks for them. */
export function renderError(error: unknown, colors: Colors, debug: boolean): string {
  const lines = error instanceof ConfigError ? renderDiagnostics(error.diagnostics, colors) : renderFailure(error, colors);
  if (debug && error instanceof Error) lines.push("", colors.dim(stackOf(error)));
  else if (!(error instanceof PipelineError)) lines.push(colors.dim("  this was not foreseen; --debug shows where it happened"));
  return `${lines.join("\n")}\n`;
}

function renderFailure(error: unknown, colors: Colors): string[] {
  if (error instanceof InterruptedError) return [`${colors.yellow(printable(error.message))}${error.remedy ? `; ${error.remedy}` : ""}`];
  const lines = [`${colors.red("error")} ${colors.bold(printable(messageOf(error)))}`];
  for (const cause of causesOf(error)) lines.push(`  because: ${printable(cause)}`);
  if (error instanceof PipelineError && error.remedy !== undefined) lines.push(`  what to do: ${printable(error.remedy)}`);
  return lines;
}

function renderDiagnostics(diagnostics: readonly Diagnostic[], colors: Colors): string[] {
  const count = diagnostics.length === 1 ? "a mistake" : `${diagnostics.length} mistakes`;
  const lines = [`${colors.red("error")} ${colors.bold(`the configuration has ${count}`)}`, ""];
  for (const { file, line, column, message, remedy } of diagnostics.slice(0, MAX_DIAGNOSTICS)) {
    lines.push(`${colors.bold(printable(`${file}:${line}:${column}:`))} ${printable(message)}`);
    if (remedy !== undefined) lines.push(`    ${colors.green("fix:")} ${printable(remedy)}`);
  }
  const hidden = diagnostics.length - MAX_DIAGNOSTICS;
  if (hidden > 0) lines.push("", `and ${hidden} more; fix these first`);
  return lines;
}

/** The error as fields of one log line. */
export function errorFields(error: unknown, debug: boolean): Record<string, unknown> {
  return {
    event: "failed",
    error: error instanceof Error ? error.name : typeof error,
    reason: messageOf(error),
    causes: causesOf(error),
    ...(error instanceof PipelineError && error.remedy !== undefined ? { remedy: error.remedy } : {}),
    ...(error instanceof ConfigError ? { diagnostics: error.diagnostics } : {}),
    ...(debug && error instanceof Error ? { stack: stackOf(error) } : {}),
    exit_code: exitCodeOf(error),
  };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message || error.name : String(error);
}

function causesOf(error: unknown): string[] {
  const causes: string[] = [];
  let current: unknown = error instanceof Error ? error.cause : undefined;
  while (current !== undefined && current !== null && causes.length < MAX_CAUSES) {
    causes.push(messageOf(current));
    current = current instanceof Error ? current.cause : undefined;
  }
  return causes;
}

function stackOf(error: Error): string {
  const cause = error.cause instanceof Error ? `\ncaused by ${stackOf(error.cause)}` : "";
  return `${error.stack ?? error.message}${cause}`;
}
