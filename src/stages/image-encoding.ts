/** Pixels to encoded bytes, for people to look at. */
import sharp from "sharp";
import type { Pixels } from "./image-decoding.ts";

/** `quality` 1 to 100. */
export function encodeWebp({ data, width, height }: Pixels, quality: number): Promise<Buffer> {
  return sharp(data, { raw: { width, height, channels: 3 } }).webp({ quality, effort: 4 }).toBuffer();
}
