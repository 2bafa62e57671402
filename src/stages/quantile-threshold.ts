import { readFile } from "node:fs/promises";
import type { Float64, RecordBatch } from "apache-arrow";
import { z } from "zod";
import { InternalError, PlanError, StageError } from "../core/errors.ts";
import { columnData, isNull } from "../core/record-batch.ts";
import type { SelectionTarget, Threshold, ThresholdSearch, ThresholdStage, VigHistogram } from "../core/selection.ts";
import { KthLargestSearch, LeadingDigitHistogram } from "../kernels/radix-quantile.ts";
import { topPercentRank } from "../kernels/top-percent.ts";

const topPercent = z.number().min(0).max(100);

export const quantileThresholdConfig = z
  .strictObject({
    top_percent: z
      .union([topPercent, z.array(topPercent).min(1)])
      .optional()
      .describe("Keep this share of the samples with an image, highest VIG first; in percent. A list makes one selection for each: the first is selection/, the others selection@P/."),
    tau: z.number().optional().describe("Keep samples whose VIG is at least this; in nats."),
    tau_from: z.string().min(1).optional().describe("A manifest.json whose tau is used, so that new data is selected by an earlier run's threshold."),
  })
  .describe("Finds the VIG that separates kept from dropped samples. Exact: equal to sorting all samples. Give one of top_percent, tau and tau_from.");

export type QuantileThresholdConfig = z.infer<typeof quantileThresholdConfig>;

/**
 * tau = the k-th largest VIG, k = ceil(top_percent / 100 * n) of the n samples with a VIG (src/kernels/top-percent.ts,
 * src/kernels/radix-quantile.ts). Source: Lee and Hwang, arXiv 2602.17186, tau_p of "Selective training".
 */
export function quantileThreshold(config: QuantileThresholdConfig): ThresholdStage {
  return {
    kind: "quantile_threshold",
    version: 1,
    config,
    targets: () => targetsOf(config),
    histogram: histogramOf,
    open: (targets, histogram) => new VigThresholdSearch(targets, histogram),
  };
}

/** A selection beside the main one, as `pipeline select --top` makes them. */
export function topPercentTarget(percent: number): SelectionTarget {
  return { dataset: `selection@${percent}`, top_percent: percent, tau: null };
}

async function targetsOf({ top_percent, tau, tau_from }: QuantileThresholdConfig): Promise<SelectionTarget[]> {
  if (top_percent !== undefined) {
    const [first, ...others] = new Set(typeof top_percent === "number" ? [top_percent] : top_percent);
    return [{ dataset: "selection", top_percent: first!, tau: null }, ...others.map(topPercentTarget)];
  }
  if (tau !== undefined) return [{ dataset: "selection", top_percent: null, tau }];
  if (tau_from !== undefined) return [{ dataset: "selection", top_percent: null, tau: await tauOfManifest(tau_from) }];
  throw new PlanError("quantile_threshold has none of top_percent, tau and tau_from", { remedy: "give one, for example top_percent: 70" });
}

const manifestThresholds = z.object({ thresholds: z.array(z.object({ dataset: z.string(), tau: z.number().nullable() })).min(1) });

/** The tau of the manifest's main selection. Throws PlanError where there is none. */
async function tauOfManifest(path: string): Promise<number> {
  const remedy = "tau_from names the manifest.json of a finished run";
  let manifest: unknown;
  try {
    manifest = JSON.parse(await readFile(path, "utf8"));
  } catch (cause) {
    throw new PlanError(`tau_from: ${path} can't be read as JSON`, { cause, remedy });
  }
  const parsed = manifestThresholds.safeParse(manifest);
  if (!parsed.success) throw new PlanError(`tau_from: ${path} has no thresholds with dataset and tau`, { remedy });
  const { thresholds } = parsed.data;
  const main = thresholds.find(({ dataset }) => dataset === "selection") ?? (thresholds.length === 1 ? thresholds[0] : undefined);
  if (!main) {
    const names = thresholds.map(({ dataset }) => dataset).join(", ");
    throw new PlanError(`tau_from: ${path} has several thresholds (${names}) and none is "selection"`, { remedy: "give the tau that you mean as tau" });
  }
  if (main.tau === null) throw new PlanError(`tau_from: ${path} says that nothing passed, so it has no tau`, { remedy: "give a tau" });
  return main.tau;
}

function histogramOf(vigs: Iterable<number>): VigHistogram {
  const histogram = new LeadingDigitHistogram();
  for (const vig of vigs) histogram.add(vig);
  return histogram.sparse();
}

const damaged = "the scores were not made by this tool, or are damaged: score again with --fresh";

/** One pass to count leading digits (none where the histogram is given), then as many as the radix search needs. */
class VigThresholdSearch implements ThresholdSearch {
  readonly #targets: readonly SelectionTarget[];
  readonly #ranked: readonly SelectionTarget[];
  readonly #histogram = new LeadingDigitHistogram();
  #search: KthLargestSearch | undefined;

  constructor(targets: readonly SelectionTarget[], histogram: VigHistogram | undefined) {
    this.#targets = targets;
    this.#ranked = targets.filter((target) => target.top_percent !== null);
    if (histogram) {
      this.#histogram.merge(histogram);
      this.#openSearch();
    }
  }

  get columns(): readonly string[] | null {
    const done = this.#search ? this.#search.done : this.#ranked.length === 0;
    return done ? null : ["vig"];
  }

  observe(scores: RecordBatch): void {
    const vig = columnData<Float64>(scores, "vig");
    const adder = this.#search ?? this.#histogram;
    for (let row = 0; row < vig.length; row++) {
      if (isNull(vig, row)) continue;
      const value = vig.values[row]!;
      if (Number.isNaN(value)) throw new StageError("scores: a VIG is NaN", { remedy: damaged });
      adder.add(value);
    }
  }

  endPass(): void {
    if (!this.#search) return this.#openSearch();
    try {
      this.#search.endPass();
    } catch (cause) {
      throw new StageError("scores: the VIGs are not those that the journal has counted", { cause, remedy: damaged });
    }
  }

  thresholds(): readonly Threshold[] {
    if (this.columns) throw new InternalError("the threshold search needs another pass");
    const values = this.#search?.values() ?? [];
    const num_vig = this.#search ? this.#histogram.total : null;
    let next = 0;
    return this.#targets.map((target) => {
      if (target.top_percent === null) return { target, tau: target.tau!, num_vig, k: null };
      const k = topPercentRank(target.top_percent, num_vig!);
      // k is 0 for 0 percent and where no sample has a VIG: nothing passes.
      return { target, tau: k === 0 ? Infinity : values[next++]!, num_vig, k };
    });
  }

  #openSearch(): void {
    const n = this.#histogram.total;
    const ranks = this.#ranked.map((target) => topPercentRank(target.top_percent!, n)).filter((k) => k > 0);
    this.#search = new KthLargestSearch(this.#histogram, ranks);
  }
}
