import { scalingTables, writePlanes } from "../pixel-tensor.ts";
import type { PixelScaling } from "../image-processor.ts";
import { type FamilyFolder, groupByShape, type PixelView, type VisionCall } from "./family.ts";

/** Views whose floats go into one run of the encoder: enough to fill the cores, few enough to stay in memory. */
const MAX_CALL_VALUES = 12 << 20;
const MAX_CALL_VIEWS = 64;

/** Calls of encoders that take whole views, pixel_values [views, 3, height, width], and give [views, tokens, hidden]. */
export function plainVisionCalls(images: readonly (readonly PixelView[])[], scaling: PixelScaling, folder: FamilyFolder): VisionCall[] {
  const tables = scalingTables(scaling);
  const output = folder.outputs.vision_encoder[0]!.name;
  const shape = (views: readonly PixelView[]) => `${views.length}x${views[0]!.width}x${views[0]!.height}`;
  return groupByShape(images, shape, viewsPerCall).map((indices) => {
    const { width, height } = images[indices[0]!]![0]!;
    const size = 3 * width * height;
    const views = indices.flatMap((index) => images[index]!);
    const pixelValues = new Float32Array(views.length * size);
    views.forEach((view, i) => writePlanes(view.pixels, tables, pixelValues, i * size));
    return {
      images: indices,
      feeds: { pixel_values: { type: "float32", dims: [views.length, 3, height, width], data: pixelValues } },
      features(outputs) {
        const { data } = outputs[output]!;
        const each = data.length / indices.length;
        return indices.map((_, i) => data.slice(i * each, (i + 1) * each));
      },
    };
  });
}

function viewsPerCall(views: readonly PixelView[]): number {
  const values = views.reduce((sum, { width, height }) => sum + 3 * width * height, 0);
  return Math.max(1, Math.min(MAX_CALL_VIEWS, Math.floor(MAX_CALL_VALUES / values)));
}
