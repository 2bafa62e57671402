import type { RecordBatch } from "apache-arrow";
import { imagesSchema, samplesSchema } from "../core/columns.ts";
import { PlanError, StageError } from "../core/errors.ts";
import { columnData, emptyRecordBatch, makeRecordBatch, messagesColumn, numericListValue, utf8Column, utf8ListColumn } from "../core/record-batch.ts";
import { type ImageReject, isImageReject, type Operator, type SplitScope } from "../core/stage.ts";
import { ImageFolder } from "../io/sources/image-folder.ts";
import type { Model } from "../model/contract.ts";
import { tokenize } from "../stages/tokenize.ts";
import type { FormatContext } from "./format.ts";
import { loadRunModel, objectAt } from "./run-model.ts";
import type { SelectedSample } from "./selected-sample.ts";

/** Trainers ignore tokens with this label: PyTorch's cross_entropy default. */
const IGNORED_LABEL = -100;
const MAX_IMAGE_BYTES = 64 * 2 ** 20;
const MAX_PIXELS = 100_000_000;

/** A sample as a trainer takes it. */
export interface TrainingRow {
  /** The whole sequence, image tokens expanded. */
  readonly input_ids: Int32Array;
  /** As long as input_ids: the token where it keeps its loss, else -100. Not shifted. */
  readonly labels: Int32Array;
}

/** The image bytes of the run's samples, under image_root. */
export type ReadImage = (key: string) => Promise<Uint8Array>;

export function imageReader({ image_root }: FormatContext): ReadImage {
  if (image_root === undefined) {
    throw new PlanError("the images are needed, but nothing says where they are", { remedy: "name the folder that image paths are relative to with --image-root" });
  }
  const folder = new ImageFolder(image_root, MAX_IMAGE_BYTES);
  return async (key) => {
    const bytes = await folder.read(key);
    if (!isImageReject(bytes)) return bytes;
    throw new StageError(`image ${key}: ${bytes.message}`, { remedy: "restore the image, or correct --image-root" });
  };
}

/**
 * Makes the run's token sequences again and lays the stored masks over them. The stored tokens must come out again:
 * a sequence that differs is an error, never a wrong label.
 */
export class TrainingRows {
  readonly #model: Model;
  readonly #operator: Operator;
  readonly #readImage: ReadImage | undefined;

  private constructor(model: Model, operator: Operator, readImage: ReadImage | undefined) {
    this.#model = model;
    this.#operator = operator;
    this.#readImage = readImage;
  }

  static async open(context: FormatContext): Promise<TrainingRows> {
    const model = await loadRunModel(context.manifest, context.model_path);
    const readImage = model.needs_image_sizes ? imageReader(context) : undefined;
    return new TrainingRows(model, await tokenize(model, decodeLimits(context.manifest)).open(context.signal), readImage);
  }

  /** One row for each sample. Throws StageError naming the sample whose tokens are others now. */
  async of(samples: readonly SelectedSample[], signal: AbortSignal): Promise<TrainingRow[]> {
    const input = { samples: sampleRows(samples), images: emptyRecordBatch(imagesSchema) };
    const { batch, rejects } = await this.#operator.process(input, { split: this.#scope(), signal });
    const refused = rejects[0];
    if (refused) throw differentTokens(refused.sample_id, `${refused.code}: ${refused.message}`);
    const ids = columnData(batch.samples, "input_ids");
    const positions = columnData(batch.samples, "answer_positions");
    return samples.map((sample, row) => labelled(sample, numericListValue<Int32Array>(ids as never, row)!, numericListValue<Int32Array>(positions as never, row)!));
  }

  close(): Promise<void> {
    return this.#operator.close();
  }

  get path(): string {
    return this.#model.description.path;
  }

  #scope(): SplitScope {
    const read = this.#readImage;
    return {
      sequence: 0,
      imageUses: new Map(),
      readImage: (key): Promise<Uint8Array | ImageReject> => (read ? read(key) : Promise.reject(new PlanError("this model needs no images"))),
    };
  }
}

function labelled(sample: SelectedSample, input_ids: Int32Array, positions: Int32Array): TrainingRow {
  const { token_id, loss_mask } = sample;
  if (positions.length !== token_id.length) throw differentTokens(sample.sample_id, `${positions.length} answer tokens, not ${token_id.length}`);
  const labels = new Int32Array(input_ids.length).fill(IGNORED_LABEL);
  positions.forEach((position, token) => {
    if (input_ids[position] !== token_id[token]) throw differentTokens(sample.sample_id, `answer token ${token} is ${input_ids[position]}, not ${token_id[token]}`);
    if (loss_mask[token] === 1) labels[position] = token_id[token]!;
  });
  return { input_ids: input_ids.slice(), labels };
}

function differentTokens(sample_id: string, found: string): StageError {
  return new StageError(`the model folder gives sample ${sample_id} other tokens than the run stored: ${found}`, {
    remedy: "name the model folder that the run used with --model; where image sizes matter, also the run's images with --image-root",
  });
}

function sampleRows(samples: readonly SelectedSample[]): RecordBatch {
  return makeRecordBatch(samplesSchema, {
    sample_id: utf8Column(samples.map((sample) => sample.sample_id)),
    source: utf8Column(samples.map((sample) => sample.source)),
    images: utf8ListColumn(samples.map((sample) => sample.images)),
    messages: messagesColumn(samples.map((sample) => sample.messages)),
  });
}

/** As the run's decode stage had them. */
function decodeLimits(manifest: Readonly<Record<string, unknown>>): { max_pixels: number; apply_exif_orientation: boolean } {
  const stages = objectAt(objectAt(manifest, "plan"), "scores")["stages"];
  const decode = Array.isArray(stages) ? (stages as { kind?: unknown; config?: Record<string, unknown> }[]).find(({ kind }) => kind === "decode") : undefined;
  const { max_pixels, apply_exif_orientation } = decode?.config ?? {};
  return {
    max_pixels: typeof max_pixels === "number" ? max_pixels : MAX_PIXELS,
    apply_exif_orientation: apply_exif_orientation !== false,
  };
}
