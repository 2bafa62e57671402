import { gaussianWeights, type TakeStrip } from "./gaussian.ts";
import { scratch } from "./scratch.ts";
import { convolvePadded, pad } from "./symmetric-convolution.ts";

/** Rows that are convolved at once. */
const STRIP_ROWS = 64;

/**
 * The image blurred by convolution, edges repeated, not rounded, handed to `take` strip by strip; of `pixels` what lies below
 * a strip is read after it. Its cost grows with sigma.
 * Shape: `pixels` [height, width, 3] row-major RGB uint8. `sigma` in pixels, > 0. Dtype: float64 (0 to 255) out.
 */
export function directGaussian(pixels: Uint8Array, width: number, height: number, sigma: number, take: TakeStrip): void {
  const weights = gaussianWeights(sigma);
  const reach = (weights.length - 1) / 2;
  const half = weights.subarray(reach);
  const rowLength = 3 * width;
  const padded = scratch("padded row", rowLength + 6 * reach);
  // Rows blurred across, from `reach` above the strip to `reach` below it.
  const rows = scratch("rows", (STRIP_ROWS + 2 * reach) * rowLength);
  const strip = scratch("strip", STRIP_ROWS * rowLength);
  for (let y = 0; y < height; y += STRIP_ROWS) {
    const numRows = Math.min(STRIP_ROWS, height - y);
    const numKnown = y === 0 ? 0 : 2 * reach;
    rows.copyWithin(0, STRIP_ROWS * rowLength, (STRIP_ROWS + numKnown) * rowLength);
    for (let i = numKnown; i < numRows + 2 * reach; i++) {
      const row = y - reach + i;
      const at = i * rowLength;
      if (i > 0 && (row <= 0 || row >= height)) rows.copyWithin(at, at - rowLength, at);
      else {
        const source = Math.max(0, row) * rowLength;
        pad(pixels.subarray(source, source + rowLength), 3, 3 * reach, padded);
        convolvePadded(half, padded, rowLength, 3, rows.subarray(at, at + rowLength));
      }
    }
    convolvePadded(half, rows, numRows * rowLength, rowLength, strip);
    take(strip, y * rowLength, numRows * rowLength);
  }
}
