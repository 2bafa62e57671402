/** Convolution of lines of pixels with a symmetric kernel, given as its half: `half[d]` weighs what is d pixels away. */
import { scratch } from "./scratch.ts";

/**
 * Shape: `from` and `to` [numLines, size, width], row-major, convolved along the middle axis; `width` is a multiple of
 * three. Dtype: float64. Beyond a line's ends its first and last pixels are repeated.
 */
export function convolveLines(half: Float64Array, from: Float64Array, numLines: number, size: number, width: number, to: Float64Array): void {
  const length = size * width;
  const margin = (half.length - 1) * width;
  const padded = scratch("padded line", length + 2 * margin);
  for (let at = 0; at < numLines * length; at += length) {
    pad(from.subarray(at, at + length), width, margin, padded);
    convolvePadded(half, padded, length, width, to.subarray(at, at + length));
  }
}

/** A line of pixels of `width` values, with `margin` values of its first and last pixel around it. */
export function pad(line: Float64Array | Uint8Array, width: number, margin: number, padded: Float64Array): void {
  padded.set(line, margin);
  const end = margin + line.length;
  for (let at = margin - 1; at >= 0; at--) padded[at] = padded[at + width]!;
  for (let at = end; at < end + margin; at++) padded[at] = padded[at - width]!;
}

/** One line with `half.length - 1` pixels before and after it: `padded` [size + 2 * (half.length - 1), width], `to` [size, width]. */
export function convolvePadded(half: Float64Array, padded: Float64Array, length: number, width: number, to: Float64Array): void {
  const reach = half.length - 1;
  const centre = half[0]!;
  for (let i = 0; i < length; i += 3) {
    const middle = i + reach * width;
    let r = centre * padded[middle]!;
    let g = centre * padded[middle + 1]!;
    let b = centre * padded[middle + 2]!;
    for (let d = 1, left = middle - width, right = middle + width; d <= reach; d++, left -= width, right += width) {
      const weight = half[d]!;
      r += weight * (padded[left]! + padded[right]!);
      g += weight * (padded[left + 1]! + padded[right + 1]!);
      b += weight * (padded[left + 2]! + padded[right + 2]!);
    }
    to[i] = r;
    to[i + 1] = g;
    to[i + 2] = b;
  }
}
