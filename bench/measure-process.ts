import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

export interface Measured {
  readonly exitCode: number | null;
  readonly seconds: number;
  /** Largest sum over the process and its descendants, sampled; shared pages counted once (Linux PSS). */
  readonly peakBytes: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Every sample of that sum. */
  readonly memory: readonly { readonly seconds: number; readonly bytes: number }[];
}

/** Runs a command to its end and watches the memory of it and all its descendants. Linux only (procfs). */
export async function measureProcess(command: string, args: readonly string[], { env = process.env, sampleMs = 50 } = {}): Promise<Measured> {
  const start = performance.now();
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], env });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (text: Buffer) => (stdout += text.toString()));
  child.stderr.on("data", (text: Buffer) => (stderr += text.toString()));
  const memory: Measured["memory"][number][] = [];
  const timer = setInterval(() => memory.push({ seconds: (performance.now() - start) / 1000, bytes: treeBytes(child.pid!) }), sampleMs);
  const exitCode = await new Promise<number | null>((resolve) => child.on("close", resolve));
  clearInterval(timer);
  const peakBytes = memory.reduce((most, { bytes }) => Math.max(most, bytes), 0);
  return { exitCode, seconds: (performance.now() - start) / 1000, peakBytes, stdout, stderr, memory };
}

function treeBytes(root: number): number {
  const children = new Map<number, number[]>();
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid)) continue;
    const stat = tryRead(`/proc/${pid}/stat`);
    // The command's name may hold blanks and parentheses: fields are counted from behind its last one.
    const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
    children.set(parent, [...(children.get(parent) ?? []), pid]);
  }
  let total = 0;
  const pending = [root];
  for (let pid = pending.pop(); pid !== undefined; pid = pending.pop()) {
    total += 1024 * Number(/^Pss: +(\d+) kB/m.exec(tryRead(`/proc/${pid}/smaps_rollup`))?.[1] ?? 0);
    pending.push(...(children.get(pid) ?? []));
  }
  return total;
}

/** A process may end between being listed and being read. */
function tryRead(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
