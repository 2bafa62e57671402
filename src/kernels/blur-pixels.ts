import { gaussianBlur } from "./gaussian.ts";
import { MIN_RECURSIVE_SIGMA, recursiveGaussian } from "./recursive-gaussian.ts";

/**
 * The blurred image, rounded to 8 bits: by convolution for small sigmas, by recursive filter for the others.
 * Shape: RGB uint8, [height, width, 3], row-major, in and out. `sigma` in pixels, > 0.
 */
export function blurPixels(pixels: Uint8Array, width: number, height: number, sigma: number): Uint8Array {
  return sigma < MIN_RECURSIVE_SIGMA ? Uint8Array.from(gaussianBlur(pixels, width, height, sigma), Math.round) : recursiveGaussian(pixels, width, height, sigma);
}
