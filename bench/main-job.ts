/**
 * Speed and memory of the main job, beside the time inside session.run alone: `npm run bench`.
 * Each round is a whole `pipeline run` into a new folder. Quoted in README.md.
 */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { measureProcess } from "./measure-process.ts";
import { median, table } from "./table.ts";

const ROUNDS = Number(process.argv[2] ?? 3);
const overrides = process.argv.slice(3).flatMap((pair) => ["--set", pair]);

interface Manifest {
  readonly counts: { readonly num_scored: number; readonly num_tokens: number; readonly num_read: number };
  readonly duration_ms_by_phase: Readonly<Record<string, number>>;
  readonly inference: { readonly session_ms: number; readonly num_positions: number; readonly num_padding: number };
}

const rows: Record<string, number>[] = [];
for (let round = 1; round <= ROUNDS; round++) {
  const folder = await mkdtemp(join(tmpdir(), "bench-main-"));
  try {
    const output = join(folder, "out");
    const run = await measureProcess(process.execPath, ["bin/pipeline.js", "run", "pipelines/select.yaml", "--quiet", "--set", `output.path=${output}`, ...overrides]);
    if (run.exitCode !== 0) throw new Error(`pipeline run ended with ${run.exitCode}:\n${run.stderr}`);
    const { counts, duration_ms_by_phase: ms, inference } = JSON.parse(await readFile(join(output, "manifest.json"), "utf8")) as Manifest;
    const scoreSeconds = ms["score"]! / 1000;
    rows.push({
      round,
      samples: counts.num_read,
      "wall s": round2(run.seconds),
      "score s": round2(scoreSeconds),
      "samples/s": round2(counts.num_read / scoreSeconds),
      "answer tokens/s": Math.round(counts.num_tokens / scoreSeconds),
      "session.run s": round2(inference.session_ms / 1000),
      "padding %": round2((100 * inference.num_padding) / inference.num_positions),
      "peak MiB": Math.round(run.peakBytes / 2 ** 20),
    });
  } finally {
    await rm(folder, { recursive: true });
  }
}
console.log(table(rows));
const of = (name: string) => median(rows.map((row) => row[name]!));
console.log(`\nmedian: ${of("wall s")} s in all, ${of("samples/s")} samples/s while scoring, session.run ${of("session.run s")} s summed over workers, ${of("peak MiB")} MiB`);

function round2(value: number): number {
  return Math.round(value * 100) / 100;
}
