/** An image of the same size, all of it in the image's mean colour. Shape: RGB uint8, interleaved. */
export function meanColor(pixels: Uint8Array): Uint8Array {
  const sums = [0, 0, 0];
  for (let i = 0; i < pixels.length; i++) sums[i % 3]! += pixels[i]!;
  const mean = sums.map((sum) => Math.round(sum / (pixels.length / 3)));
  return Uint8Array.from(pixels, (_, i) => mean[i % 3]!);
}
