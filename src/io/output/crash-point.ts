/**
 * A seam for tests: ends this process with SIGKILL at a chosen step on the disk, or stops it there, so that a test can stand at
 * every boundary of the commit protocol. Off, and free, unless VIG_FAULT is set when the process starts:
 *
 *     VIG_FAULT="kill 17"                        before the 17th step
 *     VIG_FAULT="kill 2 append journal.jsonl"    before the second step whose line ("append PATH$") holds these words
 *     VIG_FAULT="tear 1 rename writing.tmp"      in the middle of it: half of what it writes, or of the file that it renames, is there
 *     VIG_FAULT="stop 3 append journal.jsonl"    waits before it until SIGCONT comes
 *     VIG_FAULT="trace FILE"                     runs on and appends every step to FILE, a line each
 */
import { appendFileSync, statSync, truncateSync } from "node:fs";

export type DiskStep = "write" | "append" | "sync" | "rename" | "remove";

interface Fault {
  readonly how: "kill" | "tear" | "stop";
  /** Counts from 1, among the steps whose line holds all of the words. */
  readonly number: number;
  readonly words: readonly string[];
}

const [HOW, ...REST] = process.env["VIG_FAULT"]?.split(" ") ?? [];
const TRACE = HOW === "trace" ? REST.join(" ") : undefined;
const FAULT: Fault | undefined = HOW === "kill" || HOW === "tear" || HOW === "stop" ? { how: HOW, number: Number(REST[0]), words: REST.slice(1) } : undefined;
let num_matches = 0;

/** Stands before a step. `tearStep` does half of it; a rename is torn by cutting the file in half. */
export async function crashPoint(step: DiskStep, path: string, tearStep?: () => Promise<unknown>): Promise<void> {
  if (TRACE !== undefined) appendFileSync(TRACE, `${step} ${path}\n`);
  if (!FAULT || !FAULT.words.every((word) => `${step} ${path}$`.includes(word)) || ++num_matches !== FAULT.number) return;
  if (FAULT.how === "stop") return void process.kill(process.pid, "SIGSTOP");
  if (FAULT.how === "tear") await (tearStep ?? (() => tear(step, path)))();
  process.kill(process.pid, "SIGKILL");
  await new Promise(() => undefined); // nothing may follow while the signal is under way
}

/** Half a file under its temporary name is what a crash while it was written leaves. */
function tear(step: DiskStep, path: string): Promise<void> {
  const stats = step === "rename" ? statSync(path, { throwIfNoEntry: false }) : undefined;
  if (stats?.isFile()) truncateSync(path, stats.size >> 1);
  return Promise.resolve();
}
