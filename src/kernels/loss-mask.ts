/**
 * Which samples are kept and which of their tokens keep their loss, at one threshold.
 *
 * Source: Lee and Hwang, arXiv 2602.17186, "Selective training": S_p = {VIG >= tau_p} and the active tokens
 * T_i+ = {t: vig[t] >= tau_p} share tau_p; the granularities that use one of the two are its ablations.
 * Comparisons are float64 on stored values (token_vig is widened exactly), so SQL on the stored data agrees.
 */

/** `sample`: samples at tau, whole. `token`: every sample, tokens at tau. `sample_and_token`: both at the same tau. */
export type ThresholdGranularity = "sample" | "token" | "sample_and_token";

export function keepsSample(granularity: ThresholdGranularity, vig: number, tau: number): boolean {
  return granularity === "token" || vig >= tau;
}

/**
 * Writes the loss mask of token_vig[start..end) to `mask` (1 = keeps its loss) from `offset` on and returns how many are 1.
 *
 * Shape: mask has at least offset + end - start elements.
 */
export function fillLossMask(
  granularity: ThresholdGranularity,
  tokenVig: Float32Array,
  start: number,
  end: number,
  tau: number,
  mask: Uint8Array,
  offset: number,
): number {
  const length = end - start;
  if (granularity === "sample") {
    mask.fill(1, offset, offset + length);
    return length;
  }
  let numActive = 0;
  for (let t = 0; t < length; t++) {
    const active = tokenVig[start + t]! >= tau ? 1 : 0;
    mask[offset + t] = active;
    numActive += active;
  }
  return numActive;
}

/** How many of token_vig[start..end) are at or above tau. */
export function countActive(tokenVig: Float32Array, start: number, end: number, tau: number): number {
  let numActive = 0;
  for (let t = start; t < end; t++) if (tokenVig[t]! >= tau) numActive++;
  return numActive;
}
