/**
 * Natural log-probability of `target` under a softmax over `logits[offset, offset + size)`.
 * Dtype: float32 in, accumulated in float64.
 */
export function logProb(logits: Float32Array, offset: number, size: number, target: number): number {
  let largest = -Infinity;
  for (let i = offset; i < offset + size; i++) if (logits[i]! > largest) largest = logits[i]!;
  let sum = 0;
  for (let i = offset; i < offset + size; i++) sum += Math.exp(logits[i]! - largest);
  return logits[offset + target]! - largest - Math.log(sum);
}
