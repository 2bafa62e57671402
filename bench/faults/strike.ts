/** One run that is to be killed in one of several ways. */
import path from "node:path";
import { isAlive, run, type StartOptions, workersOf } from "../../test/resume/job.ts";

export const HOWS = {
  step: "the run, before a random step on the disk",
  torn_step: "the run, in the middle of a random step",
  time: "the run, at a random time",
  worker: "an inference worker, at a random time of its life",
} as const;
export type How = keyof typeof HOWS;

export interface StrikeOptions {
  readonly folder: string;
  readonly package_folder: string;
  readonly output: string;
  /** How long an undisturbed run and its worker live. */
  readonly run_ms: number;
  readonly worker_ms: number;
  /** In [0, 1). */
  readonly random: () => number;
}

export interface Struck {
  readonly kills: number;
  /** The run came to its end, with or without having been struck. */
  readonly finished: boolean;
  /** Milliseconds until the workers of a killed run were gone. */
  readonly workers_gone_ms: number;
}

/** A worker's death is its run's to bear, at most twice: the third death of one split's workers would end it. */
const MAX_WORKERS = 2;
const MAX_GONE_MS = 20_000;

/** Throws where the run ended otherwise than by its kill or well, or left a process behind. */
export function strike(how: How, options: StrikeOptions): Promise<Struck> {
  if (how === "worker") return strikeWorkers(options);
  return how === "time" ? strikeRun(options) : strikeStep(how, options);
}

async function strikeStep(how: "step" | "torn_step", options: StrikeOptions): Promise<Struck> {
  // A run from scratch takes some eighty steps; one that only finishes takes a few: small numbers come more often.
  const step = 1 + Math.floor(options.random() ** 2 * 90);
  return watch(options, { fault: `${how === "step" ? "kill" : "tear"} ${step}` });
}

async function strikeRun(options: StrikeOptions): Promise<Struck> {
  let timer: NodeJS.Timeout | undefined;
  const delay = options.run_ms * (0.1 + 0.9 * options.random());
  const struck = await watch(options, { onStart: (child) => (timer = setTimeout(() => child.kill("SIGKILL"), delay)) });
  clearTimeout(timer);
  return struck;
}

async function strikeWorkers(options: StrikeOptions): Promise<Struck> {
  let kills = 0;
  let ended = false;
  const hunt = async (pid: number): Promise<void> => {
    const met = new Set<number>();
    while (!ended && kills < MAX_WORKERS) {
      const worker = workersOf(pid).find((one) => !met.has(one));
      await sleep(worker === undefined ? 5 : options.worker_ms * options.random());
      if (worker === undefined) continue;
      met.add(worker);
      if (ended || !isAlive(worker) || !workersOf(pid).includes(worker)) continue;
      process.kill(worker, "SIGKILL");
      kills++;
    }
  };
  let hunting: Promise<void> | undefined;
  const onStart: StartOptions["onStart"] = ({ pid }) => {
    hunting = hunt(pid!);
  };
  const struck = await watch(options, { onStart });
  ended = true;
  await hunting;
  return { ...struck, kills };
}

async function watch({ folder, package_folder, output }: StrikeOptions, how: StartOptions): Promise<Struck> {
  const workers = new Set<number>();
  let timer: NodeJS.Timeout | undefined;
  let ended_at = 0;
  const onStart: StartOptions["onStart"] = (child) => {
    child.once("exit", () => (ended_at = performance.now()));
    timer = setInterval(() => workersOf(child.pid!).forEach((worker) => workers.add(worker)), 10);
    how.onStart?.(child);
  };
  const { signal, exit_code, stderr } = await run(folder, { ...how, package_folder, onStart }, ["--set", `output.path=${output}`]);
  clearInterval(timer);
  if (signal !== "SIGKILL" && exit_code !== 0) throw new Error(`${path.join(folder, output)}: exit code ${exit_code}, ${signal}\n${stderr}`);
  return { kills: Number(signal === "SIGKILL"), finished: exit_code === 0, workers_gone_ms: await untilGone([...workers], ended_at) };
}

/** Milliseconds between the two ends. */
async function untilGone(pids: readonly number[], ended_at: number): Promise<number> {
  while (pids.some(isAlive)) {
    await sleep(5);
    if (performance.now() - ended_at > MAX_GONE_MS) throw new Error(`inference process ${pids.find(isAlive)} outlives its run`);
  }
  return performance.now() - ended_at;
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
