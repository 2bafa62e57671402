import type { ImageSize, PrepareReject } from "../contract.ts";
import { type ImageProcessor, readImageProcessor, sizeSetting, StepPlan } from "../image-processor.ts";
import { scalingTables } from "../pixel-tensor.ts";
import {
  type Family,
  type FamilyEntry,
  type FamilyFolder,
  imageTokenId,
  integerOf,
  object,
  type PixelView,
  type PlacedImage,
  type PlainTensor,
} from "./family.ts";

const DEEPSTACK =
  "this three-graph export of Qwen3-VL leaves out DeepStack: the decoder sees less of the image than the real model does, so VIG is understated";

/** Qwen2-VL, 2.5 and 3: patches of images of any size, positions in three rows. */
export const qwen2Vl: FamilyEntry = {
  model_types: ["qwen2_vl", "qwen2_5_vl", "qwen3_vl"],
  open(folder) {
    const processor = readImageProcessor(folder.preprocessor, { kernel: "bicubic" });
    const patches = patchesOf(processor, folder);
    const imageToken = imageTokenId(folder.config);
    const cell = patches.size * patches.merge;
    const tables = scalingTables(processor.scaling);
    const gridInput = folder.inputs.vision_encoder.find(({ name }) => name.endsWith("grid_thw"))?.name ?? "image_grid_thw";
    return {
      image_token_id: imageToken,
      inlinePlaceholder: (placeholder) => `<|vision_start|>${placeholder}<|vision_end|>`,
      needs_image_sizes: true,
      max_images: Infinity,
      warnings: folder.config["model_type"] === "qwen3_vl" ? [DEEPSTACK] : [],
      imageText(size, { tokenOf }) {
        const problem = tooNarrow(size!);
        if (problem) return problem;
        const { width, height } = smartSize(size!, patches);
        return { text: tokenOf(imageToken)!, runs: [(width / cell) * (height / cell)] };
      },
      views: (size) => [new StepPlan(size).resize(smartSize(size, patches), processor.kernel).done()],
      visionFeeds: (views) => patchFeeds(views, patches, tables, gridInput),
      max_call_values: MAX_CALL_PATCHES * 3 * patches.size ** 2,
      position_rows: 3,
      positions: (ids, images) => gridPositions(ids, images, imageToken, cell),
    } satisfies Family;
  },
};

interface Patches {
  /** Pixels along a patch's side. */
  readonly size: number;
  /** Patches along the side of one image token. */
  readonly merge: number;
  /** Frames that a patch spans: a still image is repeated. */
  readonly frames: number;
  readonly min_pixels: number;
  readonly max_pixels: number;
}

function patchesOf({ integer, settings }: ImageProcessor, { config }: FamilyFolder): Patches {
  const vision = object(config["vision_config"]);
  const bounds = sizeSetting(settings["size"]);
  return {
    size: integer("patch_size", integerOf(vision, "patch_size") ?? 14),
    merge: integer("merge_size", integerOf(vision, "spatial_merge_size") ?? 2),
    frames: integer("temporal_patch_size", integerOf(vision, "temporal_patch_size") ?? 2),
    min_pixels: integer("min_pixels", bounds?.shortest_edge ?? 56 * 56),
    max_pixels: integer("max_pixels", bounds?.longest_edge ?? 28 * 28 * 1280),
  };
}

const MAX_ASPECT_RATIO = 200;

function tooNarrow({ width, height }: ImageSize): PrepareReject | undefined {
  if (Math.max(width, height) / Math.min(width, height) <= MAX_ASPECT_RATIO) return undefined;
  return {
    code: "image_unsupported_format",
    message: `the image is ${width} x ${height} pixels; the model takes sides of at most 1 : ${MAX_ASPECT_RATIO}`,
  };
}

/** Both sides whole cells, within the bounds on pixels, close to the image's shape (Qwen2-VL's "smart resize"). */
function smartSize({ width, height }: ImageSize, { size, merge, min_pixels, max_pixels }: Patches): ImageSize {
  const cell = size * merge;
  const rounded = { width: roundHalfEven(width / cell) * cell, height: roundHalfEven(height / cell) * cell };
  if (rounded.width * rounded.height > max_pixels) {
    const beta = Math.sqrt((height * width) / max_pixels);
    const down = (side: number) => Math.max(cell, Math.floor(side / beta / cell) * cell);
    return { width: down(width), height: down(height) };
  }
  if (rounded.width * rounded.height < min_pixels) {
    const beta = Math.sqrt(min_pixels / (height * width));
    const up = (side: number) => Math.ceil((side * beta) / cell) * cell;
    return { width: up(width), height: up(height) };
  }
  return rounded;
}

/** As Python rounds. */
function roundHalfEven(value: number): number {
  const down = Math.floor(value);
  if (value - down !== 0.5) return Math.round(value);
  return down % 2 === 0 ? down : down + 1;
}

/** Patches in one call: its attention grows with their square. */
const MAX_CALL_PATCHES = 1024;

/** pixel_values [patches, 3 * frames * size * size] of images packed one after the other, and their grids. */
function patchFeeds(views: readonly PixelView[], patches: Patches, tables: Float32Array, gridInput: string): Record<string, PlainTensor> {
  const [rows, columns] = [views[0]!.height / patches.size, views[0]!.width / patches.size];
  const width = 3 * patches.frames * patches.size ** 2;
  const each = rows * columns * width;
  const data = new Float32Array(views.length * each);
  views.forEach((view, i) => writePatches(view, patches, tables, data.subarray(i * each, (i + 1) * each)));
  return {
    pixel_values: { type: "float32", dims: [views.length * rows * columns, width], data },
    [gridInput]: { type: "int64", dims: [views.length, 3], data: Int32Array.from(views.flatMap(() => [1, rows, columns])) },
  };
}

/** Cells row by row; in a cell its patches row by row; in a patch [3, frames, size, size]. */
function writePatches({ width, height, pixels }: PixelView, { size, merge, frames }: Patches, tables: Float32Array, out: Float32Array): void {
  const cell = size * merge;
  let at = 0;
  for (let top = 0; top < height; top += cell) {
    for (let left = 0; left < width; left += cell) {
      for (let patch = 0; patch < merge * merge; patch++) {
        const y = top + Math.floor(patch / merge) * size;
        const x = left + (patch % merge) * size;
        for (let channel = 0; channel < 3; channel++) {
          const start = at;
          for (let row = 0; row < size; row++) {
            let from = ((y + row) * width + x) * 3 + channel;
            for (let column = 0; column < size; column++, from += 3) out[at++] = tables[channel * 256 + pixels[from]!]!;
          }
          const plane = size * size;
          for (let frame = 1; frame < frames; frame++, at += plane) out.copyWithin(at, start, start + plane);
        }
      }
    }
  }
}

/**
 * Text counts on in all three rows; an image's tokens share the time of its start and have their own row and column;
 * the text behind it goes on from the image's longer side.
 */
function gridPositions(ids: Int32Array, images: readonly PlacedImage[], imageToken: number, cell: number): Int32Array {
  const length = ids.length;
  const out = new Int32Array(3 * length);
  let next = 0;
  let image = 0;
  for (let place = 0; place < length; ) {
    const view = ids[place] === imageToken ? images[image++]?.views[0] : undefined;
    if (view === undefined) {
      out[place] = out[length + place] = out[2 * length + place] = next++;
      place++;
      continue;
    }
    const [rows, columns] = [view.height / cell, view.width / cell];
    for (let token = 0; token < rows * columns && place < length; token++, place++) {
      out[place] = next;
      out[length + place] = next + Math.floor(token / columns);
      out[2 * length + place] = next + (token % columns);
    }
    next += Math.max(rows, columns);
  }
  return out;
}
