import type { SplitRecord } from "../../core/output.ts";
import type { SplitEntry } from "./journal.ts";

interface Compact {
  readonly entry: SplitEntry;
  readonly histogram: string;
}

/**
 * The splits that are durable, by digest. Histograms are kept as text and unfolded when asked for: as arrays they
 * would be most of this program's memory at millions of samples.
 */
export class CommittedSplits implements ReadonlyMap<string, SplitRecord> {
  readonly #splits = new Map<string, Compact>();

  get size(): number {
    return this.#splits.size;
  }

  add(entry: SplitEntry): void {
    const histogram = JSON.stringify(entry.record.vig_histogram);
    this.#splits.set(entry.record.split_digest, { entry: { ...entry, record: { ...entry.record, vig_histogram: [] } }, histogram });
  }

  delete(split_digest: string): void {
    this.#splits.delete(split_digest);
  }

  /** The journal's entry, with an empty histogram. */
  entry(split_digest: string): SplitEntry | undefined {
    return this.#splits.get(split_digest)?.entry;
  }

  *journalEntries(): Generator<SplitEntry> {
    for (const { entry } of this.#splits.values()) yield entry;
  }

  get(split_digest: string): SplitRecord | undefined {
    const split = this.#splits.get(split_digest);
    return split && unfold(split);
  }

  has(split_digest: string): boolean {
    return this.#splits.has(split_digest);
  }

  forEach(callback: (value: SplitRecord, key: string, map: ReadonlyMap<string, SplitRecord>) => void): void {
    for (const [key, value] of this) callback(value, key, this);
  }

  *entries(): MapIterator<[string, SplitRecord]> {
    for (const [key, split] of this.#splits) yield [key, unfold(split)];
  }

  keys(): MapIterator<string> {
    return this.#splits.keys();
  }

  *values(): MapIterator<SplitRecord> {
    for (const split of this.#splits.values()) yield unfold(split);
  }

  [Symbol.iterator](): MapIterator<[string, SplitRecord]> {
    return this.entries();
  }
}

function unfold({ entry, histogram }: Compact): SplitRecord {
  return { ...entry.record, vig_histogram: JSON.parse(histogram) as SplitRecord["vig_histogram"] };
}
