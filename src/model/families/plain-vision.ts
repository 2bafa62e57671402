import { scalingTables, writePlanes } from "../pixel-tensor.ts";
import type { PixelScaling } from "../image-processor.ts";
import { type FamilyFolder, groupByShape, type PixelView, type PlainTensor, type VisionCall, type VisionImage } from "./family.ts";

/** Views whose floats go into one run of the encoder: enough to fill the cores, few enough to stay in memory. */
const MAX_CALL_VALUES = 12 << 20;
const MAX_CALL_VIEWS = 64;

/** Calls of encoders that take whole views, pixel_values [views, 3, height, width], and give [views, tokens, hidden]. */
export function plainVisionCalls(images: readonly VisionImage[], scaling: PixelScaling, folder: FamilyFolder): VisionCall[] {
  const output = folder.outputs.vision_encoder[0]!.name;
  const shape = ({ views }: VisionImage) => `${views.length}x${views[0]!.width}x${views[0]!.height}`;
  return groupByShape(images, shape, ({ views }) => imagesPerCall(views)).map((indices) => ({
    images: indices,
    feeds: { pixel_values: planesOf(indices.flatMap((index) => images[index]!.views), scaling) },
    features(outputs) {
      const { data } = outputs[output]!;
      const each = data.length / indices.length;
      return indices.map((_, i) => data.slice(i * each, (i + 1) * each));
    },
  }));
}

/** Views of one size as float32 [views, 3, height, width]. */
export function planesOf(views: readonly PixelView[], scaling: PixelScaling): PlainTensor {
  const { width, height } = views[0]!;
  const size = 3 * width * height;
  const tables = scalingTables(scaling);
  const data = new Float32Array(views.length * size);
  views.forEach(({ pixels }, i) => writePlanes(pixels, tables, data, i * size));
  return { type: "float32", dims: [views.length, 3, height, width], data };
}

/** How many images like this one go into a call. */
export function imagesPerCall(views: readonly PixelView[]): number {
  const values = views.reduce((sum, { width, height }) => sum + 3 * width * height, 0);
  return Math.max(1, Math.min(MAX_CALL_VIEWS, Math.floor(MAX_CALL_VALUES / values)));
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
