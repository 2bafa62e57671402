import { StageError } from "../../core/errors.ts";
import type { ImageSize, ViewPlan } from "../contract.ts";
import { type ImageProcessor, readImageProcessor, squareSetting, StepPlan } from "../image-processor.ts";
import {
  countingPositions,
  type Family,
  type FamilyEntry,
  type FamilyFolder,
  imageTokenId,
  NEWLINE_OUTPUT,
  type PixelView,
  type VisionImage,
} from "./family.ts";
import { meanColor, tokensOfView } from "./llava.ts";
import { cutTiles, plainFeeds } from "./plain-vision.ts";
import { concatenate, joinTiles, shownCells, type TileGrid } from "./tile-rows.ts";

/**
 * LLaVA-OneVision. An image alone in its sample: a square of the whole, then tiles of the image at the best of some
 * resolutions, each row of them ended by a newline embedding. Several images: each a padded square and one newline.
 * Exports whose encoder gives no newline embedding, and split_images: false: a square of the whole and nothing else.
 */
export const llavaOnevision: FamilyEntry = {
  model_types: ["llava_onevision"],
  open(folder) {
    const processor = readImageProcessor(folder.preprocessor, { kernel: "bicubic" });
    const imageToken = imageTokenId(folder.config);
    const size = squareSetting(processor.settings["size"]) ?? {};
    const side = size.height ?? size.shortest_edge ?? 384;
    const square = { width: side, height: side };
    const numTokens = tokensOfView(withoutClassToken(folder), square);
    const common = {
      image_token_id: imageToken,
      max_images: Infinity,
      visionFeeds: plainFeeds(processor.scaling),
      position_rows: 1,
      positions: (ids) => countingPositions(ids, 0),
    } satisfies Partial<Family>;
    const hasNewline = folder.outputs.vision_encoder.some(({ name }) => name === NEWLINE_OUTPUT);
    if (!hasNewline || folder.split_images === false) {
      return {
        ...common,
        warnings: hasNewline ? [] : ["the vision encoder gives no image_newline: images are seen at base resolution, without tiles"],
        needs_image_sizes: false,
        imageText: (_, { tokenOf }) => ({ text: tokenOf(imageToken)!, runs: [numTokens] }),
        views: (source) => [new StepPlan(source).resize(square, processor.kernel).done()],
      } satisfies Family;
    }
    const tiling = tilingOf(folder, processor, square, numTokens);
    return {
      ...common,
      warnings: [],
      needs_image_sizes: true,
      imageText: (source, { tokenOf, num_images }) => ({
        text: tokenOf(imageToken)!,
        runs: [num_images > 1 ? numTokens + 1 : numTokens + shownCells(tiling.grid(source!), source!, tiling.maxTiles).num_tokens],
      }),
      views: (source) => tiling.views(source),
      viewsInContext: (views, context) => contextViews(views, context),
      tiles: (views) => [views[0]!, ...(views[1] ? cutTiles(views[1], side) : [])],
      imageRows: (tiles, image, newline) => imageRows(tiles, image, newline, tiling),
    } satisfies Family;
  },
};

function withoutClassToken(folder: FamilyFolder): FamilyFolder {
  return { ...folder, processor: { ...folder.processor, vision_feature_select_strategy: "full", num_additional_image_tokens: 0 } };
}

/** Views: the square, the tiles' picture, the padded square; tests feed the two contexts apart. */
function contextViews(views: readonly PixelView[], context: "alone" | "several"): readonly PixelView[] {
  if (context === "alone") return views.length === 1 ? [] : views.slice(0, 2);
  return views.length === 2 ? [] : views.slice(-1);
}

interface Tiling {
  readonly side: number;
  readonly maxTiles: number;
  grid(source: ImageSize): TileGrid;
  views(source: ImageSize): ViewPlan[];
}

function tilingOf(folder: FamilyFolder, { kernel, scaling, settings }: ImageProcessor, square: ImageSize, numTokens: number): Tiling {
  const side = square.width;
  const resolutions = (settings["image_grid_pinpoints"] ?? folder.config["image_grid_pinpoints"] ?? DEFAULT_RESOLUTIONS) as [number, number][];
  const best = (source: ImageSize) => bestResolution(source, resolutions);
  const cells = Math.round(Math.sqrt(numTokens));
  const aspect = folder.processor["vision_aspect_ratio"] ?? folder.config["vision_aspect_ratio"];
  return {
    side,
    maxTiles: typeof aspect === "string" ? Number(/(\d+)$/.exec(aspect)?.[1] ?? 9) : 9,
    grid(source) {
      const { width, height } = best(source);
      return { rows: height / side, columns: width / side, cells };
    },
    views(source) {
      const whole = new StepPlan(source).resize(square, kernel);
      const target = best(source);
      const fitted = fitInside(source, target);
      const [left, top] = [(target.width - fitted.width) >> 1, (target.height - fitted.height) >> 1];
      const picture = new StepPlan(source)
        .resize(fitted, kernel)
        .pad(left, top, target.width - fitted.width - left, target.height - fitted.height - top, [0, 0, 0]);
      const padded = new StepPlan(source).padToSquare(meanColor(scaling.mean)).resize(square, kernel);
      return [whole.done(), picture.done(), padded.done()];
    },
  };
}

const EDGES = [1, 2, 3, 4, 5, 6].map((tiles) => tiles * 384);
const DEFAULT_RESOLUTIONS = EDGES.flatMap((height) => EDGES.map((width): [number, number] => [height, width]));

/** The resolution that keeps most of the image's pixels, and among those wastes least. `resolutions` are [height, width]. */
function bestResolution({ width, height }: ImageSize, resolutions: readonly (readonly [number, number])[]): ImageSize {
  let best: ImageSize | undefined;
  let mostKept = 0;
  let leastWasted = Infinity;
  for (const [h, w] of resolutions) {
    const scale = Math.min(w / width, h / height);
    const kept = Math.min(Math.trunc(width * scale) * Math.trunc(height * scale), width * height);
    const wasted = w * h - kept;
    if (kept > mostKept || (kept === mostKept && wasted < leastWasted)) {
      [mostKept, leastWasted, best] = [kept, wasted, { width: w, height: h }];
    }
  }
  return best ?? { width: resolutions[0]![1], height: resolutions[0]![0] };
}

function fitInside({ width, height }: ImageSize, target: ImageSize): ImageSize {
  const [scaleX, scaleY] = [target.width / width, target.height / height];
  return scaleX < scaleY
    ? { width: target.width, height: Math.min(Math.ceil(height * scaleX), target.height) }
    : { width: Math.min(Math.ceil(width * scaleY), target.width), height: target.height };
}

/** The square's rows, then the tiles' put together as one picture; of a square alone its rows and one newline. */
function imageRows([square, ...tiles]: readonly Float32Array[], { source_size }: VisionImage, newline: Float32Array, tiling: Tiling): Float32Array {
  if (tiles.length === 0) return concatenate([square!, newline]);
  if (!source_size) throw new StageError("an image that is cut into tiles came without its own size", { remedy: "set model.split_images to false" });
  return concatenate([square!, joinTiles(concatenate(tiles), newline, tiling.grid(source_size), source_size, tiling.maxTiles)]);
}
