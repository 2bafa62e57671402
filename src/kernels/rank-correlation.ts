import { averageRanks } from "./average-ranks.ts";

/**
 * Spearman's rank correlation: Pearson's correlation of the ranks, ties sharing their mean rank.
 * Range: -1 to 1; NaN where one side does not vary. Throws RangeError where the lengths differ.
 */
export function rankCorrelation(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) throw new RangeError(`${a.length} and ${b.length} values can't be paired`);
  const [x, y] = [averageRanks(a), averageRanks(b)];
  // Ranks sum to n (n + 1) / 2 with and without ties.
  const mean = (a.length + 1) / 2;
  let [xy, xx, yy] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    const [dx, dy] = [x[i]! - mean, y[i]! - mean];
    xy += dx * dy;
    xx += dx * dx;
    yy += dy * dy;
  }
  return xy / Math.sqrt(xx * yy);
}
