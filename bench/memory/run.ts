/**
 * Memory and time against the number of samples: `npm run bench:memory`, or fewer with `-- --samples 10000,100000`.
 * Whole runs with a micro model (micro-job.ts) through every stage: images are read, decoded, blurred and encoded as ever.
 * Memory is the operating system's, of main process and worker together; time is wall clock and CPU time at each
 * commit of a split. Prints the tables that docs/operations.md quotes and draws docs/images/memory.svg and scaling.svg
 * after each run. Linux only.
 */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { measureProcess, type Measured } from "../measure-process.ts";
import { table } from "../table.ts";
import { makeMicroJob, type MicroJob } from "./micro-job.ts";
import { linePlot, type Series } from "./plots.ts";

const { values: flags } = parseArgs({
  options: {
    samples: { type: "string", default: "10000,100000,1000000" },
    plots: { type: "string", default: "docs/images" },
  },
});

const MIB = 2 ** 20;

/** The state of a run when a split was committed, counted from its first commit. */
interface Commit {
  readonly num_samples: number;
  readonly seconds: number;
  readonly cpu_seconds: number;
}

interface Run {
  readonly count: number;
  readonly measured: Measured;
  readonly commits: readonly Commit[];
  readonly phases: Readonly<Record<string, number>>;
}

async function runOnce(count: number, job: MicroJob, output: string): Promise<Run> {
  const settings = [
    `source.annotations=${job.annotations}`,
    `source.image_root=${job.image_root}`,
    `model.path=${job.model}`,
    `output.path=${output}`,
    // One, whatever the cores: its memory comes on top for each.
    "resources.num_workers=1",
    "output.report=false",
  ];
  const args = ["run", "pipelines/select.yaml", "--log-format", "json", ...settings.flatMap((pair) => ["--set", pair])];
  const measured = await measureProcess("bin/pipeline.js", args, { sampleMs: 500 });
  if (measured.exitCode !== 0) throw new Error(`pipeline run ended with ${measured.exitCode}:\n${measured.stderr.slice(-2000)}`);
  const manifest = JSON.parse(await readFile(join(output, "manifest.json"), "utf8")) as { counts: { num_scored: number }; duration_ms_by_phase: Record<string, number> };
  if (manifest.counts.num_scored !== count) throw new Error(`${manifest.counts.num_scored} of ${count} samples were scored`);
  return { count, measured, commits: commitsOf(measured), phases: manifest.duration_ms_by_phase };
}

function commitsOf({ started_at, stderr, memory }: Measured): Commit[] {
  const commits: Commit[] = [];
  let num_samples = 0;
  let at = 0;
  for (const line of stderr.split("\n")) {
    if (!line.includes('"split_committed"')) continue;
    const { time, num_records } = JSON.parse(line) as { time: string; num_records: number };
    const seconds = (Date.parse(time) - started_at) / 1000;
    while (at < memory.length - 1 && memory[at]!.seconds < seconds) at++;
    num_samples += num_records;
    commits.push({ num_samples, seconds, cpu_seconds: memory[at]!.cpu_seconds });
  }
  const first = commits[0]!;
  return commits.map((commit) => ({
    num_samples: commit.num_samples - first.num_samples,
    seconds: commit.seconds - first.seconds,
    cpu_seconds: commit.cpu_seconds - first.cpu_seconds,
  }));
}

/** Seconds a sample in the second half over those in the first: 1 is a straight line. */
function slopeRatio(commits: readonly Commit[], read: (commit: Commit) => number): number {
  const last = commits.at(-1)!;
  const middle = commits.find(({ num_samples }) => num_samples >= last.num_samples / 2)!;
  const first = read(middle) / middle.num_samples;
  const second = (read(last) - read(middle)) / (last.num_samples - middle.num_samples);
  return second / first;
}

function memoryTable(runs: readonly Run[]): string {
  const smallest = Math.min(...runs.map(({ measured }) => measured.peakBytes));
  return table(
    runs.map(({ count, measured, phases }) => ({
      "samples": count,
      "peak MiB": Math.round(measured.peakBytes / MIB),
      "of the smallest": (measured.peakBytes / smallest).toFixed(2),
      "wall s": measured.seconds.toFixed(0),
      "scan s": seconds(phases["scan"]),
      "score s": seconds(phases["score"]),
      "publish s": seconds(phases["publish"]),
      "select s": seconds(phases["select"]),
    })),
  );
}

function scalingTable(runs: readonly Run[]): string {
  return table(
    runs.map(({ count, commits }) => {
      const last = commits.at(-1)!;
      return {
        "samples": count,
        "CPU ms a sample": ((1000 * last.cpu_seconds) / last.num_samples).toFixed(2),
        "second half : first, CPU": slopeRatio(commits, (commit) => commit.cpu_seconds).toFixed(2),
        "wall ms a sample": ((1000 * last.seconds) / last.num_samples).toFixed(2),
        "second half : first, wall": slopeRatio(commits, (commit) => commit.seconds).toFixed(2),
      };
    }),
  );
}

function seconds(milliseconds: number | undefined): string {
  return ((milliseconds ?? 0) / 1000).toFixed(1);
}

/** The largest value of each of so many stretches of a line: peaks stay. */
function thinned(points: readonly (readonly [number, number])[], stretches = 200): (readonly [number, number])[] {
  const size = Math.ceil(points.length / stretches);
  return Array.from({ length: Math.ceil(points.length / size) }, (_, i) =>
    points.slice(i * size, (i + 1) * size).reduce((most, point) => (point[1] > most[1] ? point : most)),
  );
}

async function draw(runs: readonly Run[]): Promise<void> {
  const memory = runs.map(({ count, measured }): Series => ({
    label: `${count.toLocaleString("en")} samples`,
    // Nothing is left of the run where it has ended before the last look.
    points: thinned(measured.memory.filter(({ bytes }) => bytes > 0).map(({ seconds, bytes }) => [(100 * seconds) / measured.seconds, bytes / MIB])),
  }));
  const memoryAxes = { title: "Memory of main process and worker over a run", x: { label: "% of the run's time", domain: [0, 100] }, y: { label: "MiB" } };
  await writeFile(join(flags.plots, "memory.svg"), linePlot(memory, memoryAxes));
  const longest = runs.at(-1)!;
  const time: Series = { label: "CPU seconds", points: thinned(longest.commits.map(({ num_samples, cpu_seconds }) => [num_samples, cpu_seconds])) };
  const timeAxes = { title: "CPU time against committed samples", x: { label: "samples committed" }, y: { label: "CPU seconds" } };
  await writeFile(join(flags.plots, "scaling.svg"), linePlot([time], timeAxes));
}

const folder = await mkdtemp(join(tmpdir(), "bench-memory-"));
try {
  const runs: Run[] = [];
  for (const count of flags.samples.split(",").map(Number)) {
    const own = join(folder, String(count));
    runs.push(await runOnce(count, await makeMicroJob(own, count), join(own, "out")));
    await rm(own, { recursive: true });
    runs.sort((a, b) => a.count - b.count);
    await draw(runs);
    console.log(`${memoryTable(runs)}\n\n${scalingTable(runs)}\n`);
  }
} finally {
  await rm(folder, { recursive: true });
}
