/** A small job as users run it, the command as a process of its own, and what it left: for fault tests and bench/faults. */
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const root = path.join(import.meta.dirname, "..", "..");
export const TINY_MODEL = path.join(root, "test", "fixtures", "models", "llava");

export interface JobOptions {
  readonly num_samples?: number;
  readonly split_samples?: number;
  /** Sample 5 shows an image that is not there. */
  readonly with_reject?: boolean;
}

/** Writes `job.yaml` and its annotations into a fresh folder, which is returned. */
export function makeJob({ num_samples = 24, split_samples = 8, with_reject = true }: JobOptions = {}): string {
  const folder = mkdtempSync(path.join(tmpdir(), "vig-fault-"));
  const colors = ["red", "green", "blue", "white", "black"];
  const records = Array.from({ length: num_samples }, (_, i) => {
    const is_text_only = i % 10 === 3;
    const image = with_reject && i === 5 ? "nowhere.png" : ["photo.png", "square.png"][i % 2];
    return {
      id: `sample-${i}`,
      ...(is_text_only ? {} : { image }),
      conversations: [
        { from: "human", value: `${is_text_only ? "" : "<image>\n"}What do you see, number ${i}?` },
        { from: "gpt", value: `It is ${colors[i % 5]}, then ${colors[(i * 7) % 5]}.` },
      ],
    };
  });
  writeFileSync(path.join(folder, "train.json"), JSON.stringify(records));
  writeFileSync(path.join(folder, "job.yaml"), jobYaml(split_samples));
  return folder;
}

const jobYaml = (split_samples: number): string => `version: 1
name: job
source: { kind: llava_json, annotations: train.json, image_root: ${path.join(TINY_MODEL, "images")}, split_samples: ${split_samples} }
model: { path: ${TINY_MODEL} }
stages:
  - decode: {}
  - blur: {}
  - paired_inference: {}
  - token_delta: {}
  - quantile_threshold: { top_percent: 70 }
  - mask: {}
output: { path: out, report: false }
resources: { num_workers: 1 }
max_reject_fraction: 0.5
`;

export interface Ended {
  readonly exit_code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface StartOptions {
  /** VIG_FAULT of src/io/output/crash-point.ts. */
  readonly fault?: string;
  readonly onStart?: (child: ChildProcess) => void;
  /** Called with all of stderr so far whenever more has come. */
  readonly onStderr?: (text: string, child: ChildProcess) => void;
  /** A folder with `bin/pipeline.js` in place of this clone. */
  readonly package_folder?: string;
  /** The process leads a group of its own, as under cron or a terminal's job control. */
  readonly own_group?: boolean;
}

/** Runs `pipeline ARGS` in the job's folder until it has ended. */
export function pipeline(folder: string, args: readonly string[], options: StartOptions = {}): Promise<Ended> {
  const env = { ...process.env, NO_COLOR: "1", ...(options.fault !== undefined && { VIG_FAULT: options.fault }) };
  const child = spawn(process.execPath, [path.join(options.package_folder ?? root, "bin", "pipeline.js"), ...args], {
    cwd: folder,
    env,
    stdio: ["ignore", "pipe", "pipe"],
    detached: options.own_group === true,
  });
  const said = { stdout: "", stderr: "" };
  child.stdout.on("data", (bytes: Buffer) => (said.stdout += bytes.toString()));
  child.stderr.on("data", (bytes: Buffer) => {
    said.stderr += bytes.toString();
    options.onStderr?.(said.stderr, child);
  });
  options.onStart?.(child);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (exit_code, signal) => resolve({ exit_code, signal, ...said }));
  });
}

export const run = (folder: string, options: StartOptions = {}, more: readonly string[] = []): Promise<Ended> => pipeline(folder, ["run", "job.yaml", ...more], options);

/** Path -> sha256 of every data file of an output folder and of _SUCCESS; the manifest and the report, which have times, are left out. */
export function dataFiles(output: string): Record<string, string> {
  const files = existsSync(output) ? readdirSync(output, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()) : [];
  const names = files.map((file) => path.relative(output, path.join(file.parentPath, file.name))).filter((name) => !name.startsWith("_work") && (name.endsWith(".parquet") || name === "_SUCCESS"));
  return Object.fromEntries(names.sort().map((name) => [name, createHash("sha256").update(readFileSync(path.join(output, name))).digest("hex")]));
}

/** What of a manifest is the same for every run of the same plan over the same input. */
export function lastingManifest(output: string): Record<string, unknown> {
  const { counts, thresholds, words, plan_hash, scores_hash, input, success } = JSON.parse(readFileSync(path.join(output, "manifest.json"), "utf8")) as Record<string, unknown>;
  return { counts, thresholds, words, plan_hash, scores_hash, input, success };
}

/** Events of a run that logs JSON lines. */
export const logLines = ({ stderr }: Ended): Record<string, unknown>[] =>
  stderr
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as Record<string, unknown>);

/** Processes below a process, by the system's own list. Empty where there is no /proc. */
export function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

/** The inference processes below a run. */
export function workersOf(pid: number): number[] {
  return childrenOf(pid).filter((child) => isAlive(child) && commandLine(child).includes("inference-worker"));
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    return "";
  }
}

/** Whether the process is there and not a zombie. */
export function isAlive(pid: number): boolean {
  return !"ZX".includes(stateOf(pid));
}

/** The letter that the system has for what a process or one of its threads does: T where it is stopped, X where there is none. */
function stateOf(pid: number, thread = pid): string {
  try {
    const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, "utf8");
    return stat[stat.lastIndexOf(")") + 2]!;
  } catch {
    return "X";
  }
}

/** Calls `act` once the run has stopped itself before that step on the disk ("3 append journal.jsonl"). It goes on with SIGCONT. */
export function whenStopped(step: string, act: (pid: number) => void): StartOptions {
  const wait = async (pid: number): Promise<void> => {
    while (isAlive(pid) && stateOf(pid) !== "T") await sleep(20);
    if (isAlive(pid)) act(pid);
  };
  return { fault: `stop ${step}`, onStart: ({ pid }) => void wait(pid!) };
}

/** Waits until no thread of the process has anything to do: what it still waits for is another process. */
export async function untilIdle(pid: number): Promise<void> {
  for (let numIdle = 0; numIdle < 10 && isAlive(pid); numIdle++) {
    await sleep(50);
    if (readdirSync(`/proc/${pid}/task`).some((thread) => "RD".includes(stateOf(pid, Number(thread))))) numIdle = 0;
  }
}
