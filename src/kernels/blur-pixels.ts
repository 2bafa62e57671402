import { gaussianBlur } from "./gaussian.ts";
import { hasLowRank, lowRankGaussian } from "./low-rank-gaussian.ts";
import { MIN_RECURSIVE_SIGMA, recursiveGaussian } from "./recursive-gaussian.ts";

/**
 * The blurred image, rounded to 8 bits, in `into`, which may be `pixels`: by convolution for small sigmas, by small
 * matrices for those as wide as the image (the default), by a recursive filter between.
 * Shape: RGB uint8, [height, width, 3], row-major, in and out. `sigma` in pixels, > 0.
 */
export function blurPixels(pixels: Uint8Array, width: number, height: number, sigma: number, into: Uint8Array = new Uint8Array(pixels.length)): Uint8Array {
  if (hasLowRank(width, height, sigma)) return lowRankGaussian(pixels, width, height, sigma, into);
  if (sigma >= MIN_RECURSIVE_SIGMA) return recursiveGaussian(pixels, width, height, sigma, into);
  for (const [i, value] of gaussianBlur(pixels, width, height, sigma).entries()) into[i] = Math.round(value);
  return into;
}
