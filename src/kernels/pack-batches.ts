/**
 * Cuts the sequences of one split into batches with little padding and few batches.
 *
 * Sorted by length, every good plan is a cut of the sorted run into neighbours; dynamic programming finds the cut
 * that costs least, where a batch costs its padded positions plus a fixed overhead in positions (what starting a
 * forward pass costs, so that not every length gets a batch of its own).
 *
 * Positions count both variants of a sample (clean and blurred run side by side): 2 * rows * longest row.
 */
export interface PackedBatches {
  /** Row indices; longest batch first, so that an arena allocator grows once; within a batch longest row first. */
  readonly batches: Int32Array[];
  /** Rows of which one alone exceeds the budget, ascending. */
  readonly tooLong: number[];
}

export interface PackOptions {
  /** Padded positions of both variants that one batch may have. */
  readonly maxBatchPositions: number;
  /** What a batch costs beside its positions, in positions. */
  readonly overheadPositions: number;
}

/**
 * Deterministic: equal lengths keep their row order, and of equally cheap plans the one with larger first batches wins.
 * Time: O(rows * rows of the largest batch). Lengths are positive integers.
 */
export function packBatches(lengths: ArrayLike<number>, options: PackOptions): PackedBatches {
  const { maxBatchPositions, overheadPositions } = options;
  const all = Array.from({ length: lengths.length }, (_, row) => row);
  const fits = (row: number) => 2 * lengths[row]! <= maxBatchPositions;
  const rows = all.filter(fits).sort((a, b) => lengths[b]! - lengths[a]! || a - b);

  // cost[i]: the cheapest plan for rows[i..]; end[i]: where its first batch ends.
  const cost = new Float64Array(rows.length + 1);
  const end = new Int32Array(rows.length);
  for (let start = rows.length - 1; start >= 0; start--) {
    const longest = lengths[rows[start]!]!;
    const limit = Math.min(rows.length, start + Math.floor(maxBatchPositions / (2 * longest)));
    cost[start] = Infinity;
    for (let stop = limit; stop > start; stop--) {
      const candidate = 2 * (stop - start) * longest + overheadPositions + cost[stop]!;
      if (candidate < cost[start]!) (cost[start] = candidate), (end[start] = stop);
    }
  }

  const batches: Int32Array[] = [];
  for (let start = 0; start < rows.length; start = end[start]!) batches.push(Int32Array.from(rows.slice(start, end[start])));
  return { batches, tooLong: all.filter((row) => !fits(row)) };
}
