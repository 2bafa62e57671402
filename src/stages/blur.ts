import { type RecordBatch, type Binary, type Int32, Schema } from "apache-arrow";
import { z } from "zod";
import { BLUR_COLUMN } from "../core/columns.ts";
import { mapConcurrently } from "../core/map-concurrently.ts";
import { binaryColumn, binaryValue, columnData, takeRows, utf8Values, withColumns } from "../core/record-batch.ts";
import type { Batch, BatchContext, MapStage, Operator, StageOutput } from "../core/stage.ts";
import { openThreadPool, type ThreadPool } from "../core/thread-pool.ts";
import { unlessAborted } from "../core/unless-aborted.ts";
import { meanColor } from "../kernels/mean-color.ts";
import type { Model } from "../model/contract.ts";
import type { BlurTask } from "./blur-thread.ts";
import { SOURCE_VIEW } from "./decode.ts";
import { renderView, type Pixels } from "./image-decoding.ts";
import { requireColumns } from "./require-columns.ts";

export const blurConfig = z
  .strictObject({
    sigma_fraction: z
      .number()
      .positive()
      .max(10)
      .optional()
      .describe("Standard deviation of the Gaussian as a fraction of the image's shorter side. Default 0.28 (docs/concepts.md, the sweep)."),
    sigma_px: z.number().positive().max(4096).optional().describe("The same in pixels of the blurred image; instead of sigma_fraction."),
    at: z
      .enum(["model_input", "source"])
      .default("model_input")
      .describe("Blur the view that the model sees (fast), or the source image before it is resized."),
    stand_in: z
      .enum(["gaussian", "mean_color", "gray"])
      .default("gaussian")
      .describe("What stands for 'no image': a Gaussian blur (the paper), the image's mean colour, or flat gray."),
  })
  .refine((config) => config.sigma_fraction === undefined || config.sigma_px === undefined, {
    message: "give sigma_fraction or sigma_px, not both",
    path: ["sigma_px"],
  })
  .describe("Makes the blurred stand-in of every view: the paper's 'no image'.");

export type BlurConfig = z.infer<typeof blurConfig>;

export const DEFAULT_SIGMA_FRACTION = 0.28;

/** How blur is recorded in the manifest: kernel, sigma, where. */
export function describeBlur(config: BlurConfig): Readonly<Record<string, unknown>> {
  if (config.stand_in !== "gaussian") return { stand_in: config.stand_in, at: config.at };
  const sigma = config.sigma_px === undefined ? { sigma_fraction: config.sigma_fraction ?? DEFAULT_SIGMA_FRACTION } : { sigma_px: config.sigma_px };
  return { stand_in: "gaussian", kernel: "gaussian, edges replicated, rounded to 8 bits", ...sigma, at: config.at };
}

/**
 * Adds `pixels_blur` to the images table. Every other input is unchanged (method, "Blur").
 * Blurring runs in threads: it is plain arithmetic and would hold the main thread up.
 */
export function blur(config: BlurConfig, options: { readonly model: Model; readonly num_threads: number }): MapStage {
  return {
    kind: "blur",
    version: 4,
    config,
    concurrency: 2,
    outputSchema(input) {
      requireColumns("blur", input.images, ["image_key", "view", "width", "height", "pixels"]);
      return { samples: input.samples, images: new Schema([...input.images.fields, BLUR_COLUMN]) };
    },
    open: () => Promise.resolve(new BlurOperator(config, options.model, options.num_threads)),
  };
}

class BlurOperator implements Operator {
  readonly #config: BlurConfig;
  readonly #model: Model;
  readonly #pool: ThreadPool<readonly BlurTask[], Uint8Array[]>;
  readonly #numThreads: number;

  constructor(config: BlurConfig, model: Model, numThreads: number) {
    this.#config = config;
    this.#model = model;
    this.#numThreads = numThreads;
    this.#pool = openThreadPool(import.meta.url, "./blur-thread.ts", numThreads);
  }

  async process({ samples, images }: Batch, { signal }: BatchContext): Promise<StageOutput> {
    const views = images.numRows === 0 ? images : withoutSources(images);
    const blurred = this.#config.at === "source" ? await this.#blurSources(images, signal) : await this.#blurViews(images, signal);
    return { batch: { samples, images: withColumns(views, [BLUR_COLUMN], { pixels_blur: binaryColumn(blurred) }) }, rejects: [] };
  }

  async #blurViews(images: RecordBatch, signal: AbortSignal): Promise<Uint8Array[]> {
    const blurred = await mapConcurrently(messagesOf(rowsOf(images)), this.#numThreads * 2, (views) => this.#standIns(views, signal));
    return blurred.flat();
  }

  /** Blurs each source once, then renders the views from it in the order of the table. */
  async #blurSources(images: RecordBatch, signal: AbortSignal): Promise<Uint8Array[]> {
    const sources = rowsOf(images).filter((row) => row.view === SOURCE_VIEW);
    const rendered = await mapConcurrently(sources, this.#numThreads * 2, async (source) => {
      const [data] = await this.#standIns([source], signal);
      const blurredSource = { ...source, data: data! };
      return Promise.all(this.#model.views(source).map(async (plan) => (await renderView(blurredSource, plan)).data));
    });
    return rendered.flat();
  }

  async #standIns(images: readonly Pixels[], signal: AbortSignal): Promise<Uint8Array[]> {
    signal.throwIfAborted();
    switch (this.#config.stand_in) {
      case "gray":
        return images.map(({ data }) => new Uint8Array(data.length).fill(128));
      case "mean_color":
        return images.map(({ data }) => meanColor(data));
      case "gaussian": {
        const fraction = this.#config.sigma_fraction ?? DEFAULT_SIGMA_FRACTION;
        // A message with a view into the batch would copy the whole column behind it: send the images alone.
        const tasks = images.map(({ data, width, height }) => {
          return { pixels: data.slice(), width, height, sigma: this.#config.sigma_px ?? fraction * Math.min(width, height) };
        });
        // A large image takes seconds; closing the pool ends them.
        return unlessAborted(this.#pool.run(tasks, tasks.map(({ pixels }) => pixels.buffer)), signal);
      }
    }
  }

  close(): Promise<void> {
    return this.#pool.close();
  }
}

/** A message to a thread and back costs as much as blurring a small image: so much goes in one, or one larger image. */
const MESSAGE_BYTES = 1 << 18;

function messagesOf<Image extends Pixels>(images: readonly Image[]): Image[][] {
  const messages: Image[][] = [];
  let bytes = Infinity;
  for (const image of images) {
    bytes += image.data.length;
    if (bytes > MESSAGE_BYTES) {
      messages.push([]);
      bytes = image.data.length;
    }
    messages.at(-1)!.push(image);
  }
  return messages;
}

function rowsOf(images: RecordBatch): (Pixels & { readonly view: number })[] {
  const keys = utf8Values(images, "image_key");
  const [view, width, height] = ["view", "width", "height"].map((name) => columnData<Int32>(images, name).values);
  const pixels = columnData<Binary>(images, "pixels");
  return keys.map((_, row) => ({ view: view![row]!, width: width![row]!, height: height![row]!, data: binaryValue(pixels, row) }));
}

function withoutSources(images: RecordBatch): RecordBatch {
  const view = columnData<Int32>(images, "view").values;
  const kept = Array.from({ length: images.numRows }, (_, row) => row).filter((row) => view[row] !== SOURCE_VIEW);
  return kept.length === images.numRows ? images : takeRows(images, kept);
}
