/**
 * Threshold, masks and selection as ZSTD Parquet from 1,000,000 scored samples (64 million tokens): ours, DuckDB's SQL
 * and Polars' expressions on the same files, each in a process of its own, results compared sample by sample and token
 * by token:
 *
 *     pip install -r bench/select/requirements.txt
 *     npm run bench:select -- [--samples 1000000] [--top 70] [--rounds 3] [--python python3]
 *
 * Data is generated once into the system's temporary folder. Quoted in docs/operations.md.
 */
import { execFile } from "node:child_process";
import { rmSync } from "node:fs";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs, promisify } from "node:util";
import { DuckDBInstance } from "@duckdb/node-api";
import { median, table } from "../table.ts";
import { generateScores } from "./generate.ts";

const { values: flags } = parseArgs({
  options: {
    samples: { type: "string", default: "1000000" },
    top: { type: "string", default: "70" },
    rounds: { type: "string", default: "3" },
    python: { type: "string", default: "python3" },
  },
});
const folder = join(tmpdir(), "vig-bench-select", flags.samples);
await generateScores(folder, Number(flags.samples), (done) => void (process.stderr.isTTY && process.stderr.write(`\rgenerating: ${done} samples`)));

interface Measured {
  readonly seconds: number;
  readonly cpu_seconds: number;
  readonly peak_mib: number;
  readonly tau: number;
}

interface Way {
  readonly command: string;
  readonly args: readonly string[];
  /** Files that it leaves. */
  readonly result: string;
}

/** Compiled, as users install it: in a clone every thread would first start a TypeScript loader of its own. */
const compiled = "out/bench-select";
await promisify(execFile)(process.execPath, ["node_modules/typescript/bin/tsc", "-p", "bench/select/tsconfig.json"]);

const node = (script: string, ...args: readonly string[]): Pick<Way, "command" | "args"> => ({
  command: process.execPath,
  args: [join(compiled, "bench/select", script), folder, ...args, flags.top],
});
const [byDuckDb, byPolars] = [join(folder, "duckdb.parquet"), join(folder, "polars.parquet")];
const ours = join(folder, "selection", "*.parquet");
const REFERENCE = "DuckDB";
/** The reference comes first: the others are compared with it as soon as they have run. */
const ways: Readonly<Record<string, Way>> = {
  [REFERENCE]: { ...node("duckdb.js", byDuckDb), result: byDuckDb },
  "Polars": { command: flags.python, args: [join(import.meta.dirname, "polars_select.py"), folder, byPolars, flags.top], result: byPolars },
  "ours, rows copied as bytes": { ...node("ours.js", "copy"), result: ours },
  "ours, rows decoded and encoded": { ...node("ours.js", "decode"), result: ours },
};

async function measure({ command, args }: Way): Promise<Measured> {
  const { stdout } = await promisify(execFile)(command, args);
  return JSON.parse(stdout) as Measured;
}

/** Rows that one result lacks or has otherwise than the reference, by position. */
async function numDiffering(files: string): Promise<number> {
  const columns = ["sample_id", "source", "images", "messages", "vig", "token_id", "token_text", "loss_mask", "num_active", "kept_as"];
  const connection = await (await DuckDBInstance.create(":memory:", { memory_limit: "4GB" })).connect();
  const result = await connection.runAndReadAll(`
    select count(*) from read_parquet('${files}') a positional join read_parquet('${byDuckDb}') b
    where ${columns.map((name) => `a.${name} is distinct from b.${name}`).join(" or ")}`);
  return Number(result.getRows()[0]![0]);
}

const differing = new Map<string, number>();
const measured = new Map<string, Measured[]>(Object.keys(ways).map((way) => [way, []]));
for (let round = 0; round < Number(flags.rounds); round++) {
  for (const [name, way] of Object.entries(ways)) {
    measured.get(name)!.push(await measure(way));
    if (round === 0 && name !== REFERENCE) differing.set(name, await numDiffering(way.result));
  }
}
for (const file of [byDuckDb, byPolars]) rmSync(file);

const taus = new Set([...measured.values()].flat().map(({ tau }) => tau));
console.log(`\n${flags.samples} samples, top ${flags.top} percent, ${availableParallelism()} cores (${cpus()[0]?.model ?? "?"}), Node ${process.version}, median of ${flags.rounds}; tau ${[...taus].join(" != ")}\n`);
console.log(
  table(
    [...measured].map(([way, runs]) => ({
      way,
      "seconds": median(runs.map(({ seconds }) => seconds)).toFixed(2),
      "CPU seconds": median(runs.map(({ cpu_seconds }) => cpu_seconds)).toFixed(2),
      "peak MiB": median(runs.map(({ peak_mib }) => peak_mib)).toFixed(0),
      "rows that differ": differing.has(way) ? String(differing.get(way)) : "-",
    })),
  ),
);
process.exitCode = taus.size === 1 && [...differing.values()].every((count) => count === 0) ? 0 : 1;
