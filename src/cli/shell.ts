/** What a verb may touch of the process around it; tests give their own. */
export interface Shell {
  /** Results: what the user asked for. */
  readonly stdout: OutputStream;
  /** Progress, logs, errors. */
  readonly stderr: OutputStream;
  readonly env: Readonly<Record<string, string | undefined>>;
}

export interface OutputStream {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

export function processShell(): Shell {
  return { stdout: process.stdout, stderr: process.stderr, env: process.env };
}

/** Options that every verb takes. */
export interface CommonOptions {
  readonly set: readonly string[];
  readonly logFormat: "auto" | "text" | "json";
  readonly quiet: boolean;
  readonly color: boolean;
  readonly debug: boolean;
}

/** How progress is shown: a bar on a terminal, plain lines, or one JSON object a line. */
export function logStyle(shell: Shell, options: CommonOptions): "bar" | "text" | "json" {
  if (options.logFormat === "json") return "json";
  const isTerminal = shell.stderr.isTTY === true && shell.env["TERM"] !== "dumb";
  if (options.logFormat === "text") return isTerminal ? "bar" : "text";
  return isTerminal ? "bar" : "json";
}

/** Columns to fill; 80 where it is unknown. */
export function widthOf(stream: OutputStream): number {
  return Math.max(20, stream.columns ?? 80);
}
