import { PlanError } from "../../core/errors.ts";
import type { ImageSize, PrepareReject, ViewPlan } from "../contract.ts";
import type { ChatTemplate } from "../chat-template.ts";
import type { GraphValue } from "../graph-file.ts";
import type { GraphName } from "../model-config.ts";
import type { TextTokenizer } from "../tokenizer.ts";

export type Json = Readonly<Record<string, unknown>>;

/** What a family reads of a model folder; plain data, so that it can be sent to a worker. */
export interface FamilyFolder {
  /** config.json. */
  readonly config: Json;
  /** preprocessor_config.json, or the image_processor part of processor_config.json. */
  readonly preprocessor: Json;
  /** processor_config.json. */
  readonly processor: Json;
  readonly inputs: Readonly<Record<GraphName, readonly GraphValue[]>>;
  readonly outputs: Readonly<Record<GraphName, readonly GraphValue[]>>;
  /** The switches of the configuration; undefined: as the folder says. */
  readonly pad_to_square: boolean | undefined;
  readonly split_images: boolean | undefined;
}

/** One variant of one view: RGB uint8, [height, width, 3]. */
export interface PixelView extends ImageSize {
  readonly pixels: Uint8Array;
}

/** A tensor in plain data: int64 values are held in an Int32Array; float32 values are converted where a graph wants float16. */
export interface PlainTensor {
  readonly type: "float32" | "int64" | "bool";
  readonly dims: readonly number[];
  readonly data: Float32Array | Int32Array | Uint8Array;
}

/** One variant of an image: its views in the order of the family's `views`, or those of one context. */
export interface VisionImage {
  readonly views: readonly PixelView[];
  readonly source_size: ImageSize | undefined;
}

/** An output that some encoders have beside the features: the embedding that ends a row of tiles. */
export const NEWLINE_OUTPUT = "image_newline";

/** What stands in the text where an image is shown. */
export interface ImageText {
  /** Every run of image tokens is written as one image token. */
  readonly text: string;
  /** Length of each run. */
  readonly runs: readonly number[];
}

/** What imageText may look at beside the image's size. */
export interface TextContext {
  readonly tokenOf: (id: number) => string | undefined;
  /** Images in the whole sample. */
  readonly num_images: number;
}

/** An image as the decoder's positions see it. */
export interface PlacedImage {
  readonly views: readonly ImageSize[];
}

/** How one family of models is fed. Everything not said here is the same for all of them. */
export interface Family {
  /** The id that stands for one feature row in input_ids; negative where the tokenizer has no such token. */
  readonly image_token_id: number;
  /** The id of what chat templates write where an image stands, to be replaced by ImageText. Undefined: the image token. */
  readonly placeholder_id?: number;
  /** What stands for `<image>` in templates over plain text. Undefined: the placeholder. */
  readonly inlinePlaceholder?: (placeholder: string) => string;
  readonly needs_image_sizes: boolean;
  readonly max_images: number;
  readonly warnings: readonly string[];
  /** The template of checkpoints that ship none; without it such a checkpoint is refused. */
  template?(tokenizer: TextTokenizer, placeholder: string): ChatTemplate;
  imageText(size: ImageSize | undefined, context: TextContext): ImageText | PrepareReject;
  views(size: ImageSize): readonly ViewPlan[];
  /** The views that are encoded where the image is its sample's only one, and where it is one of several. Undefined: all. */
  viewsInContext?(views: readonly PixelView[], context: ImageContext): readonly PixelView[];
  /**
   * Every view has one size, whatever the image's, and an image's feature rows are what the encoder gives for its views,
   * in their order: such a family's graphs can be joined into one.
   */
  readonly whole_views?: boolean;
  /** What the encoder sees of an image, one after the other. Undefined: its views. */
  tiles?(views: readonly PixelView[]): readonly PixelView[];
  /** The encoder's inputs for tiles of one size. */
  visionFeeds(tiles: readonly PixelView[]): Readonly<Record<string, PlainTensor>>;
  /** Floats of pixels that one run of the encoder may take on any device. */
  readonly max_call_values?: number;
  /** An image's feature rows from those of its tiles, [rows, hidden] each. Undefined: tile after tile. */
  imageRows?(tiles: readonly Float32Array[], image: VisionImage, newline: Float32Array): Float32Array;
  /** 1, or 3 for rotary positions with a row each for time, height and width. */
  readonly position_rows: 1 | 3;
  /** Position ids of a sequence, [position_rows, sequence]. */
  positions(input_ids: Int32Array, images: readonly PlacedImage[]): Int32Array;
  /** token_type_ids of a sequence, for the graphs that have them. `padding_type` fills rows up. */
  tokenTypes?(input_ids: Int32Array, answer_positions: Int32Array): Int32Array;
  readonly padding_type?: number;
}

export type ImageContext = "alone" | "several";

export interface FamilyEntry {
  readonly model_types: readonly string[];
  open(folder: FamilyFolder): Family;
}

/** Positions start, start + 1, ... */
export function countingPositions(input_ids: Int32Array, start: number): Int32Array {
  return Int32Array.from(input_ids, (_, i) => start + i);
}

/** The image token's id. Throws PlanError where config.json names none. */
export function imageTokenId(config: Json): number {
  const found = integerOf(config, "image_token_index", "image_token_id");
  if (found !== undefined) return found;
  throw new PlanError("config.json names no image token (image_token_index or image_token_id)", {
    remedy: "export the model with its full configuration",
  });
}

export function object(value: unknown): Json {
  return typeof value === "object" && value !== null ? (value as Json) : {};
}

export function integerOf(source: Json, ...keys: readonly string[]): number | undefined {
  for (const key of keys) if (typeof source[key] === "number") return source[key];
  return undefined;
}
