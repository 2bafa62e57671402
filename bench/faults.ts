/**
 * Kills runs, some hundred times, at random times and at random steps on the disk, lets each be continued, and holds every
 * finished output to an undisturbed one's bytes. Prints how many kills landed where; exits with 1 where any output differed.
 *
 *     npm run bench:faults                                200 kills
 *     npm run bench:faults -- --kills 40 --seed 7 --jobs 4     four outputs at once
 */
import { rmSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import { dataFiles, isAlive, lastingManifest, makeJob, run, childrenOf } from "../test/resume/job.ts";
import { table } from "./table.ts";

const { values } = parseArgs({ options: { kills: { type: "string", default: "200" }, seed: { type: "string", default: "1" }, jobs: { type: "string", default: "1" } } });
const wanted = Number(values.kills);

/** mulberry32: the same kills for the same seed. */
let state = Number(values.seed) >>> 0;
function random(): number {
  state = (state + 0x6d2b79f5) >>> 0;
  let t = Math.imul(state ^ (state >>> 15), state | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
}
const below = (limit: number): number => Math.floor(random() * limit);

/** Kills of one output before it may finish. */
const KILLS_OF_ONE = 8;

const folder = makeJob({ num_samples: 48, split_samples: 8 });
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
const started = performance.now();

const first = performance.now();
const undisturbed = await run(folder, {}, ["--set", "output.path=undisturbed"]);
const run_ms = performance.now() - first;
if (undisturbed.exit_code !== 0) throw new Error(undisturbed.stderr);
const expected = JSON.stringify([dataFiles(path.join(folder, "undisturbed")), lastingManifest(path.join(folder, "undisturbed"))]);

interface Tally {
  kills: number;
  /** The run ended before it could be killed. */
  missed: number;
}
const tallies: Record<string, Tally> = {};
const count = (how: string, was_killed: boolean): void => {
  const tally = (tallies[how] ??= { kills: 0, missed: 0 });
  if (was_killed) tally.kills++;
  else tally.missed++;
};

const HOWS = ["at a random step", "in the middle of a random step", "at a random time", "a worker, at a random time"] as const;

/** One run that is to be killed; whether it was, and whether it ended well before. */
async function kill(output: string): Promise<{ how: string; killed: boolean; finished: boolean }> {
  const how = HOWS[below(HOWS.length)]!;
  const into = ["--set", `output.path=${output}`];
  if (how.endsWith("step")) {
    // A run from scratch takes some eighty steps; one that only finishes takes a few: small numbers come more often.
    const step = 1 + Math.floor(random() ** 2 * 90);
    const { signal, exit_code, stderr } = await run(folder, { fault: `${how.startsWith("in") ? "tear" : "kill"} ${step}` }, into);
    if (signal !== "SIGKILL" && exit_code !== 0) throw new Error(`${how}: exit code ${exit_code}\n${stderr}`);
    return { how, killed: signal === "SIGKILL", finished: exit_code === 0 };
  }
  let timer: NodeJS.Timeout | undefined;
  let killed = false;
  const strike = (pid: number): void => {
    const targets = how.startsWith("a worker") ? childrenOf(pid).filter(isAlive) : [pid];
    const target = targets[below(Math.max(1, targets.length))];
    if (target === undefined || !isAlive(target)) return;
    process.kill(target, "SIGKILL");
    killed = true;
  };
  const { signal, exit_code, stderr } = await run(folder, { onStart: ({ pid }) => (timer = setTimeout(() => strike(pid!), run_ms * (0.1 + 0.9 * random()))) }, into);
  clearTimeout(timer);
  const survived = exit_code === 0;
  // A worker's death is the run's to bear; its own is not.
  if (how.startsWith("a worker") ? !survived : !survived && signal !== "SIGKILL") throw new Error(`${how}: exit code ${exit_code}, ${signal}\n${stderr}`);
  return { how, killed: killed && (how.startsWith("a worker") || signal === "SIGKILL"), finished: survived };
}

let kills = 0;
let outputs = 0;
let compared = 0;
let identical = 0;
/** Kills, continues and compares one output after the other. */
async function work(): Promise<void> {
  while (kills < wanted) {
    const output = `out-${outputs++}`;
    let finished = false;
    for (let i = 0; i < KILLS_OF_ONE && kills < wanted && !finished; i++) {
      const ended = await kill(output);
      count(ended.how, ended.killed);
      kills += Number(ended.killed);
      finished = ended.finished;
      const damage = finished ? undefined : visibleDamage(output);
      if (damage) throw new Error(`${output}: ${damage} is visible and not as it should be`);
    }
    if (!finished) {
      const last = await run(folder, {}, ["--set", `output.path=${output}`]);
      if (last.exit_code !== 0) throw new Error(`${output} can't be finished: ${last.stderr}`);
    }
    compare(output);
    rmSync(path.join(folder, output), { recursive: true, force: true });
    console.error(`${kills} of ${wanted} kills, ${identical} outputs identical`);
  }
}

function compare(output: string): void {
  const found = JSON.stringify([dataFiles(path.join(folder, output)), lastingManifest(path.join(folder, output))]);
  compared++;
  if (found === expected) identical++;
  else console.error(`${output} differs:\n${found}\n${expected}`);
}

/** A data file in its place that an undisturbed run's would not be. */
function visibleDamage(output: string): string | undefined {
  const [right] = JSON.parse(expected) as [Record<string, string>];
  return Object.entries(dataFiles(path.join(folder, output))).find(([name, digest]) => right[name] !== digest)?.[0];
}

await Promise.all(Array.from({ length: Number(values.jobs) }, work));
console.log(table(Object.entries(tallies).sort().map(([where, { kills, missed }]) => ({ "killed": where, kills, "ended first": missed }))));
console.log(`\n${kills} kills, ${compared} outputs finished, ${identical} identical to an undisturbed run's (seed ${values.seed}, node ${process.version}, ${Math.round((performance.now() - started) / 1000)} s)`);
process.exitCode = identical === compared ? 0 : 1;
