import { PlanError } from "../core/errors.ts";
import type { Plan } from "../core/plan.ts";
import type { Split } from "../core/source.ts";

/** All splits of the input, in order. Throws PlanError where it has no records. */
export async function scanSplits(plan: Plan, signal: AbortSignal): Promise<Split[]> {
  const splits: Split[] = [];
  for await (const split of plan.source.splits(signal)) splits.push(split);
  if (splits.length === 0) {
    const { files } = (await plan.source.describe()) as { readonly files?: readonly { readonly name: string; readonly num_bytes: number }[] };
    const found = (files ?? []).map(({ name, num_bytes }) => `${name} (${num_bytes} bytes)`).join(", ");
    throw new PlanError(`the source has no records: ${found}`, { remedy: "check the path and the format of the source" });
  }
  return splits;
}
