import type { Shell } from "../../src/cli/shell.ts";

/** A shell whose output can be read, and which is a terminal if `columns` is given. */
export function fakeShell(options: { readonly columns?: number; readonly env?: Record<string, string> } = {}): Shell & { readonly out: () => string; readonly err: () => string } {
  const written = { out: "", err: "" };
  const stream = (key: "out" | "err") => ({
    write(text: string) {
      written[key] += text;
      return true;
    },
    ...(options.columns === undefined ? { isTTY: false } : { isTTY: true, columns: options.columns }),
  });
  return { stdout: stream("out"), stderr: stream("err"), env: options.env ?? {}, out: () => written.out, err: () => written.err };
}
