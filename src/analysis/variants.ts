/**
 * The same question and answer with several images: matching, partly matching, contradicting. The method's claim is that
 * their VIGs fall in this order (arXiv 2602.17186).
 */
import type { Float64, Utf8 } from "apache-arrow";
import { PlanError } from "../core/errors.ts";
import { columnData, isNull, utf8Value } from "../core/record-batch.ts";
import { Reservoir } from "../kernels/reservoir.ts";
import { type Estimate, MeanTally, proportion } from "../metrics/estimate.ts";
import type { ScoresFolder } from "../report/scores-folder.ts";
import { joinScores } from "./join-scores.ts";
import { QUANTILES, quantilesOf } from "./quantiles.ts";

export interface VariantRow {
  readonly variant: string;
  readonly num_samples: number;
  /** Nats. */
  readonly mean_vig: Estimate;
  readonly share_negative: Estimate;
  /** Nats, at QUANTILES. */
  readonly quantiles: readonly number[];
}

export interface VariantComparison {
  /** In percent. */
  readonly quantiles: readonly number[];
  /** In the order that is claimed: highest VIG first. */
  readonly variants: readonly VariantRow[];
  /** Questions with all variants. */
  readonly num_groups: number;
  /** Share of them whose VIGs fall strictly in this order. */
  readonly in_order: Estimate;
  /** The same for each pair of neighbours. */
  readonly pairs_in_order: readonly { readonly higher: string; readonly lower: string; readonly in_order: Estimate }[];
  /** Samples of incomplete groups, or without a VIG: in no number above. */
  readonly num_left_out: number;
}

/** Groups that quantiles are computed of; of more, a random sample. */
const MAX_GROUPS = 1_000_000;

/** Takes complete groups: VIGs in the order of the variants. */
export class VariantTally {
  readonly #names: readonly string[];
  readonly #means: readonly MeanTally[];
  readonly #negative: number[];
  readonly #sample: Reservoir;
  readonly #pairs: number[];
  #num_in_order = 0;
  #num_groups = 0;

  constructor(names: readonly string[]) {
    this.#names = names;
    this.#means = names.map(() => new MeanTally());
    this.#negative = names.map(() => 0);
    this.#sample = new Reservoir(names.length, MAX_GROUPS, 0);
    this.#pairs = names.slice(1).map(() => 0);
  }

  add(vigs: readonly number[]): void {
    this.#num_groups++;
    this.#sample.add(vigs);
    for (const [i, vig] of vigs.entries()) {
      this.#means[i]!.add(vig);
      if (vig < 0) this.#negative[i]!++;
      if (i > 0 && vigs[i - 1]! > vig) this.#pairs[i - 1]!++;
    }
    if (vigs.every((vig, i) => i === 0 || vigs[i - 1]! > vig)) this.#num_in_order++;
  }

  result(num_left_out: number): VariantComparison {
    const n = this.#num_groups;
    return {
      quantiles: QUANTILES,
      variants: this.#names.map((variant, i) => ({
        variant,
        num_samples: n,
        mean_vig: this.#means[i]!.estimate(-Infinity, Infinity),
        share_negative: proportion(this.#negative[i]!, n),
        quantiles: quantilesOf(this.#sample.column(i)),
      })),
      num_groups: n,
      in_order: proportion(this.#num_in_order, n),
      pairs_in_order: this.#pairs.map((count, i) => ({ higher: this.#names[i]!, lower: this.#names[i + 1]!, in_order: proportion(count, n) })),
      num_left_out,
    };
  }
}

/** Groups that wait for their other variants. */
const MAX_WAITING = 1 << 20;

/**
 * Groups samples by their sample_id without its last part: "t0001-match" is variant "match" of "t0001". Before it stands one
 * of - _ . : / and the order of the rows does not matter. Throws PlanError where no group is complete.
 */
export async function variantsIn(folder: ScoresFolder, names: readonly string[], signal: AbortSignal): Promise<VariantComparison> {
  const tally = new VariantTally(names);
  const waiting = new Map<string, (number | undefined)[]>();
  let num_left_out = 0;
  for await (const { batch } of folder.scores(["sample_id", "vig"], signal)) {
    const ids = columnData<Utf8>(batch, "sample_id");
    const vigs = columnData<Float64>(batch, "vig");
    for (let row = 0; row < batch.numRows; row++) {
      const [, group, name] = /^(.*)[-_.:/]([^-_.:/]+)$/.exec(utf8Value(ids, row)) ?? [];
      const place = names.indexOf(name ?? "");
      if (group === undefined || place < 0 || isNull(vigs, row)) {
        num_left_out++;
        continue;
      }
      const found = waiting.get(group) ?? Array<number | undefined>(names.length).fill(undefined);
      found[place] = vigs.values[row]!;
      if (found.every((vig) => vig !== undefined)) {
        waiting.delete(group);
        tally.add(found);
      } else waiting.set(group, found);
    }
    if (waiting.size > MAX_WAITING) throw new PlanError(`${folder.path}: over ${MAX_WAITING} groups are incomplete`, { remedy: "let the variants of a question stand near each other in the input" });
  }
  for (const found of waiting.values()) num_left_out += found.filter((vig) => vig !== undefined).length;
  const comparison = tally.result(num_left_out);
  if (comparison.num_groups > 0) return comparison;
  throw new PlanError(`${folder.path} has no group of samples ${names.map((name) => `...-${name}`).join(", ")}`, { remedy: "name the last parts of the sample_ids, for example --variants match,partial,contra" });
}

export interface SwapComparison extends VariantComparison {
  /** Of those left out, samples for which no other image was found. */
  readonly num_without_partner: number;
}

/** One run's scores with the samples' own images, and with others' beside it: `names` and `folders` in the order of the claim. */
export async function compareImages(folders: readonly ScoresFolder[], names: readonly string[], signal: AbortSignal): Promise<SwapComparison> {
  const tally = new VariantTally(names);
  let [num_without_vig, num_without_partner] = [0, 0];
  const { num_unmatched } = await joinScores(
    folders,
    ([own, ...swapped]) => {
      const vigs = [own!, ...swapped].map(({ vig }) => vig);
      if (vigs.includes(null)) num_without_vig++;
      else if (swapped.some(({ images }) => images.join("\n") === own!.images.join("\n"))) num_without_partner++;
      else tally.add(vigs as number[]);
    },
    signal,
  );
  const num_left_out = num_without_vig + num_without_partner + Math.max(...num_unmatched);
  return { ...tally.result(num_left_out), num_without_partner };
}
