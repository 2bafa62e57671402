import { z } from "zod";
import type { Batch, BatchContext, ImageReject, MapStage, Operator, SplitScope, StageOutput } from "../core/stage.ts";
import { isImageReject } from "../core/stage.ts";
import { imagesSchema } from "../core/columns.ts";
import { mapConcurrently } from "../core/map-concurrently.ts";
import { binaryColumn, columnData, int32Column, makeRecordBatch, takeRows, utf8Column, utf8ListValue, utf8Value } from "../core/record-batch.ts";
import type { Reject } from "../core/rejects.ts";
import { unlessAborted } from "../core/unless-aborted.ts";
import type { ImageSize, Model } from "../model/contract.ts";
import { requireColumns } from "./require-columns.ts";
import { decodeSource, renderView, type Pixels } from "./image-decoding.ts";

export const decodeConfig = z
  .strictObject({
    max_pixels: z
      .int()
      .positive()
      .default(100_000_000)
      .describe("Images with more pixels are rejected as image_too_large before they are decoded."),
    apply_exif_orientation: z
      .boolean()
      .default(true)
      .describe("Turn images as their EXIF orientation says, like datasets and transformers do; LLaVA's own trainer does not."),
  })
  .describe("Decodes each distinct image of a split once and renders the views that the model sees.");

export type DecodeConfig = z.infer<typeof decodeConfig>;

/** Images decoded at once within one batch; libvips runs each on a thread of libuv's pool. */
const IMAGES_AT_ONCE = 4;

/** The number of the extra row that holds the source image itself, where blur works on the source. */
export const SOURCE_VIEW = -1;

interface View extends Pixels {
  readonly key: string;
  readonly view: number;
  readonly source: ImageSize;
}

/**
 * Adds to the images table a row for every view of every image that the split shows for the first time.
 * Rejects (every sample that shows the image): image_not_found, image_path_outside_root, image_corrupt,
 * image_unsupported_format, image_too_large.
 * Memory bound: the views of one batch's new images, times `concurrency`.
 */
export function decode(config: DecodeConfig, options: { readonly model: Model; readonly keepSource: boolean }): MapStage {
  return {
    kind: "decode",
    version: 2,
    config,
    concurrency: 2,
    outputSchema(input) {
      requireColumns("decode", input.samples, ["sample_id", "images"]);
      return { samples: input.samples, images: imagesSchema };
    },
    open: () => Promise.resolve(new DecodeOperator(config, options.model, options.keepSource)),
  };
}

class DecodeOperator implements Operator {
  /** Per split: what became of each image. A later batch waits for the outcome, never for the pixels. */
  readonly #outcomes = new WeakMap<SplitScope, Map<string, Promise<ImageReject | undefined>>>();
  readonly #config: DecodeConfig;
  readonly #model: Model;
  readonly #keepSource: boolean;

  constructor(config: DecodeConfig, model: Model, keepSource: boolean) {
    this.#config = config;
    this.#model = model;
    this.#keepSource = keepSource;
  }

  async process({ samples }: Batch, { split, signal }: BatchContext): Promise<StageOutput> {
    const imagesOf = Array.from({ length: samples.numRows }, (_, row) => utf8ListValue(columnData(samples, "images"), row));
    const outcomes = this.#outcomes.get(split) ?? new Map<string, Promise<ImageReject | undefined>>();
    this.#outcomes.set(split, outcomes);

    const newKeys = [...new Set(imagesOf.flat())].filter((key) => !outcomes.has(key));
    const decoding = mapConcurrently(newKeys, IMAGES_AT_ONCE, (key) => this.#decodeOne(key, split, signal));
    for (const [i, key] of newKeys.entries()) {
      const outcome = decoding.then((results) => (isImageReject(results[i]!) ? results[i] : undefined));
      // A failure is thrown below, by the batch that caused it; nobody may be waiting for it here.
      outcome.catch(() => undefined);
      outcomes.set(key, outcome);
    }
    const views = (await decoding).flatMap((result) => (isImageReject(result) ? [] : result));

    const rejects: Reject[] = [];
    const kept: number[] = [];
    for (const [row, keys] of imagesOf.entries()) {
      const failed = await this.#firstFailure(keys, outcomes);
      if (!failed) kept.push(row);
      else rejects.push({ sample_id: utf8Value(columnData(samples, "sample_id"), row), code: failed.code, message: failed.message });
    }
    return { batch: { samples: rejects.length === 0 ? samples : takeRows(samples, kept), images: imagesTable(views) }, rejects };
  }

  async #decodeOne(key: string, split: SplitScope, signal: AbortSignal): Promise<View[] | ImageReject> {
    signal.throwIfAborted();
    const bytes = await split.readImage(key, signal);
    if (isImageReject(bytes)) return bytes;
    const source = await decodeSource(bytes, this.#config);
    if (isImageReject(source)) return source;
    const plans = this.#model.views(source);
    signal.throwIfAborted();
    const views = await unlessAborted(Promise.all(plans.map(async (plan, view) => ({ key, view, source, ...(await renderView(source, plan)) }))), signal);
    return this.#keepSource ? [{ key, view: SOURCE_VIEW, source, ...source }, ...views] : views;
  }

  async #firstFailure(keys: readonly string[], outcomes: ReadonlyMap<string, Promise<ImageReject | undefined>>): Promise<ImageReject | undefined> {
    for (const key of keys) {
      const reject = await outcomes.get(key);
      if (reject) return { code: reject.code, message: `${key}: ${reject.message}` };
    }
    return undefined;
  }

  async close(): Promise<void> {
    // Nothing is held beyond the splits themselves.
  }
}

function imagesTable(views: readonly View[]) {
  return makeRecordBatch(imagesSchema, {
    image_key: utf8Column(views.map((view) => view.key)),
    view: int32Column(Int32Array.from(views, (view) => view.view)),
    width: int32Column(Int32Array.from(views, (view) => view.width)),
    height: int32Column(Int32Array.from(views, (view) => view.height)),
    source_width: int32Column(Int32Array.from(views, ({ source }) => source.width)),
    source_height: int32Column(Int32Array.from(views, ({ source }) => source.height)),
    pixels: binaryColumn(views.map((view) => view.data)),
  });
}
