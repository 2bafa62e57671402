/**
 * Token and sample Visual Information Gain from the two NLLs of each answer token.
 *
 * Source: Lee and Hwang, arXiv 2602.17186, "Visual Information Gain": VIG is the mean over the T answer tokens of
 * nll_blur[t] - nll_image[t], which equals mean(nll_blur) - mean(nll_image) = ln(PPL(A|Q) / PPL(A|Q,I)).
 */

/**
 * Each answer token's VIG, `nll_blur[t] - nll_image[t]`.
 *
 * Shape: [T]. Dtype: the difference of the two float32 values, rounded once to float32: what is stored is what
 * every later decision is made from. Units: nats; negative where the image makes the token less likely.
 * Throws RangeError where the lengths differ.
 */
export function tokenVig(nllImage: Float32Array, nllBlur: Float32Array): Float32Array {
  if (nllImage.length !== nllBlur.length) {
    throw new RangeError(`token VIG: ${nllImage.length} clean and ${nllBlur.length} blurred NLLs`);
  }
  const vig = new Float32Array(nllImage.length);
  for (let t = 0; t < vig.length; t++) vig[t] = nllBlur[t]! - nllImage[t]!;
  return vig;
}

/**
 * The mean over a sample's answer tokens: of token_vig it is the sample's VIG, of an NLL its mean NLL (ln PPL).
 *
 * Dtype: float32 values, summed from the first to the last in float64, divided once in float64, so that anyone
 * who sums the stored list in order gets the stored mean to the last bit. Throws RangeError for no tokens.
 */
export function tokenMean(values: Float32Array): number {
  if (values.length === 0) throw new RangeError("mean over no tokens");
  let sum = 0;
  for (let t = 0; t < values.length; t++) sum += values[t]!;
  return sum / values.length;
}
