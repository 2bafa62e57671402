import { PlanError } from "../core/errors.ts";
import type { ImageSize, PixelStep, ViewPlan } from "./contract.ts";

type Json = Readonly<Record<string, unknown>>;
export type ResizeKernel = Extract<PixelStep, { op: "resize" }>["kernel"];

/** Pillow's numbers for its resampling filters, as preprocessor_config.json stores them. */
const KERNELS: Readonly<Record<number, ResizeKernel>> = { 0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic" };

/** How uint8 values become a model's floats: (value * scale - mean) / std for each channel. */
export interface PixelScaling {
  readonly scale: number;
  readonly mean: readonly [number, number, number];
  readonly std: readonly [number, number, number];
}

/** preprocessor_config.json, read with the defaults of the family's processor class. */
export interface ImageProcessor {
  readonly kernel: ResizeKernel;
  readonly scaling: PixelScaling;
  /** Every other key, as the file has it. */
  readonly settings: Json;
  readonly flag: (key: string, otherwise: boolean) => boolean;
  readonly integer: (key: string, otherwise: number) => number;
}

export function readImageProcessor(settings: Json, defaults: { readonly kernel: ResizeKernel }): ImageProcessor {
  const resample = settings["resample"];
  const kernel = typeof resample === "number" ? KERNELS[resample] : defaults.kernel;
  if (kernel === undefined) {
    throw new PlanError(`preprocessor_config.json asks for resample ${String(resample)}, which is not supported`, {
      remedy: "use 0 (nearest), 1 (lanczos), 2 (bilinear) or 3 (bicubic)",
    });
  }
  const flag = (key: string, otherwise: boolean) => (typeof settings[key] === "boolean" ? settings[key] : otherwise);
  const rescale = flag("do_rescale", true);
  const normalize = flag("do_normalize", true);
  const factor = settings["rescale_factor"];
  return {
    kernel,
    scaling: {
      scale: rescale ? (typeof factor === "number" ? factor : 1 / 255) : 1,
      mean: normalize ? channels(settings["image_mean"], 0.5) : [0, 0, 0],
      std: normalize ? channels(settings["image_std"], 0.5) : [1, 1, 1],
    },
    settings,
    flag,
    integer: (key, otherwise) => (typeof settings[key] === "number" ? settings[key] : otherwise),
  };
}

function channels(value: unknown, otherwise: number): [number, number, number] {
  if (typeof value === "number") return [value, value, value];
  if (Array.isArray(value) && value.length === 3) return value.map(Number) as [number, number, number];
  return [otherwise, otherwise, otherwise];
}

/** A processor's size setting: one side, both sides, or a bound on the shortest or longest edge. */
export interface SizeSetting {
  readonly height?: number;
  readonly width?: number;
  readonly shortest_edge?: number;
  readonly longest_edge?: number;
}

export function sizeSetting(value: unknown): SizeSetting | undefined {
  if (typeof value === "number") return { shortest_edge: value };
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  return undefined;
}

/** As `sizeSetting`, where one number means a square. */
export function squareSetting(value: unknown): SizeSetting | undefined {
  return typeof value === "number" ? { height: value, width: value } : sizeSetting(value);
}

/** Steps being put together: each addition starts from the size that the steps so far lead to. */
export class StepPlan {
  readonly steps: PixelStep[] = [];
  size: ImageSize;

  constructor(size: ImageSize) {
    this.size = { width: size.width, height: size.height };
  }

  resize(size: ImageSize, kernel: ResizeKernel): this {
    if (size.width !== this.size.width || size.height !== this.size.height) {
      this.steps.push({ op: "resize", width: size.width, height: size.height, kernel });
      this.size = { width: size.width, height: size.height };
    }
    return this;
  }

  crop(left: number, top: number, size: ImageSize): this {
    if (size.width !== this.size.width || size.height !== this.size.height) {
      this.steps.push({ op: "crop", left, top, width: size.width, height: size.height });
      this.size = { width: size.width, height: size.height };
    }
    return this;
  }

  pad(left: number, top: number, right: number, bottom: number, color: readonly [number, number, number]): this {
    if (left + top + right + bottom > 0) {
      this.steps.push({ op: "pad", left, top, right, bottom, color });
      this.size = { width: this.size.width + left + right, height: this.size.height + top + bottom };
    }
    return this;
  }

  /** The middle of the image; padded with black where the image is smaller, the odd pixel right and below. */
  centerCrop({ width, height }: ImageSize): this {
    const [missingX, missingY] = [Math.max(0, width - this.size.width), Math.max(0, height - this.size.height)];
    this.pad(missingX >> 1, missingY >> 1, (missingX + 1) >> 1, (missingY + 1) >> 1, [0, 0, 0]);
    return this.crop((this.size.width - width) >> 1, (this.size.height - height) >> 1, { width, height });
  }

  /** The image in the middle of a square of its longer side. */
  padToSquare(color: readonly [number, number, number]): this {
    const side = Math.max(this.size.width, this.size.height);
    const left = (side - this.size.width) >> 1;
    const top = (side - this.size.height) >> 1;
    return this.pad(left, top, side - this.size.width - left, side - this.size.height - top, color);
  }

  done(): ViewPlan {
    return { steps: this.steps, size: this.size };
  }
}

/** Both sides scaled so that the shorter is `edge`; the longer is rounded down. */
export function shortestEdgeSize({ width, height }: ImageSize, edge: number): ImageSize {
  const short = Math.min(width, height);
  const long = Math.floor((edge * Math.max(width, height)) / short);
  return width <= height ? { width: edge, height: long } : { width: long, height: edge };
}

/** The plain processors' resize: to both sides, or to a shortest edge. Throws PlanError for any other setting. */
export function plainResize(plan: StepPlan, size: SizeSetting, kernel: ResizeKernel): StepPlan {
  if (size.height !== undefined && size.width !== undefined) {
    return plan.resize({ width: size.width, height: size.height }, kernel);
  }
  if (size.shortest_edge !== undefined) return plan.resize(shortestEdgeSize(plan.size, size.shortest_edge), kernel);
  throw new PlanError(`preprocessor_config.json has a size that is not understood: ${JSON.stringify(size)}`, {
    remedy: "use {height, width} or {shortest_edge}",
  });
}
