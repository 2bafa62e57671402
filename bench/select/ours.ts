/** One run of the select phase on generated scores, for its time and peak memory: `ours.ts FOLDER`. Prints one JSON line. */
import { performance } from "node:perf_hooks";
import { scoresSchema } from "../../src/core/columns.ts";
import type { Plan } from "../../src/core/plan.ts";
import { runSelectPhase } from "../../src/engine/select-phase.ts";
import { mask, maskConfig } from "../../src/stages/mask.ts";
import { quantileThreshold } from "../../src/stages/quantile-threshold.ts";
import { openScores } from "./generate.ts";

const [folder, top_percent = "70"] = process.argv.slice(2);
const output = await openScores(folder!);
if (process.env.GENERIC) output.openRowCopy = () => Promise.resolve(null);
const plan = {
  threshold: quantileThreshold({ top_percent: Number(top_percent) }),
  mask: mask(maskConfig.parse({})),
  targets: null,
  schema: { samples: scoresSchema },
  output: { compression: "zstd" },
} as unknown as Plan;
const start = performance.now();
const { selections } = await runSelectPhase(plan, output, {
  observer: { report: () => undefined },
  signal: new AbortController().signal,
  records: output.committed().values(),
  with_words: false,
});
const seconds = (performance.now() - start) / 1000;
await output.close();
console.log(JSON.stringify({ seconds, cpu_seconds: (process.cpuUsage().user + process.cpuUsage().system) / 1e6, peak_mib: process.resourceUsage().maxRSS / 1024, selections }));
