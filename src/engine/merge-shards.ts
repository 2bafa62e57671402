import { PlanError } from "../core/errors.ts";
import type { OutputFolder } from "../core/output.ts";
import type { Plan, RunSummary } from "../core/plan.ts";
import { shardName, shardOfSplit } from "../core/shard.ts";
import type { Split } from "../core/source.ts";
import { carryOut, type RunOptions } from "./run-pipeline.ts";

/** Shards that a message names one by one. */
const MAX_NAMED = 8;

/**
 * Finishes what shards have scored: parts, threshold over all of them, masks, manifest, `_SUCCESS`; byte for byte what
 * one run would have written. Scores nothing and loads no model. Does nothing where that has been done.
 * Throws as runPipeline, and PlanError naming the shards that have not been run or are not finished.
 */
export function mergeShards(plan: Plan, options: RunOptions): Promise<RunSummary> {
  return carryOut(plan, options, requireEverySplit);
}

async function requireEverySplit(output: OutputFolder, splits: readonly Split[]): Promise<void> {
  const missing = splits.filter((split) => !output.committed().has(split.digest));
  if (missing.length === 0) return;
  await output.forgetLost();
  const count = output.shards[0]?.count;
  const sums = `${missing.length} of ${splits.length} splits are not scored`;
  if (count === undefined) {
    throw new PlanError(`${output.path} can't be merged: ${sums}, and no shard has been run there`, {
      remedy: "run every shard first: `pipeline run FILE --shard 0/N` to `--shard N-1/N`",
    });
  }
  const begun = new Set(output.shards.map(({ index }) => index));
  const lacking = new Map<number, number>();
  for (const split of missing) {
    const index = shardOfSplit(split, count);
    lacking.set(index, (lacking.get(index) ?? 0) + 1);
  }
  const described = [...lacking]
    .sort(([a], [b]) => a - b)
    .map(([index, num]) => `shard ${shardName({ index, count })} ${begun.has(index) ? `is not finished (${num} splits are missing)` : "has not been run"}`);
  const rest = described.length > MAX_NAMED ? `; and ${described.length - MAX_NAMED} more` : "";
  const first = shardName({ index: Math.min(...lacking.keys()), count });
  throw new PlanError(`${output.path} can't be merged: ${sums}: ${described.slice(0, MAX_NAMED).join("; ")}${rest}`, {
    remedy: `run the missing shards, for example \`pipeline run FILE --shard ${first}\`, or all that is missing here: \`pipeline run FILE\``,
  });
}
