import type { ImageSize, ViewPlan } from "../contract.ts";
import { type ImageProcessor, readImageProcessor, sizeSetting, StepPlan } from "../image-processor.ts";
import { scalingTables } from "../pixel-tensor.ts";
import {
  countingPositions,
  type Family,
  type FamilyEntry,
  type FamilyFolder,
  imageTokenId,
  integerOf,
  object,
  type PixelView,
  type PlainTensor,
} from "./family.ts";
import { cutTiles, planesOf } from "./plain-vision.ts";

/** Idefics3 and SmolVLM: square tiles row by row, then the whole image as one more tile; a mask of real pixels. */
export const idefics3: FamilyEntry = {
  model_types: ["idefics3", "smolvlm"],
  open(folder) {
    const processor = readImageProcessor(folder.preprocessor, { kernel: "lanczos" });
    const geometry = geometryOf(processor, folder.split_images);
    const imageToken = imageTokenId(folder.config);
    const numTokens = tokensOfTile(folder);
    const tables = scalingTables(processor.scaling);
    return {
      image_token_id: imageToken,
      needs_image_sizes: true,
      max_images: Infinity,
      warnings: [],
      imageText(size, { tokenOf }) {
        const views = geometry.views(size!);
        const { width, height } = views[0]!.size;
        const [rows, columns] = views.length === 1 ? [0, 0] : [height / geometry.side, width / geometry.side];
        return { text: tileText(rows, columns, tokenOf(imageToken)!), runs: new Array<number>(rows * columns + 1).fill(numTokens) };
      },
      views: (size) => geometry.views(size),
      tiles: (views) => [...(views.length > 1 ? cutTiles(views[0]!, geometry.side) : []), views.at(-1)!],
      visionFeeds: (tiles) => tileFeeds(tiles, tables),
      position_rows: 1,
      positions: (ids) => countingPositions(ids, 0),
    } satisfies Family;
  },
};

interface Geometry {
  /** Of a tile, pixels. */
  readonly side: number;
  views(size: ImageSize): ViewPlan[];
}

function geometryOf({ kernel, flag, settings }: ImageProcessor, splitImages: boolean | undefined): Geometry {
  const longest = sizeSetting(settings["size"])?.longest_edge ?? 4 * 364;
  const side = sizeSetting(settings["max_image_size"])?.longest_edge ?? 364;
  const split = splitImages ?? flag("do_image_splitting", true);
  const square = { width: side, height: side };
  return {
    side,
    views(size) {
      const main = new StepPlan(size);
      if (flag("do_resize", true)) main.resize(longestEdgeSize(size, longest), kernel);
      if (!split) return [main.resize(square, kernel).done()];
      main.resize(wholeTiles(main.size, side), kernel);
      if (main.size.width <= side && main.size.height <= side) return [main.done()];
      const whole = new StepPlan(size);
      whole.steps.push(...main.steps);
      whole.size = main.size;
      return [main.done(), whole.resize(square, kernel).done()];
    },
  };
}

/** The processor's bound whatever its configuration says. */
const MAX_IMAGE_SIZE = 4096;

/** The longer side `longest` (also enlarging), the other rounded down and then up to an even number. */
function longestEdgeSize({ width, height }: ImageSize, longest: number): ImageSize {
  const aspect = width / height;
  let size = width >= height ? { width: longest, height: even(Math.trunc(longest / aspect)) } : { width: even(Math.trunc(longest * aspect)), height: longest };
  size = { width: Math.max(size.width, 1), height: Math.max(size.height, 1) };
  const ratio = size.width / size.height;
  if (size.width >= size.height && size.width > MAX_IMAGE_SIZE) {
    return { width: MAX_IMAGE_SIZE, height: Math.max(1, Math.trunc(MAX_IMAGE_SIZE / ratio)) };
  }
  if (size.height > size.width && size.height > MAX_IMAGE_SIZE) {
    return { width: Math.max(1, Math.trunc(MAX_IMAGE_SIZE * ratio)), height: MAX_IMAGE_SIZE };
  }
  return size;
}

function even(value: number): number {
  return value % 2 === 0 ? value : value + 1;
}

/** Both sides rounded up to whole tiles, the shorter from the longer one's new length. */
function wholeTiles({ width, height }: ImageSize, side: number): ImageSize {
  const up = (value: number) => Math.ceil(value / side) * side;
  const aspect = width / height;
  return width >= height
    ? { width: up(width), height: up(Math.trunc(up(width) / aspect)) }
    : { width: up(Math.trunc(up(height) * aspect)), height: up(height) };
}

function tileText(rows: number, columns: number, image: string): string {
  const edge = "<fake_token_around_image>";
  let text = "";
  for (let row = 1; row <= rows; row++) {
    for (let column = 1; column <= columns; column++) text += `${edge}<row_${row}_col_${column}>${image}`;
    text += "\n";
  }
  return `${text}${rows > 0 ? "\n" : ""}${edge}<global-img>${image}${edge}`;
}

function tokensOfTile({ config, processor, outputs }: FamilyFolder): number {
  const fixed = outputs.vision_encoder[0]?.dims.at(-2);
  if (outputs.vision_encoder[0]?.dims.length === 3 && typeof fixed === "number") return fixed;
  const told = integerOf(processor, "image_seq_len");
  if (told !== undefined) return told;
  const vision = object(config["vision_config"]);
  const [side, patch] = [integerOf(vision, "image_size") ?? 364, integerOf(vision, "patch_size") ?? 14];
  return Math.floor(Math.floor(side / patch) ** 2 / (integerOf(config, "scale_factor") ?? 2) ** 2);
}

/** All in one row of the encoder's batch: pixel_values [1, tiles, 3, side, side]. */
function tileFeeds(tiles: readonly PixelView[], tables: Float32Array): Record<string, PlainTensor> {
  const planes = planesOf(tiles, tables);
  const [count, , height, width] = planes.dims as [number, number, number, number];
  return {
    pixel_values: { ...planes, dims: [1, ...planes.dims] },
    pixel_attention_mask: { type: "bool", dims: [1, count, height, width], data: new Uint8Array(count * height * width).fill(1) },
  };
}
