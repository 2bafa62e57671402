import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

export interface TreeSample {
  /** Since the start. */
  readonly seconds: number;
  /** Shared pages counted once (Linux PSS). */
  readonly bytes: number;
  /** User and system time, with what processes that have ended were last seen to have used. */
  readonly cpu_seconds: number;
}

export interface Measured {
  readonly exitCode: number | null;
  readonly started_at: number;
  readonly seconds: number;
  /** Largest sum over the process and its descendants, sampled. */
  readonly peakBytes: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Every sample of the sums over the process and its descendants. */
  readonly memory: readonly TreeSample[];
}

/** Runs a command to its end and watches the memory of it and all its descendants. Linux only (procfs). */
export async function measureProcess(command: string, args: readonly string[], { env = process.env, sampleMs = 50 } = {}): Promise<Measured> {
  const started_at = Date.now();
  const start = performance.now();
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], env });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on("data", (bytes: Buffer) => stdout.push(bytes));
  child.stderr.on("data", (bytes: Buffer) => stderr.push(bytes));
  const memory: TreeSample[] = [];
  const ticks = new Map<number, number>();
  const timer = setInterval(() => memory.push({ seconds: (performance.now() - start) / 1000, ...sumOverTree(child.pid!, ticks) }), sampleMs);
  const exitCode = await new Promise<number | null>((resolve) => child.on("close", resolve));
  clearInterval(timer);
  const peakBytes = memory.reduce((most, { bytes }) => Math.max(most, bytes), 0);
  const [out, err] = [stdout, stderr].map((chunks) => Buffer.concat(chunks).toString());
  return { exitCode, started_at, seconds: (performance.now() - start) / 1000, peakBytes, stdout: out!, stderr: err!, memory };
}

/** proc(5): clock ticks a second, on every architecture that Node runs on. */
const TICKS_A_SECOND = 100;

/** `ticks` are those last seen of every process of the tree. */
function sumOverTree(root: number, ticks: Map<number, number>): Pick<TreeSample, "bytes" | "cpu_seconds"> {
  const children = new Map<number, number[]>();
  const now = new Map<number, number>();
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid)) continue;
    const stat = tryRead(`/proc/${pid}/stat`);
    // The command's name may hold blanks and parentheses: fields are counted from behind its last one.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const parent = Number(fields[1]);
    children.set(parent, [...(children.get(parent) ?? []), pid]);
    now.set(pid, Number(fields[11]) + Number(fields[12]));
  }
  let bytes = 0;
  const pending = [root];
  for (let pid = pending.pop(); pid !== undefined; pid = pending.pop()) {
    bytes += 1024 * Number(/^Pss: +(\d+) kB/m.exec(tryRead(`/proc/${pid}/smaps_rollup`))?.[1] ?? 0);
    ticks.set(pid, now.get(pid) ?? ticks.get(pid) ?? 0);
    pending.push(...(children.get(pid) ?? []));
  }
  const total = [...ticks.values()].reduce((sum, own) => sum + own, 0);
  return { bytes, cpu_seconds: total / TICKS_A_SECOND };
}

/** A process may end between being listed and being read. */
function tryRead(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
