import { directGaussian } from "./direct-gaussian.ts";
import { splineGaussian } from "./spline-gaussian.ts";

/** From here on few values on a grid cost less than the convolution itself (`npm run bench:blur`). */
const MIN_SPLINE_SIGMA = 6;

/**
 * The blurred image, rounded to 8 bits, in `into`, which may be `pixels`. Before rounding it is within 1e-4 levels of the
 * convolution with the kernel cut at 4 sigma, edges repeated (scipy.ndimage.gaussian_filter, mode "nearest").
 * Shape: RGB uint8, [height, width, 3], row-major, in and out. `sigma` in pixels, > 0.
 */
export function blurPixels(pixels: Uint8Array, width: number, height: number, sigma: number, into: Uint8Array = new Uint8Array(pixels.length)): Uint8Array {
  const blur = sigma < MIN_SPLINE_SIGMA ? directGaussian : splineGaussian;
  blur(pixels, width, height, sigma, (values, at, length) => {
    // A half, since storing cuts the fraction off.
    for (let i = 0; i < length; i++) into[at + i] = values[i]! + 0.5;
  });
  return into;
}
