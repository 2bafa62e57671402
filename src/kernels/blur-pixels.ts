import { gaussianBlur } from "./gaussian.ts";
import { hasLowRank, lowRankGaussian } from "./low-rank-gaussian.ts";
import { MIN_RECURSIVE_SIGMA, recursiveGaussian } from "./recursive-gaussian.ts";

/**
 * The blurred image, rounded to 8 bits: by convolution for small sigmas, by small matrices for those as wide as the
 * image (the default), by a recursive filter between.
 * Shape: RGB uint8, [height, width, 3], row-major, in and out. `sigma` in pixels, > 0.
 */
export function blurPixels(pixels: Uint8Array, width: number, height: number, sigma: number): Uint8Array {
  if (sigma < MIN_RECURSIVE_SIGMA) return Uint8Array.from(gaussianBlur(pixels, width, height, sigma), Math.round);
  return hasLowRank(width, height, sigma) ? lowRankGaussian(pixels, width, height, sigma) : recursiveGaussian(pixels, width, height, sigma);
}
