import { randomUUID } from "node:crypto";
import { PlanError, StageError } from "../core/errors.ts";
import type { OutputFolder } from "../core/output.ts";
import type { OpenOutputOptions, Plan, RunSummary, SelectionSummary } from "../core/plan.ts";
import type { RunObserver } from "../core/progress.ts";
import type { Split } from "../core/source.ts";
import { forgetChangedImages } from "./check-images.ts";
import { identifyInput, makeManifest, selectionsOf, withSelections, type Manifest } from "./manifest.ts";
import { recordsOf, sumCounts, warnOfDamage, warnOfTokens } from "./run-counts.ts";
import { scanSplits } from "./scan-splits.ts";
import { runScorePhase } from "./score-phase.ts";
import { runSelectPhase } from "./select-phase.ts";
import { Stopwatch } from "./stopwatch.ts";

export interface RunOptions extends OpenOutputOptions {
  readonly observer: RunObserver;
  /** Aborted with the error that the run is to end with. */
  readonly signal: AbortSignal;
  /** Reads the images of committed splits again, and scores those again that show other ones. */
  readonly check_images?: boolean;
  /** In logs and manifest; made here where it is absent. */
  readonly run_id?: string;
}

/**
 * Carries a plan out: scan, score, publish, select, manifest, `_SUCCESS`. What an earlier run committed is not done
 * again, and where all is done nothing is.
 * Throws PlanError (empty input, scores of another plan), LockedError, StageError, ResourceExhaustedError, and the
 * signal's reason once it aborts; committed splits stay.
 */
export function runPipeline(plan: Plan, options: RunOptions): Promise<RunSummary> {
  return carryOut(plan, options, () => Promise.resolve());
}

/** As runPipeline. `check` may refuse what it finds, before anything is changed. */
export async function carryOut(plan: Plan, options: RunOptions, check: (output: OutputFolder, splits: readonly Split[]) => Promise<void>): Promise<RunSummary> {
  const { signal } = options;
  const watch = new Stopwatch(options.observer);
  for (const warning of plan.warnings) watch.observer.report({ event: "warning", ...warning });

  const splits = await watch.phase("scan", () => scanSplits(plan, signal));
  const input = identifyInput(splits);
  const output = await plan.output.open({ fresh: options.fresh, retry_rejects: options.retry_rejects, signal });
  try {
    warnOfDamage(output.damaged, watch.observer);
    if (options.check_images) await watch.phase("check", () => forgetChangedImages(plan, output, splits, { observer: watch.observer, signal }));
    const finished = await finishedBefore(plan, output, splits);
    const damaged = finished ? await output.findDamage() : [];
    if (finished && damaged.length === 0) {
      await output.dropShards();
      return upToDate(plan, finished, watch, splits);
    }
    warnOfRemade(damaged, watch.observer);
    await check(output, splits);
    // Also those that `pipeline select` made.
    const selecting: Plan = finished ? { ...plan, targets: selectionsOf(finished).map(({ target }) => target) } : plan;

    await output.invalidate();
    const numReused = splits.filter((split) => output.committed().has(split.digest)).length;
    const doneRecords = splits.reduce((sum, split) => sum + (output.committed().has(split.digest) ? split.num_records : 0), 0);
    const stage_ms = await watch.phase("score", () => runScorePhase(plan, output, splits, { observer: watch.observer, signal }), {
      num_records: input.num_records,
      num_records_done: doneRecords,
    });
    const digests = splits.map((split) => split.digest);
    await watch.phase("publish", () => output.publishScores(digests));
    const records = recordsOf(output, digests);
    const counts = sumCounts(records);
    warnOfTokens(counts, watch.observer);
    const { selections, words } = await watch.phase("select", () =>
      runSelectPhase(selecting, output, { observer: watch.observer, signal, records, with_words: true }),
    );

    const inference = plan.inferenceStatistics();
    // Selections of an earlier run may be of other scores.
    await output.keepSelections(selections.map(({ target }) => target.dataset));
    const success = isWithinLimit(plan, counts);
    const summary: RunSummary = {
      run_id: options.run_id ?? randomUUID(),
      output_path: output.path,
      up_to_date: false,
      success,
      num_splits: splits.length,
      num_splits_reused: numReused,
      counts,
      selections,
      words,
      ...(inference.num_positions > 0 ? { inference } : {}),
      ...watch.result(),
    };
    const described = { ...(await plan.source.describe()), ...input };
    const shards = output.shards.flatMap(({ report }) => report ?? []);
    await output.finish(makeManifest(plan, { summary, started_at: watch.startedAt, input: described, stage_ms, shards }), success);
    await output.dropShards();
    return summary;
  } finally {
    await output.close();
  }
}

/**
 * Further selections from the scores of a finished run, without reading the source or loading the model. They are
 * added to its manifest. Throws PlanError where the run is not finished.
 */
export async function selectAgain(plan: Plan, options: RunOptions): Promise<RunSummary> {
  const watch = new Stopwatch(options.observer);
  const output = await plan.output.open({ fresh: false, retry_rejects: false, signal: options.signal });
  try {
    const manifest = (await output.readManifest()) as (Manifest & Readonly<Record<string, unknown>>) | undefined;
    const complete = await output.isComplete();
    if (!manifest || manifest.scores_hash !== plan.scores_hash) {
      throw new PlanError(`${output.path} holds no finished scores of this configuration`, {
        remedy: "run `pipeline run` with the same file first",
      });
    }
    await output.invalidate();
    const { selections } = await watch.phase("select", () =>
      runSelectPhase(plan, output, { observer: watch.observer, signal: options.signal, with_words: false }),
    );
    checkAllScoresSeen(output, manifest, selections);
    await output.finish(withSelections(manifest, selections), complete);
    return {
      ...pastSummary(output.path, manifest),
      success: complete,
      up_to_date: false,
      num_splits: manifest.input.num_splits,
      num_splits_reused: manifest.input.num_splits,
      selections,
      ...watch.result(),
    };
  } finally {
    await output.close();
  }
}

function isWithinLimit(plan: Plan, { num_rejected, num_read }: RunSummary["counts"]): boolean {
  return num_rejected <= plan.max_reject_fraction * num_read;
}

function warnOfRemade(files: readonly string[], observer: RunObserver): void {
  for (const file of files) {
    observer.report({ event: "warning", code: "part_damaged", message: `${file} is not as it was written: it is made again from the scores` });
  }
}

/** A part that is gone leaves no trace in the rows that are left. */
function checkAllScoresSeen(output: OutputFolder, { counts }: Manifest, selections: readonly SelectionSummary[]): void {
  const wanted = counts.num_scored + counts.num_text_only;
  for (const { counts: seen } of selections) {
    if (seen.num_vig + seen.num_text_only === wanted) continue;
    throw new StageError(`${output.path}/scores has ${seen.num_vig + seen.num_text_only} samples where its manifest says ${wanted}`, {
      remedy: "run `pipeline run` with the same file: it does again what is missing",
    });
  }
}

async function finishedBefore(plan: Plan, output: OutputFolder, splits: readonly Split[]): Promise<Manifest | undefined> {
  if (!(await output.isComplete())) return undefined;
  const manifest = (await output.readManifest()) as Manifest | undefined;
  // The limit of rejects is no part of the plan's hash: it may have been lowered since.
  const same = manifest?.plan_hash === plan.plan_hash && manifest.input.digest === identifyInput(splits).digest && isWithinLimit(plan, manifest.counts);
  // After retry_rejects, or where a part is damaged, the folder may be complete and yet have splits to do.
  const committed = output.committed();
  return same && splits.every((split) => committed.has(split.digest)) ? manifest : undefined;
}

function pastSummary(output_path: string, manifest: Manifest): Pick<RunSummary, "run_id" | "output_path" | "counts" | "words"> {
  return { run_id: manifest.run_id, output_path, counts: manifest.counts, words: manifest.words };
}

function upToDate(plan: Plan, manifest: Manifest, watch: Stopwatch, splits: readonly Split[]): RunSummary {
  return {
    ...pastSummary(plan.output.path, manifest),
    up_to_date: true,
    success: true,
    num_splits: splits.length,
    num_splits_reused: splits.length,
    selections: selectionsOf(manifest),
    ...watch.result(),
    warnings: manifest.warnings,
  };
}
