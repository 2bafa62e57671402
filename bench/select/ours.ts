/**
 * One run of the select phase on generated scores: `ours.ts FOLDER copy|decode [TOP_PERCENT]`. `decode` leaves out the
 * copying of rows as bytes. Prints one JSON line.
 */
import { scoresSchema } from "../../src/core/columns.ts";
import type { OutputFolder } from "../../src/core/output.ts";
import type { Plan } from "../../src/core/plan.ts";
import { runSelectPhase } from "../../src/engine/select-phase.ts";
import { mask, maskConfig } from "../../src/stages/mask.ts";
import { quantileThreshold } from "../../src/stages/quantile-threshold.ts";
import { openScores } from "./generate.ts";

const [folder, way, top_percent = "70"] = process.argv.slice(2);
const output: OutputFolder = await openScores(folder!);
if (way === "decode") output.openRowCopy = () => Promise.resolve(null);
const plan = {
  threshold: quantileThreshold({ top_percent: Number(top_percent) }),
  mask: mask(maskConfig.parse({})),
  targets: null,
  schema: { samples: scoresSchema },
  output: { compression: "zstd" },
} as unknown as Plan;

const cpu = process.cpuUsage();
const start = performance.now();
const { selections } = await runSelectPhase(plan, output, {
  observer: { report: () => undefined },
  signal: new AbortController().signal,
  records: { [Symbol.iterator]: () => output.committed().values() },
  with_words: false,
});
const seconds = (performance.now() - start) / 1000;
const used = process.cpuUsage(cpu);
await output.close();
console.log(JSON.stringify({ seconds, cpu_seconds: (used.user + used.system) / 1e6, peak_mib: process.resourceUsage().maxRSS / 1024, tau: selections[0]!.tau }));
