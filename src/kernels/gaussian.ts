/**
 * Gaussian blur by separable convolution in float64: the definition that the fast blur of images is held against.
 */

/**
 * The weights of a Gaussian, cut off at 4 sigma and normalised to sum 1.
 * Shape: [2 * round(4 * sigma) + 1], the middle one is the centre's; scipy.ndimage.gaussian_filter with truncate=4 has
 * the same. `sigma` in pixels, > 0; 0 gives [1].
 */
export function gaussianWeights(sigma: number): Float64Array {
  const radius = Math.round(4 * sigma);
  const weights = Float64Array.from({ length: 2 * radius + 1 }, (_, i) => (sigma === 0 ? 1 : Math.exp(-((i - radius) ** 2) / (2 * sigma ** 2))));
  const total = weights.reduce((sum, w) => sum + w, 0);
  return weights.map((w) => w / total);
}

/** Takes `length` values of a blurred image from `at` on, which are the first of `values` until it returns. */
export type TakeStrip = (values: Float64Array, at: number, length: number) => void;

/**
 * The blurred image, not rounded.
 *
 * Shape: [height, width, 3], row-major, RGB interleaved, in and out. Dtype: uint8 in, float64 (0 to 255) out.
 * Beyond the edge the nearest edge pixel is repeated. Throws RangeError where pixels do not fit the size.
 */
export function gaussianBlur(pixels: Uint8Array, width: number, height: number, sigma: number): Float64Array {
  if (pixels.length !== width * height * 3) throw new RangeError(`${pixels.length} bytes are not ${width} x ${height} RGB pixels`);
  const weights = gaussianWeights(sigma);
  const acrossRows = convolve(Float64Array.from(pixels), height, width, width * 3, 3, weights);
  return convolve(acrossRows, width, height, 3, width * 3, weights);
}

/** Convolves `numLines` lines of `length` RGB pixels; strides in elements. */
function convolve(
  from: Float64Array,
  numLines: number,
  length: number,
  lineStride: number,
  pixelStride: number,
  weights: Float64Array,
): Float64Array {
  const to = new Float64Array(from.length);
  const radius = (weights.length - 1) / 2;
  for (let line = 0; line < numLines; line++) {
    for (let i = 0; i < length; i++) {
      for (let channel = 0; channel < 3; channel++) {
        const base = line * lineStride + channel;
        let sum = 0;
        for (let w = 0; w < weights.length; w++) {
          const j = Math.min(length - 1, Math.max(0, i + w - radius));
          sum += weights[w]! * from[base + j * pixelStride]!;
        }
        to[base + i * pixelStride] = sum;
      }
    }
  }
  return to;
}
