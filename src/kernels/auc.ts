import { averageRanks } from "./average-ranks.ts";

/**
 * The area under the ROC curve: the chance that a positive's value exceeds a negative's, a tie counting half.
 * By the rank sum of the positives (Mann and Whitney, 1947). Range: 0 to 1; NaN where either side is empty.
 */
export function auc(positives: ArrayLike<number>, negatives: ArrayLike<number>): number {
  const numPositives = positives.length;
  const ranks = averageRanks([...Array.from(positives), ...Array.from(negatives)]);
  let rankSum = 0;
  for (let i = 0; i < numPositives; i++) rankSum += ranks[i]!;
  return (rankSum - (numPositives * (numPositives + 1)) / 2) / (numPositives * negatives.length);
}
