/**
 * Kills runs and their inference workers, some hundred times, at random times and at random steps on the disk, lets each
 * be continued, and holds every finished output to an undisturbed one's bytes. Prints how many kills landed where; exits
 * with 1 where any output differed or a worker outlived its run. Linux only.
 *
 *     npm run bench:faults                                200 kills
 *     npm run bench:faults -- --kills 40 --seed 7 --jobs 4     four outputs at once
 */
import { rmSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import { dataFiles, lastingManifest, makeJob, run, workersOf } from "../../test/resume/job.ts";
import { table } from "../table.ts";
import { buildPackage } from "./package.ts";
import { HOWS, type How, strike } from "./strike.ts";

const { values } = parseArgs({ options: { kills: { type: "string", default: "200" }, seed: { type: "string", default: "1" }, jobs: { type: "string", default: "2" } } });
const wanted = Number(values.kills);

/** mulberry32: the same choices for the same seed. */
let state = Number(values.seed) >>> 0;
function random(): number {
  state = (state + 0x6d2b79f5) >>> 0;
  let t = Math.imul(state ^ (state >>> 15), state | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
}

/** Kills of one output before it may finish. */
const KILLS_OF_ONE = 8;
/** The order of the table; workers come twice as often as any other. */
const CHOICES: readonly How[] = ["step", "torn_step", "time", "worker", "worker"];

const folder = makeJob({ num_samples: 48, split_samples: 8 });
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
const started = performance.now();
const package_folder = buildPackage(path.join(folder, "package"));

const undisturbed = await lifetimes("undisturbed");
const expected = resultOf("undisturbed");

interface Tally {
  kills: number;
  /** The run ended before it, or its worker, could be killed. */
  missed: number;
}
const tallies = Object.fromEntries(Object.keys(HOWS).map((how) => [how, { kills: 0, missed: 0 }])) as Record<How, Tally>;
let kills = 0;
let outputs = 0;
let compared = 0;
let identical = 0;
let gone_ms = 0;

await Promise.all(Array.from({ length: Number(values.jobs) }, work));
const rows = Object.entries(tallies) as [How, Tally][];
console.log(table(rows.map(([how, { kills, missed }]) => ({ "killed": HOWS[how], kills, "ended first": missed }))));
console.log(`\n${kills} kills, ${compared} outputs finished, ${identical} identical to an undisturbed run's; a killed run's workers were gone after ${Math.ceil(gone_ms)} ms at most (seed ${values.seed}, node ${process.version}, ${Math.round((performance.now() - started) / 1000)} s)`);
process.exitCode = identical === compared ? 0 : 1;

/** Kills, continues and compares one output after the other. */
async function work(): Promise<void> {
  while (kills < wanted) {
    const output = `out-${outputs++}`;
    let finished = false;
    for (let i = 0; i < KILLS_OF_ONE && kills < wanted && !finished; i++) {
      const how = CHOICES[Math.floor(random() * CHOICES.length)]!;
      const struck = await strike(how, { folder, package_folder, output, ...undisturbed, random });
      tallies[how].kills += struck.kills;
      tallies[how].missed += Number(struck.kills === 0);
      kills += struck.kills;
      gone_ms = Math.max(gone_ms, struck.workers_gone_ms);
      finished = struck.finished;
      const damage = finished ? undefined : visibleDamage(output);
      if (damage) throw new Error(`${output}: ${damage} is visible and not as it should be`);
    }
    if (!finished) {
      const last = await run(folder, { package_folder }, ["--set", `output.path=${output}`]);
      if (last.exit_code !== 0) throw new Error(`${output} can't be finished: ${last.stderr}`);
    }
    compare(output);
    rmSync(path.join(folder, output), { recursive: true, force: true });
    console.error(`${kills} of ${wanted} kills, ${identical} of ${compared} outputs identical`);
  }
}

/** Runs once undisturbed; how long it and its worker lived. */
async function lifetimes(output: string): Promise<{ run_ms: number; worker_ms: number }> {
  const first = performance.now();
  let [born, seen] = [0, 0];
  let timer: NodeJS.Timeout | undefined;
  const onStart = ({ pid }: { pid?: number | undefined }): void => {
    timer = setInterval(() => {
      if (workersOf(pid!).length === 0) return;
      seen = performance.now();
      born ||= seen;
    }, 10);
  };
  const { exit_code, stderr } = await run(folder, { package_folder, onStart }, ["--set", `output.path=${output}`]);
  clearInterval(timer);
  if (exit_code !== 0) throw new Error(stderr);
  return { run_ms: performance.now() - first, worker_ms: seen - born };
}

function resultOf(output: string): { files: Record<string, string>; manifest: Record<string, unknown> } {
  return { files: dataFiles(path.join(folder, output)), manifest: lastingManifest(path.join(folder, output)) };
}

function compare(output: string): void {
  const [found, right] = [JSON.stringify(resultOf(output)), JSON.stringify(expected)];
  compared++;
  if (found === right) identical++;
  else console.error(`${output} differs:\n${found}\n${right}`);
}

/** A data file in its place that an undisturbed run's would not be. */
function visibleDamage(output: string): string | undefined {
  return Object.entries(dataFiles(path.join(folder, output))).find(([name, digest]) => expected.files[name] !== digest)?.[0];
}
