/** Exact quantiles of several groups of values at once, in readings of the data and fixed memory. */
import { KthLargestSearch, LeadingDigitHistogram } from "../kernels/radix-quantile.ts";
import { topPercentRank } from "../kernels/top-percent.ts";

/** In percent of the values that are at or below. */
export const QUANTILES = [1, 5, 10, 25, 50, 75, 90, 95, 99] as const;

/** Values of a group that are sorted at most, 8 bytes each. */
const MAX_COLLECTED = 1 << 16;

/**
 * First a reading with `count`, then, while `done` is false, one with `observe` and `endPass`: one more where values are
 * few, three at most. The q percent quantile is the smallest value that at least q percent of the values are at or below.
 * Memory bound: for each group half a megabyte, and once more as much for each quantile whose surroundings are crowded.
 */
export class GroupQuantiles {
  readonly #digits = new Map<string, LeadingDigitHistogram>();
  #searches: Map<string, KthLargestSearch> | undefined;

  count(group: string, value: number): void {
    let digits = this.#digits.get(group);
    if (!digits) this.#digits.set(group, (digits = new LeadingDigitHistogram()));
    digits.add(value);
  }

  get done(): boolean {
    return [...this.#open().values()].every((search) => search.done);
  }

  observe(group: string, value: number): void {
    const search = this.#open().get(group);
    if (search && !search.done) search.add(value);
  }

  endPass(): void {
    for (const search of this.#open().values()) if (!search.done) search.endPass();
  }

  /** In the order of QUANTILES; undefined for a group without values. */
  of(group: string): readonly number[] | undefined {
    return this.#open().get(group)?.values();
  }

  #open(): Map<string, KthLargestSearch> {
    return (this.#searches ??= new Map(
      [...this.#digits].map(([group, digits]) => {
        const n = digits.total;
        // The k-th smallest, k = ceil(q n), is the (n + 1 - k)-th largest.
        const ranks = QUANTILES.map((percent) => n + 1 - Math.max(1, topPercentRank(percent, n)));
        return [group, new KthLargestSearch(digits, ranks, { maxCollected: MAX_COLLECTED })] as const;
      }),
    ));
  }
}

/** The same of values that are all at hand; none of no values. */
export function quantilesOf(values: Float64Array): readonly number[] {
  const ascending = values.slice().sort();
  return ascending.length === 0 ? [] : QUANTILES.map((percent) => ascending[Math.max(1, topPercentRank(percent, ascending.length)) - 1]!);
}
