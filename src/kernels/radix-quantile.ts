/**
 * The exact k-th largest of a stream of doubles, for several k at once, in fixed memory and few passes.
 *
 * A most-significant-digit radix search over order-preserving 64-bit keys, 16 bits a digit: the first pass counts
 * the leading digits, which says in which of 65,536 ranges each k-th largest lies; a later pass looks only at the values in
 * those ranges. Where the values of the open ranges are few they are collected and sorted (so two passes in all);
 * where they are many (long ties, say) the next digit is counted, four passes at most.
 *
 * Mergeable: every pass's state is counts, or values whose number the pass before has bounded; parts that were
 * computed apart merge by addition, in any order.
 */
import { highKey, keyToNumber, lowKey } from "./order-preserving-key.ts";

const DIGIT_BITS = 16;
const NUM_DIGITS = 1 << DIGIT_BITS;

/** The leading digit (top 16 bits of the key). */
export function leadingDigit(value: number): number {
  return highKey(value) >>> DIGIT_BITS;
}

/** Counts of the first pass. Memory: 512 KiB whatever is added. */
export class LeadingDigitHistogram {
  /** [65536] How many values begin with this digit. float64: exact to 2^53. */
  readonly counts = new Float64Array(NUM_DIGITS);

  /** Throws RangeError for NaN. */
  add(value: number): void {
    this.counts[leadingDigit(value)]!++;
  }

  /** Adds sparse counts, as `sparse` gives them. */
  merge(histogram: Iterable<readonly [digit: number, count: number]>): void {
    for (const [digit, count] of histogram) {
      if (!(digit >= 0 && digit < NUM_DIGITS)) throw new RangeError(`${digit} is not a leading digit`);
      this.counts[digit]! += count;
    }
  }

  /** [digit, count] where the count is not 0, in ascending order of digits, hence of values. */
  sparse(): [digit: number, count: number][] {
    const pairs: [number, number][] = [];
    for (let digit = 0; digit < NUM_DIGITS; digit++) if (this.counts[digit]! > 0) pairs.push([digit, this.counts[digit]!]);
    return pairs;
  }

  get total(): number {
    return this.counts.reduce((sum, count) => sum + count, 0);
  }
}

/** A range of keys that share `numDigits` leading digits and hold the k-th largest of some of the ranks. */
interface OpenRange {
  /** The key's leading digits, the rest 0. */
  readonly high: number;
  readonly low: number;
  /** Values in the range. */
  readonly size: number;
  /** Rank among the range's values, from 1 for the largest -> the ranks that were asked for. */
  readonly ranks: { readonly asked: number; readonly within: number }[];
  /** Counts of the next digit; absent while values are collected. */
  readonly counts: Float64Array | undefined;
}

export interface KthLargestOptions {
  /** How many values may be collected for sorting, 8 bytes each. */
  readonly maxCollected?: number;
}

/**
 * The search after the first pass. While `done` is false, add every value once more (values outside the open ranges
 * cost one lookup) and call `endPass`.
 *
 * Memory bound: 512 KiB for each open range (never more than there are ranks) plus 8 bytes * maxCollected.
 */
export class KthLargestSearch {
  private readonly results = new Map<number, number>();
  private readonly maxCollected: number;
  private ranges: OpenRange[] = [];
  /** How many leading digits the open ranges share. */
  private numDigits = 1;
  private collected: Float64Array | undefined;
  private numCollected = 0;

  /**
   * `ranks`: k from 1 (the largest) to the number of values; may repeat.
   * Throws RangeError for a rank outside.
   */
  constructor(
    first: LeadingDigitHistogram,
    private readonly ranks: readonly number[],
    options: KthLargestOptions = {},
  ) {
    this.maxCollected = options.maxCollected ?? 1 << 20;
    const total = first.total;
    for (const rank of ranks) {
      if (!Number.isInteger(rank) || rank < 1 || rank > total) throw new RangeError(`rank ${rank} of ${total} values`);
    }
    const distinct = [...new Set(ranks)].map((rank) => ({ asked: rank, within: rank }));
    this.open(narrow(first.counts, distinct, 0, 0, 0));
  }

  get done(): boolean {
    return this.ranges.length === 0;
  }

  /** Throws RangeError for NaN. */
  add(value: number): void {
    const high = highKey(value);
    const range = this.rangeOf(high, value);
    if (range === undefined) return;
    if (this.collected) {
      if (this.numCollected === this.collected.length) throw new RangeError("the data changed between two passes");
      this.collected[this.numCollected++] = value;
    } else {
      range.counts![digitOf(high, this.numDigits === 1 ? 0 : lowKey(value), this.numDigits)]!++;
    }
  }

  /** Adds what another search, at the same pass of the same search, has seen of other data. */
  merge(other: KthLargestSearch): void {
    if (other.numDigits !== this.numDigits || other.ranges.length !== this.ranges.length) {
      throw new RangeError("only searches at the same pass merge");
    }
    if (this.collected && other.collected) {
      this.collected.set(other.collected.subarray(0, other.numCollected), this.numCollected);
      this.numCollected += other.numCollected;
    }
    for (const [i, range] of this.ranges.entries()) {
      const counts = other.ranges[i]!.counts;
      if (range.counts && counts) for (let digit = 0; digit < NUM_DIGITS; digit++) range.counts[digit]! += counts[digit]!;
    }
  }

  /** Throws RangeError where this pass has seen other values than the one before. */
  endPass(): void {
    if (this.collected) this.sortCollected();
    else {
      const { ranges, numDigits } = this;
      for (const range of ranges) {
        if (sum(range.counts!) !== range.size) throw new RangeError("the data changed between two passes");
      }
      this.numDigits++;
      this.open(ranges.flatMap((range) => narrow(range.counts!, range.ranks, range.high, range.low, numDigits)));
    }
  }

  /** The k-th largest for each rank, in the order asked for. -0 comes back as 0. Throws RangeError before `done`. */
  values(): number[] {
    if (!this.done) throw new RangeError("the search needs another pass");
    return this.ranks.map((rank) => this.results.get(rank)!);
  }

  private open(ranges: OpenRange[]): void {
    this.ranges = [];
    this.collected = undefined;
    this.numCollected = 0;
    if (this.numDigits === 4) {
      // The key is complete: all values of a range are equal.
      for (const range of ranges) this.answer(range, () => keyToNumber(range.high, range.low));
      return;
    }
    const size = ranges.reduce((all, range) => all + range.size, 0);
    if (size <= this.maxCollected) {
      this.ranges = ranges;
      if (size > 0) this.collected = new Float64Array(size);
    } else {
      this.ranges = ranges.map((range) => ({ ...range, counts: new Float64Array(NUM_DIGITS) }));
    }
  }

  private rangeOf(high: number, value: number): OpenRange | undefined {
    for (const range of this.ranges) {
      if (this.numDigits === 1 ? range.high >>> DIGIT_BITS === high >>> DIGIT_BITS : range.high === high) {
        if (this.numDigits < 3 || range.low >>> DIGIT_BITS === lowKey(value) >>> DIGIT_BITS) return range;
      }
    }
    return undefined;
  }

  private sortCollected(): void {
    const { collected, numCollected, ranges } = this;
    if (numCollected !== collected!.length) throw new RangeError("the data changed between two passes");
    const ascending = collected!.sort();
    // Ranges ascend as their values do, so they lie one behind the other in the sorted values.
    let end = 0;
    for (const range of ranges) {
      end += range.size;
      const last = end;
      this.answer(range, (within) => ascending[last - within]! + 0);
    }
    this.ranges = [];
    this.collected = undefined;
  }

  private answer(range: OpenRange, valueOf: (within: number) => number): void {
    for (const { asked, within } of range.ranks) this.results.set(asked, valueOf(within));
  }
}

/** The digit behind the first `numDigits`. */
function digitOf(high: number, low: number, numDigits: number): number {
  if (numDigits === 1) return high & (NUM_DIGITS - 1);
  return numDigits === 2 ? low >>> DIGIT_BITS : low & (NUM_DIGITS - 1);
}

/** The sub-ranges, ascending, in which the ranks lie, by the counts of the digit behind the first `numDigits` of high:low. */
function narrow(counts: Float64Array, ranks: OpenRange["ranks"], high: number, low: number, numDigits: number): OpenRange[] {
  const descending = [...ranks].sort((a, b) => a.within - b.within);
  const ranges: OpenRange[] = [];
  let above = 0;
  let next = 0;
  for (let digit = NUM_DIGITS - 1; digit >= 0 && next < descending.length; digit--) {
    const size = counts[digit]!;
    const inside: OpenRange["ranks"] = [];
    while (next < descending.length && descending[next]!.within <= above + size) {
      const { asked, within } = descending[next++]!;
      inside.push({ asked, within: within - above });
    }
    if (inside.length > 0) ranges.push({ ...placeDigit(high, low, numDigits, digit), size, ranks: inside, counts: undefined });
    above += size;
  }
  return ranges.reverse();
}

function placeDigit(high: number, low: number, position: number, digit: number): { high: number; low: number } {
  if (position === 0) return { high: (digit << DIGIT_BITS) >>> 0, low };
  if (position === 1) return { high: (high | digit) >>> 0, low };
  return { high, low: position === 2 ? (digit << DIGIT_BITS) >>> 0 : (low | digit) >>> 0 };
}

function sum(counts: Float64Array): number {
  let all = 0;
  for (let i = 0; i < counts.length; i++) all += counts[i]!;
  return all;
}
