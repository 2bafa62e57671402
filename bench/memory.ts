/**
 * Memory and time against the number of samples: `npm run bench:memory -- [--samples 10000,100000,1000000]`.
 * Whole runs with a micro model, so that it ends in reasonable time; every image is read, decoded and blurred as ever.
 * Prints two tables (peak memory; time of each tenth of the samples) and writes docs/memory.svg. Quoted in
 * docs/performance.md. Linux only (memory is read from procfs).
 */
import { createWriteStream } from "node:fs";
import { once } from "node:events";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { measureProcess, type Measured } from "./measure-process.ts";
import { table } from "./table.ts";

const { values: flags } = parseArgs({
  options: {
    samples: { type: "string", default: "10000,100000,1000000" },
    model: { type: "string", default: "test/fixtures/models/llava" },
    images: { type: "string", default: "data/demo/images" },
    plot: { type: "string", default: "docs/memory.svg" },
  },
});

const ANSWERS = ["yes .", "a red car and a blue house stand on the left .", "there are three of them , and the largest one is green .", "it is above the tree ."];

/** JSON lines that show the images in turn, so that a split decodes as many images as it has samples. */
async function writeAnnotations(path: string, count: number, images: readonly string[]): Promise<void> {
  const file = createWriteStream(path);
  for (let i = 0; i < count; i++) {
    const record = {
      id: `sample-${i}`,
      image: images[i % images.length],
      conversations: [
        { from: "human", value: "<image>\nwhat do you see ?" },
        { from: "gpt", value: ANSWERS[(i * 7) % ANSWERS.length] },
      ],
    };
    if (!file.write(`${JSON.stringify(record)}\n`)) await once(file, "drain");
  }
  file.end();
  await once(file, "finish");
}

/** Seconds since the start of scoring at which each tenth of the samples was committed. */
function tenths(run: Measured, count: number): number[] {
  const commits = run.stderr
    .split("\n")
    .filter((line) => line.includes('"split_committed"'))
    .map((line) => JSON.parse(line) as { time: string; num_records: number });
  const first = Date.parse(commits[0]!.time);
  const seconds: number[] = [];
  let done = 0;
  for (const { time, num_records } of commits) {
    done += num_records;
    while (seconds.length < 10 && done >= ((seconds.length + 1) * count) / 10) seconds.push((Date.parse(time) - first) / 1000);
  }
  return seconds;
}

function plot(runs: readonly { readonly count: number; readonly run: Measured }[]): string {
  const [width, height, margin] = [640, 300, 48];
  const top = Math.max(...runs.map(({ run }) => run.peakBytes)) * 1.15;
  const colors = ["#0b6e99", "#c4621d", "#3f7f3f"];
  const lines = runs.map(({ count, run }, i) => {
    const points = run.memory.map(({ seconds, bytes }) => {
      const x = margin + ((width - 2 * margin) * seconds) / run.seconds;
      return `${x.toFixed(1)},${(height - margin - ((height - 2 * margin) * bytes) / top).toFixed(1)}`;
    });
    const label = `<text x="${margin + 8}" y="${20 + 16 * i}" fill="${colors[i % 3]}">${count.toLocaleString("en")} samples, ${Math.round(run.seconds)} s</text>`;
    return `<polyline fill="none" stroke="${colors[i % 3]}" stroke-width="1.5" points="${points.join(" ")}"/>${label}`;
  });
  const axis = [0, 0.25, 0.5, 0.75, 1].map((share) => {
    const y = height - margin - (height - 2 * margin) * share;
    return `<line x1="${margin}" x2="${width - margin}" y1="${y}" y2="${y}" stroke="#8885"/><text x="4" y="${y + 4}">${Math.round((top * share) / 2 ** 20)} MiB</text>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="11" fill="#555">
<title>Memory of main process and workers over a run</title>${axis.join("")}${lines.join("")}
<text x="${width / 2}" y="${height - 12}" text-anchor="middle">share of the run's time</text></svg>\n`;
}

const folder = await mkdtemp(join(tmpdir(), "bench-memory-"));
try {
  const images = (await readdir(flags.images)).sort();
  const runs: { readonly count: number; readonly run: Measured }[] = [];
  for (const count of flags.samples.split(",").map(Number)) {
    const [annotations, output] = [join(folder, `${count}.jsonl`), join(folder, `out-${count}`)];
    await writeAnnotations(annotations, count, images);
    const settings = [
      `source.annotations=${annotations}`,
      `source.image_root=${resolve(flags.images)}`,
      `model.path=${resolve(flags.model)}`,
      `output.path=${output}`,
      "output.report=false",
    ];
    const args = ["bin/pipeline.js", "run", "pipelines/select.yaml", "--log-format", "json", ...settings.flatMap((pair) => ["--set", pair])];
    const run = await measureProcess(process.execPath, args, { sampleMs: 200 });
    if (run.exitCode !== 0) throw new Error(`pipeline run ended with ${run.exitCode}:\n${run.stderr.slice(-2000)}`);
    runs.push({ count, run });
    await rm(output, { recursive: true });
  }
  const smallest = runs[0]!.run.peakBytes;
  console.log(
    table(
      runs.map(({ count, run }) => ({
        samples: count,
        "wall s": run.seconds.toFixed(1),
        "samples/s": (count / run.seconds).toFixed(0),
        "peak MiB": Math.round(run.peakBytes / 2 ** 20),
        "of the smallest": (run.peakBytes / smallest).toFixed(2),
      })),
    ),
  );
  console.log("\nSeconds until each tenth of the samples was committed, and the slope of the second half over the first:\n");
  console.log(
    table(
      runs.map(({ count, run }) => {
        const at = tenths(run, count);
        return { samples: count, ...Object.fromEntries(at.map((seconds, i) => [`${10 * (i + 1)}%`, seconds.toFixed(1)])), "slope ratio": ((at[9]! - at[4]!) / (at[4]! - at[0]!) / (5 / 4)).toFixed(2) };
      }),
    ),
  );
  await writeFile(flags.plot, plot(runs));
} finally {
  await rm(folder, { recursive: true });
}
