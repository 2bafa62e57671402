import { createHash } from "node:crypto";
import type { ShardReport } from "../core/output.ts";
import type { Plan, RunSummary, SelectionSummary } from "../core/plan.ts";
import type { Split } from "../core/source.ts";

/** What the input was: enough to see that nothing changed, without keeping every split's digest. */
export interface InputIdentity {
  readonly num_splits: number;
  readonly num_records: number;
  /** sha256 (hex) over the digests of all splits in order. */
  readonly digest: string;
}

export function identifyInput(splits: readonly Split[]): InputIdentity {
  const hash = createHash("sha256");
  for (const split of splits) hash.update(split.digest);
  return {
    num_splits: splits.length,
    num_records: splits.reduce((sum, split) => sum + split.num_records, 0),
    digest: hash.digest("hex"),
  };
}

/** A selection as the manifest lists it under `thresholds`; docs/outputs.md describes the fields. */
interface ManifestThreshold {
  readonly dataset: string;
  readonly top_percent: number | null;
  /** Nats; null where nothing passes. */
  readonly tau: number | null;
  readonly k: number | null;
  readonly counts: SelectionSummary["counts"];
}

/** The parts of a manifest that a later run reads again. */
export interface Manifest {
  readonly run_id: string;
  readonly plan_hash: string;
  readonly scores_hash: string;
  readonly success: boolean;
  readonly input: InputIdentity & Readonly<Record<string, unknown>>;
  readonly counts: RunSummary["counts"];
  readonly thresholds: readonly ManifestThreshold[];
  readonly words: RunSummary["words"];
  readonly warnings: RunSummary["warnings"];
}

const MANIFEST_VERSION = 1;

export interface ManifestParts {
  readonly summary: RunSummary;
  readonly started_at: Date;
  readonly input: InputIdentity & Readonly<Record<string, unknown>>;
  /** Milliseconds that batches spent in each stage, summed over lanes; empty where nothing was scored. */
  readonly stage_ms: Readonly<Record<string, number>>;
  /** Of shards that scored a part of it; theirs is added to this run's. */
  readonly shards: readonly ShardReport[];
}

export function makeManifest(plan: Plan, { summary, started_at, input, stage_ms, shards }: ManifestParts): Manifest & Readonly<Record<string, unknown>> {
  const rounded = (record: Readonly<Record<string, number>>) => Object.fromEntries(Object.entries(record).map(([name, ms]) => [name, Math.round(ms)]));
  return {
    manifest_version: MANIFEST_VERSION,
    name: plan.name,
    run_id: summary.run_id,
    started_at: started_at.toISOString(),
    finished_at: new Date().toISOString(),
    success: summary.success,
    plan_hash: plan.plan_hash,
    scores_hash: plan.scores_hash,
    input,
    // Only who loaded the model knows how it was run.
    model: { ...shards[0]?.model, ...plan.describeModel() },
    blur: plan.blur,
    counts: summary.counts,
    thresholds: summary.selections.map(toManifest),
    words: summary.words,
    warnings: summary.warnings,
    duration_ms: Math.round(summary.duration_ms),
    duration_ms_by_phase: rounded(summary.duration_ms_by_phase),
    stage_ms: rounded(addUp([stage_ms, ...shards.map((shard) => shard.stage_ms)])),
    inference: addUp([{ ...plan.inferenceStatistics() }, ...shards.map((shard) => shard.inference)]),
    ...(shards.length > 0 && { shards: shards.map(({ index, count, run_id, host, duration_ms, num_splits }) => ({ index, count, run_id, host, duration_ms: Math.round(duration_ms), num_splits })) }),
    plan: plan.canonical,
    versions: plan.versions,
  };
}

function addUp(records: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const record of records) for (const [name, value] of Object.entries(record)) sums[name] = (sums[name] ?? 0) + value;
  return sums;
}

function toManifest({ target, tau, k, counts }: SelectionSummary): ManifestThreshold {
  // JSON has no Infinity.
  return { dataset: target.dataset, top_percent: target.top_percent, tau: Number.isFinite(tau) ? tau : null, k, counts };
}

/** The other way, for a run that finds everything done. `tau` was given where there is no top_percent. */
export function selectionsOf(manifest: Manifest): SelectionSummary[] {
  return manifest.thresholds.map(({ dataset, top_percent, tau, k, counts }) => ({
    target: { dataset, top_percent, tau: top_percent === null ? tau : null },
    tau: tau ?? Infinity,
    k,
    counts,
  }));
}

/** The manifest with these selections in place of those of the same name, and behind the others. */
export function withSelections(manifest: Manifest & Readonly<Record<string, unknown>>, selections: readonly SelectionSummary[]): Manifest & Readonly<Record<string, unknown>> {
  const made = selections.map(toManifest);
  const kept = manifest.thresholds.filter((old) => !made.some((one) => one.dataset === old.dataset));
  return { ...manifest, thresholds: [...kept, ...made] };
}
