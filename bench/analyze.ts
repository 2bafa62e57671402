/**
 * What an analysis costs for data sets of any size: `node --import tsx bench/analyze.ts [samples...]`. Prints time and peak
 * memory of `pipeline analyze` with and without --against.
 */
import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { scoresSchema } from "../src/core/columns.ts";
import { FolderDatasetWriter } from "../src/io/output/dataset-writer.ts";
import { scoresOf, syntheticSamples, writeSyntheticRun } from "../test/report/synthetic-run.ts";
import { measureProcess } from "./measure-process.ts";
import { table } from "./table.ts";

const ROWS_AT_ONCE = 4_000;
const sizes = process.argv.length > 2 ? process.argv.slice(2).map(Number) : [100_000, 1_000_000];

const rows: Record<string, string | number>[] = [];
for (const size of sizes) {
  const folder = await mkdtemp(path.join(os.tmpdir(), "bench-analyze-"));
  try {
    const out = await writeRun(folder, size);
    for (const [analysis, more] of [["overview", []], ["--against", ["--against", out]]] as const) {
      const { exitCode, seconds, peakBytes, stderr } = await measureProcess(process.execPath, ["bin/pipeline.js", "analyze", out, ...more]);
      if (exitCode !== 0) throw new Error(stderr);
      rows.push({ samples: size.toLocaleString("en-US"), analysis, seconds: seconds.toFixed(1), "peak MB": Math.round(peakBytes / 1e6) });
    }
  } finally {
    await rm(folder, { recursive: true });
  }
}
console.log(table(rows));

async function writeRun(folder: string, size: number): Promise<string> {
  const { path: out } = await writeSyntheticRun(folder, { samples: syntheticSamples(100), with_images: false });
  const writer = await FolderDatasetWriter.open(path.join(folder, "scores"), path.join(out, "scores"), { schema: scoresSchema, compression: "zstd", metadata: {} });
  for (let start = 0; start < size; start += ROWS_AT_ONCE) {
    const samples = syntheticSamples(Math.min(ROWS_AT_ONCE, size - start), start + 1);
    await writer.write(scoresOf(samples.map((sample, i) => ({ ...sample, sample_id: `sample-${start + i}` }))));
  }
  await writer.publish();
  return out;
}
