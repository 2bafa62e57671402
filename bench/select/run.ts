/**
 * Threshold, masks and selection as ZSTD Parquet from 1,000,000 scored samples (64 million tokens): ours and DuckDB's
 * SQL on the same files, each in a process of its own, results compared sample by sample and token by token:
 * `npm run bench:select [NUM_SAMPLES [TOP_PERCENT]]`. Data is generated once into the system's temporary folder.
 */
import { execFile } from "node:child_process";
import { rmSync } from "node:fs";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { DuckDBInstance } from "@duckdb/node-api";
import { median, table } from "../table.ts";
import { generateScores } from "./generate.ts";

const ROUNDS = 3;
const [numSamples = "1000000", topPercent = "70"] = process.argv.slice(2);
const folder = join(tmpdir(), "vig-bench-select", numSamples);
await generateScores(folder, Number(numSamples), (done) => process.stderr.write(`\rgenerating: ${done} samples`));

interface Measured {
  readonly seconds: number;
  readonly cpu_seconds: number;
  readonly peak_mib: number;
  readonly tau: number;
}

const byDuckDb = join(folder, "duckdb.parquet");
const ways: Readonly<Record<string, readonly string[]>> = {
  "ours, rows copied as bytes": ["ours.ts", folder, "copy", topPercent],
  "ours, rows decoded and encoded": ["ours.ts", folder, "decode", topPercent],
  "DuckDB": ["duckdb.ts", folder, byDuckDb, topPercent],
};

async function measure([script, ...args]: readonly string[]): Promise<Measured> {
  const { stdout } = await promisify(execFile)(process.execPath, ["--import", "tsx", join(import.meta.dirname, script!), ...args]);
  return JSON.parse(stdout) as Measured;
}

/** Rows of ours that DuckDB's result lacks or has otherwise, by position. */
async function numDiffering(): Promise<number> {
  const columns = ["sample_id", "source", "images", "messages", "vig", "token_id", "token_text", "loss_mask", "num_active", "kept_as"];
  const numbered = (files: string) => `(select row_number() over () as position, * from read_parquet('${files}'))`;
  const connection = await (await DuckDBInstance.create(":memory:", { memory_limit: "8GB" })).connect();
  const result = await connection.runAndReadAll(`
    select count(*) from ${numbered(join(folder, "selection", "*.parquet"))} a full join ${numbered(byDuckDb)} b using (position)
    where ${columns.map((name) => `a.${name} is distinct from b.${name}`).join(" or ")}`);
  return Number(result.getRows()[0]![0]);
}

const measured = new Map<string, Measured[]>(Object.keys(ways).map((way) => [way, []]));
for (let round = 0; round < ROUNDS; round++) for (const [way, command] of Object.entries(ways)) measured.get(way)!.push(await measure(command));

const differing: Record<string, number> = {};
for (const way of Object.keys(ways).filter((name) => name.startsWith("ours"))) {
  await measure(ways[way]!);
  differing[way] = await numDiffering();
}
rmSync(byDuckDb);

const taus = new Set([...measured.values()].flat().map(({ tau }) => tau));
console.log(`\n${numSamples} samples, top ${topPercent} percent, ${availableParallelism()} cores (${cpus()[0]?.model ?? "?"}), Node ${process.version}, median of ${ROUNDS}; tau ${[...taus].join(" != ")}\n`);
console.log(
  table(
    [...measured].map(([way, runs]) => ({
      way,
      "seconds": median(runs.map(({ seconds }) => seconds)).toFixed(2),
      "CPU seconds": median(runs.map(({ cpu_seconds }) => cpu_seconds)).toFixed(2),
      "peak MiB": median(runs.map(({ peak_mib }) => peak_mib)).toFixed(0),
      "rows that differ": way in differing ? String(differing[way]) : "-",
    })),
  ),
);
