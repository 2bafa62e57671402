import type { PartSplit, SplitEntry } from "./journal.ts";
import { PART_ARROW_BYTES, PART_ROWS } from "./part-limits.ts";

export interface PartLayout {
  /** Splits with at least one row, in order. */
  readonly splits: readonly PartSplit[];
  /** A full part never changes by splits that come behind it. */
  readonly is_full: boolean;
}

/** How the splits' rows are spread over parts. All without rows: one part without rows. */
export function layoutParts(entries: readonly SplitEntry[]): PartLayout[] {
  const parts: PartLayout[] = [];
  let splits: PartSplit[] = [];
  let num_rows = 0;
  let num_arrow_bytes = 0;
  for (const entry of entries) {
    if (!entry.scores) continue;
    splits.push([entry.record.split_digest, entry.scores.digest, entry.num_rows]);
    num_rows += entry.num_rows;
    num_arrow_bytes += entry.num_arrow_bytes;
    if (num_rows < PART_ROWS && num_arrow_bytes < PART_ARROW_BYTES) continue;
    parts.push({ splits, is_full: true });
    splits = [];
    num_rows = num_arrow_bytes = 0;
  }
  if (splits.length > 0 || parts.length === 0) parts.push({ splits, is_full: false });
  return parts;
}

export function samePartSplits(a: readonly PartSplit[], b: readonly PartSplit[]): boolean {
  return a.length === b.length && a.every((split, i) => split[0] === b[i]![0] && split[1] === b[i]![1]);
}

export function partFileName(index: number): string {
  return `part-${String(index).padStart(5, "0")}.parquet`;
}

/** Whether a file of this name is a part. */
export function isPartFileName(name: string): boolean {
  return /^part-\d{5,}\.parquet$/.test(name);
}
