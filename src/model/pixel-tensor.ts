import type { PixelScaling } from "./image-processor.ts";

/** Lookup tables from uint8 to a model's floats, [3, 256]. */
export function scalingTables({ scale, mean, std }: PixelScaling): Float32Array {
  const tables = new Float32Array(3 * 256);
  for (let channel = 0; channel < 3; channel++) {
    for (let value = 0; value < 256; value++) {
      tables[channel * 256 + value] = (value * scale - mean[channel]!) / std[channel]!;
    }
  }
  return tables;
}

/**
 * Writes RGB pixels, [height, width, 3], as planes, [3, height, width], of a model's floats at `offset` of `out`.
 */
export function writePlanes(pixels: Uint8Array, tables: Float32Array, out: Float32Array, offset: number): void {
  const plane = pixels.length / 3;
  for (let channel = 0; channel < 3; channel++) {
    const table = channel * 256;
    const start = offset + channel * plane;
    for (let i = 0, from = channel; i < plane; i++, from += 3) out[start + i] = tables[table + pixels[from]!]!;
  }
}
