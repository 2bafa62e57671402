import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import type { Plan, RunSummary } from "../core/plan.ts";
import { type Shard, shardOfSplit } from "../core/shard.ts";
import { recordsOf, sumCounts, warnOfDamage, warnOfTokens } from "./run-counts.ts";
import type { RunOptions } from "./run-pipeline.ts";
import { scanSplits } from "./scan-splits.ts";
import { runScorePhase } from "./score-phase.ts";
import { Stopwatch } from "./stopwatch.ts";

/**
 * Scores one shard's splits of the input and makes them durable; threshold, masks and manifest are the merge's
 * (src/engine/merge-shards.ts), and so is the limit of rejects. Continues an interrupted shard, and where all of it is done
 * does nothing. Throws as runPipeline.
 */
export async function runShard(plan: Plan, shard: Shard, options: RunOptions): Promise<RunSummary> {
  const { signal } = options;
  const watch = new Stopwatch(options.observer);
  for (const warning of plan.warnings) watch.observer.report({ event: "warning", ...warning });

  const all = await watch.phase("scan", () => scanSplits(plan, signal));
  const splits = all.filter((split) => shardOfSplit(split, shard.count) === shard.index);
  const run_id = options.run_id ?? randomUUID();
  const output = await plan.output.openShard(shard, { fresh: options.fresh, retry_rejects: options.retry_rejects, signal });
  try {
    warnOfDamage(output.damaged, watch.observer);
    const done = splits.filter((split) => output.committed().has(split.digest));
    const sumRecords = (some: typeof splits): number => some.reduce((sum, { num_records }) => sum + num_records, 0);
    const stage_ms = await watch.phase("score", () => runScorePhase(plan, output, splits, { observer: watch.observer, signal }), {
      num_records: sumRecords(splits),
      num_records_done: sumRecords(done),
    });
    const counts = sumCounts(recordsOf(output, splits.map((split) => split.digest)));
    warnOfTokens(counts, watch.observer);
    const num_scored_now = splits.length - done.length;
    const result = watch.result();
    if (num_scored_now > 0) {
      const { duration_ms } = result;
      const inference = { ...plan.inferenceStatistics() };
      await output.finish({ ...shard, run_id, host: hostname(), duration_ms, num_splits: num_scored_now, stage_ms, model: plan.describeModel(), inference });
    }
    return {
      run_id,
      output_path: output.path,
      shard,
      up_to_date: num_scored_now === 0,
      success: true,
      num_splits: splits.length,
      num_splits_reused: done.length,
      counts,
      selections: [],
      words: { highest: [], lowest: [] },
      ...result,
    };
  } finally {
    await output.close();
  }
}
