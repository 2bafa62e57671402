/** What a report costs for a data set of any size: `node --import tsx bench/report.ts [samples]`. Prints time, peak memory and the page's size. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { scoresSchema } from "../src/core/columns.ts";
import { FolderDatasetWriter } from "../src/io/output/dataset-writer.ts";
import { writeReport } from "../src/report/write-report.ts";
import { scoresOf, syntheticSamples, writeSyntheticRun } from "../test/report/synthetic-run.ts";

const ROWS_AT_ONCE = 4_000;
const numSamples = Number(process.argv[2] ?? 1_000_000);

const folder = await mkdtemp(path.join(os.tmpdir(), "bench-report-"));
try {
  const { path: out } = await writeSyntheticRun(folder, { samples: syntheticSamples(ROWS_AT_ONCE) });
  await mkdir(path.join(out, "_work"), { recursive: true });
  const writer = await FolderDatasetWriter.open(path.join(out, "_work", "scores"), path.join(out, "scores"), { schema: scoresSchema, compression: "zstd", metadata: {} });
  let numTokens = 0;
  for (let start = 0; start < numSamples; start += ROWS_AT_ONCE) {
    const samples = syntheticSamples(Math.min(ROWS_AT_ONCE, numSamples - start), start + 1);
    numTokens += samples.reduce((sum, sample) => sum + sample.tokens.length, 0);
    await writer.write(scoresOf(samples));
  }
  await writer.publish();
  await writeManifestCounts(path.join(out, "manifest.json"), numTokens);
  globalThis.gc?.();
  const before = process.memoryUsage.rss();
  let peak = before;
  const watch = setInterval(() => (peak = Math.max(peak, process.memoryUsage.rss())), 50);
  const start = performance.now();
  const { num_bytes } = await writeReport({ outputPath: out, openSource: () => Promise.resolve(undefined), signal: new AbortController().signal });
  clearInterval(watch);
  const seconds = (performance.now() - start) / 1000;
  console.log(`samples ${numSamples}, answer tokens ${numTokens}`);
  console.log(`time ${seconds.toFixed(1)} s, page ${(num_bytes / 1e6).toFixed(2)} MB, resident before ${(before / 1e6).toFixed(0)} MB, at most ${(peak / 1e6).toFixed(0)} MB`);
} finally {
  await rm(folder, { recursive: true });
}
process.exit(0);

/** How much there is decides how many samples the words look at. */
async function writeManifestCounts(file: string, num_tokens: number): Promise<void> {
  const manifest = JSON.parse(await readFile(file, "utf8")) as { counts: object };
  await writeFile(file, JSON.stringify({ ...manifest, counts: { ...manifest.counts, num_tokens } }));
}
