import { scalingTables, writePlanes } from "../pixel-tensor.ts";
import type { PixelScaling } from "../image-processor.ts";
import type { PixelView, PlainTensor } from "./family.ts";

/** Of encoders that take pixel_values [views, 3, height, width] and give [views, tokens, hidden]. */
export function plainFeeds(scaling: PixelScaling): (views: readonly PixelView[]) => { readonly pixel_values: PlainTensor } {
  const tables = scalingTables(scaling);
  return (views) => ({ pixel_values: planesOf(views, tables) });
}

/** Views of one size as float32 [views, 3, height, width]. */
export function planesOf(views: readonly PixelView[], tables: Float32Array): PlainTensor {
  const { width, height } = views[0]!;
  const size = 3 * width * height;
  const data = new Float32Array(views.length * size);
  views.forEach(({ pixels }, i) => writePlanes(pixels, tables, data, i * size));
  return { type: "float32", dims: [views.length, 3, height, width], data };
}

/** Squares of one side cut from a picture, row by row. */
export function cutTiles({ width, height, pixels }: PixelView, side: number): PixelView[] {
  const tiles: PixelView[] = [];
  for (let top = 0; top + side <= height; top += side) {
    for (let left = 0; left + side <= width; left += side) {
      const tile = new Uint8Array(side * side * 3);
      for (let row = 0; row < side; row++) {
        const from = ((top + row) * width + left) * 3;
        tile.set(pixels.subarray(from, from + side * 3), row * side * 3);
      }
      tiles.push({ width: side, height: side, pixels: tile });
    }
  }
  return tiles;
}
