/** How far two runs' scores of the same samples agree: two models, or two blurs. */
import type { Float64 } from "apache-arrow";
import { PlanError } from "../core/errors.ts";
import { columnData, isNull } from "../core/record-batch.ts";
import { KthLargestSearch, LeadingDigitHistogram } from "../kernels/radix-quantile.ts";
import { rankCorrelation } from "../kernels/rank-correlation.ts";
import { Reservoir } from "../kernels/reservoir.ts";
import { topPercentRank } from "../kernels/top-percent.ts";
import type { ScoresFolder } from "../report/scores-folder.ts";
import { joinScores, type ScoredRow } from "./join-scores.ts";

/** Pairs that a rank correlation is computed of; of more, a random sample (standard error about 0.001). */
const MAX_PAIRS = 1_000_000;

export interface RankAgreement {
  /** Spearman's; null where there are fewer than two pairs or one side does not vary. */
  readonly rank_correlation: number | null;
  readonly num_pairs: number;
  /** Of them, how many it was computed of. */
  readonly num_used: number;
}

/** What two sets have in common. */
export interface Overlap {
  readonly num_a: number;
  readonly num_b: number;
  readonly num_both: number;
  /** Both / either, 0 to 1; null where both are empty. */
  readonly jaccard: number | null;
  /** The same for sets of these sizes drawn at random. */
  readonly jaccard_by_chance: number | null;
}

export interface SelectionAgreement {
  readonly top_percent: number;
  /** Nats: of each run, over all of its samples. */
  readonly tau_a: number;
  readonly tau_b: number;
  readonly samples: Overlap;
  /** Active tokens (sample and token VIG at or above tau); null where no sample has the same tokens in both. */
  readonly tokens: Overlap | null;
  /** Share of the tokens of each run that are active, over the samples in both. */
  readonly active_share_a: number;
  readonly active_share_b: number;
}

export interface Agreement {
  readonly num_joined: number;
  readonly num_only_a: number;
  readonly num_only_b: number;
  readonly num_text_only: number;
  /** Samples whose tokens differ (other tokenizers): they are left out of what is said of tokens. */
  readonly num_other_tokens: number;
  readonly mean_vig_a: number | null;
  readonly mean_vig_b: number | null;
  readonly samples: RankAgreement;
  readonly tokens: RankAgreement;
  readonly selections: readonly SelectionAgreement[];
}

/** Memory: a million pairs of samples and of tokens at most, and the rows that wait for their partners. */
export async function agreementOf(a: ScoresFolder, b: ScoresFolder, percents: readonly number[], signal: AbortSignal): Promise<Agreement> {
  const [tausA, tausB] = [await tausOf(a, percents, signal), await tausOf(b, percents, signal)];
  const tally = new AgreementTally(percents.map((top_percent, i) => ({ top_percent, tau_a: tausA[i]!, tau_b: tausB[i]! })));
  const { num_unmatched } = await joinScores([a, b], ([rowA, rowB]) => tally.add(rowA!, rowB!), signal);
  return tally.result(num_unmatched[0]!, num_unmatched[1]!);
}

/** tau for each share of the samples with a VIG, as the selection finds it. Throws PlanError where there is none. */
export async function tausOf(folder: ScoresFolder, percents: readonly number[], signal: AbortSignal): Promise<readonly number[]> {
  const digits = new LeadingDigitHistogram();
  const each = async (add: (vig: number) => void): Promise<void> => {
    for await (const { batch } of folder.scores(["vig"], signal)) {
      const vigs = columnData<Float64>(batch, "vig");
      for (let row = 0; row < batch.numRows; row++) if (!isNull(vigs, row)) add(vigs.values[row]!);
    }
  };
  await each((vig) => digits.add(vig));
  if (digits.total === 0) throw new PlanError(`${folder.path} has no sample with a VIG`, { remedy: "score samples with images" });
  const search = new KthLargestSearch(digits, percents.map((percent) => Math.max(1, topPercentRank(percent, digits.total))));
  while (!search.done) {
    await each((vig) => search.add(vig));
    search.endPass();
  }
  return search.values();
}

class SetTally {
  #num_a = 0;
  #num_b = 0;
  #num_both = 0;
  num_items = 0;

  add(inA: boolean, inB: boolean): void {
    this.num_items++;
    if (inA) this.#num_a++;
    if (inB) this.#num_b++;
    if (inA && inB) this.#num_both++;
  }

  get share_a(): number {
    return this.#num_a / this.num_items;
  }

  get share_b(): number {
    return this.#num_b / this.num_items;
  }

  result(): Overlap {
    const jaccard = (both: number): number | null => (this.#num_a + this.#num_b === 0 ? null : both / (this.#num_a + this.#num_b - both));
    return { num_a: this.#num_a, num_b: this.#num_b, num_both: this.#num_both, jaccard: jaccard(this.#num_both), jaccard_by_chance: jaccard((this.#num_a * this.#num_b) / this.num_items) };
  }
}

interface Taus {
  readonly top_percent: number;
  readonly tau_a: number;
  readonly tau_b: number;
}

class AgreementTally {
  readonly #taus: readonly (Taus & { readonly samples: SetTally; readonly tokens: SetTally })[];
  readonly #samples = new Reservoir(2, MAX_PAIRS, 0);
  readonly #tokens = new Reservoir(2, MAX_PAIRS, 1);
  #num_joined = 0;
  #num_text_only = 0;
  #num_other_tokens = 0;
  #sum_a = 0;
  #sum_b = 0;

  constructor(taus: readonly Taus[]) {
    this.#taus = taus.map((one) => ({ ...one, samples: new SetTally(), tokens: new SetTally() }));
  }

  add(a: ScoredRow, b: ScoredRow): void {
    this.#num_joined++;
    if (a.vig === null || b.vig === null || !a.token_vig || !b.token_vig) return void this.#num_text_only++;
    this.#samples.add([a.vig, b.vig]);
    this.#sum_a += a.vig;
    this.#sum_b += b.vig;
    const sameTokens = a.token_id.length === b.token_id.length && a.token_id.every((id, t) => id === b.token_id[t]);
    if (!sameTokens) this.#num_other_tokens++;
    for (const { tau_a, tau_b, samples, tokens } of this.#taus) {
      const [keptA, keptB] = [a.vig >= tau_a, b.vig >= tau_b];
      samples.add(keptA, keptB);
      if (sameTokens) for (let t = 0; t < a.token_vig.length; t++) tokens.add(keptA && a.token_vig[t]! >= tau_a, keptB && b.token_vig[t]! >= tau_b);
    }
    if (sameTokens) for (let t = 0; t < a.token_vig.length; t++) this.#tokens.add([a.token_vig[t]!, b.token_vig[t]!]);
  }

  result(num_only_a: number, num_only_b: number): Agreement {
    const { num_seen } = this.#samples;
    return {
      num_joined: this.#num_joined,
      num_only_a,
      num_only_b,
      num_text_only: this.#num_text_only,
      num_other_tokens: this.#num_other_tokens,
      mean_vig_a: num_seen === 0 ? null : this.#sum_a / num_seen,
      mean_vig_b: num_seen === 0 ? null : this.#sum_b / num_seen,
      samples: rankAgreement(this.#samples),
      tokens: rankAgreement(this.#tokens),
      selections: this.#taus.map(({ samples, tokens, ...taus }) => ({
        ...taus,
        samples: samples.result(),
        tokens: tokens.num_items === 0 ? null : tokens.result(),
        active_share_a: tokens.share_a,
        active_share_b: tokens.share_b,
      })),
    };
  }
}

function rankAgreement(pairs: Reservoir): RankAgreement {
  const [a, b] = [pairs.column(0), pairs.column(1)];
  const correlation = a.length < 2 ? Number.NaN : rankCorrelation(a, b);
  return { rank_correlation: Number.isNaN(correlation) ? null : correlation, num_pairs: pairs.num_seen, num_used: a.length };
}
