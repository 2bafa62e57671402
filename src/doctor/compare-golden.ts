import { readFile } from "node:fs/promises";
import type { List } from "apache-arrow";
import { PlanError, StageError } from "../core/errors.ts";
import { columnData, messagesValue, utf8ListValue, utf8Values } from "../core/record-batch.ts";
import type { Sample } from "../core/sample.ts";
import type { Source, SplitContent } from "../core/source.ts";
import { isImageReject } from "../core/stage.ts";
import { gaussianBlur } from "../kernels/gaussian.ts";
import type { ImageInput, Model, Prepared, Scorer, ScorerOptions, SequenceNlls, ViewPixels } from "../model/contract.ts";
import { type DecodeLimits, decodeSource, type Pixels, renderView } from "../stages/image-decoding.ts";
import type { Golden, GoldenImage, GoldenSample } from "./golden-file.ts";

/** How far one variant's NLLs are from the golden file's. */
export interface VariantDifference {
  readonly variant: "nll_image" | "nll_blur";
  readonly num_tokens: number;
  /** Nats: over all tokens. NaN and infinite NLLs of ours count as infinite. */
  readonly worst: number;
  readonly mean: number;
  /** Where the worst is: sample, index among its answer tokens, the token, both numbers. */
  readonly at: { readonly sample_id: string; readonly token: number; readonly text: string; readonly ours: number; readonly golden: number } | undefined;
}

export interface GoldenComparison {
  readonly num_samples: number;
  readonly num_left_out: number;
  readonly variants: readonly VariantDifference[];
  /** One line for each sample whose tokens differ or which can't be prepared; its NLLs are not compared. */
  readonly mismatches: readonly string[];
}

export interface CompareOptions {
  readonly model: Model;
  readonly source: Source;
  readonly scorer: ScorerOptions;
  readonly limits: DecodeLimits;
}

/**
 * Scores the golden file's samples, each alone, and compares. Where the file brings no pixels, images are decoded and
 * resized as in a run and blurred by the Gaussian's definition in float64, whatever blur the configuration asks for: the
 * comparison is of the model, not of the blur.
 * Throws PlanError where the source lacks a sample that the file names.
 */
export async function compareGolden(golden: Golden, options: CompareOptions, signal: AbortSignal): Promise<GoldenComparison> {
  const contents = await findInSource(golden.samples, options.source, signal);
  const scorer = await options.model.openScorer({ ...options.scorer, num_workers: 1, devices: options.scorer.devices.slice(0, 1) }, signal);
  const [image, blur] = [new Tally("nll_image"), new Tally("nll_blur")];
  const mismatches: string[] = [];
  try {
    for (const [split, sample] of golden.samples.entries()) {
      const { messages, images } = sample.content ? { ...sample.content, images: await Promise.all(sample.content.images.map(canvasImage)) } : await sourceImages(contents.get(sample.id)!, golden.sigma_fraction, options);
      const keyed = images.map((input, i) => ({ ...input, key: String(i) }));
      const prepared = options.model.prepare(
        { sample_id: sample.id, source: "", images: keyed.map(({ key }) => key), messages },
        options.model.needs_image_sizes ? keyed.map(({ source_size }) => source_size) : [],
      );
      const mismatch = "code" in prepared ? `${prepared.code}: ${prepared.message}` : tokenMismatch(prepared, sample);
      if (mismatch !== undefined || "code" in prepared) {
        mismatches.push(`${sample.id}: ${mismatch}`);
        continue;
      }
      const nlls = await scoreAlone(scorer, split, keyed, prepared, signal);
      image.add(sample, prepared, nlls.nll_image, sample.nll_image);
      if (sample.nll_blur) blur.add(sample, prepared, nlls.nll_blur, sample.nll_blur);
    }
  } finally {
    await scorer.close();
  }
  return { num_samples: golden.samples.length, num_left_out: golden.num_left_out, variants: [image.done(), blur.done()], mismatches };
}

/** Throws StageError, naming sample and token, where tokens differ or an NLL is off by more than `tolerance` nats. */
export function requireClose({ variants, mismatches }: GoldenComparison, tolerance: number): void {
  if (mismatches.length > 0) {
    throw new StageError(`${mismatches.length} golden sample(s) have other tokens here; the first is ${mismatches[0]}`, {
      remedy: "check that the tokenizer, the chat template and model.max_length are those that the golden file was made with",
    });
  }
  const { at, variant, worst } = variants.reduce((most, other) => (other.worst > most.worst ? other : most));
  if (at === undefined || worst <= tolerance) return;
  throw new StageError(
    `${variant} of sample ${at.sample_id}, answer token ${at.token} ${JSON.stringify(at.text)}, is ${at.ours}, ${at.golden} in the golden file: ${worst.toPrecision(3)} nats apart, over the tolerance of ${tolerance}`,
    { remedy: "check that model.dtype and the checkpoint are those that the golden file was made with, or give a --tolerance that fits the dtype" },
  );
}

class Tally {
  readonly #variant: VariantDifference["variant"];
  #numTokens = 0;
  #sum = 0;
  #worst = -1;
  #at: VariantDifference["at"];

  constructor(variant: VariantDifference["variant"]) {
    this.#variant = variant;
  }

  add({ id }: GoldenSample, { token_text }: Prepared, ours: Float32Array, golden: readonly number[]): void {
    for (const [token, value] of golden.entries()) {
      const found = Math.abs(ours[token]! - value);
      const difference = Number.isNaN(found) ? Infinity : found;
      this.#numTokens++;
      this.#sum += difference;
      if (difference <= this.#worst) continue;
      this.#worst = difference;
      this.#at = { sample_id: id, token, text: token_text[token]!, ours: ours[token]!, golden: value };
    }
  }

  done(): VariantDifference {
    const num_tokens = this.#numTokens;
    return { variant: this.#variant, num_tokens, worst: Math.max(0, this.#worst), mean: num_tokens === 0 ? 0 : this.#sum / num_tokens, at: this.#at };
  }
}

function tokenMismatch({ input_ids, answer_positions }: Prepared, golden: GoldenSample): string | undefined {
  if (golden.input_ids !== undefined) {
    const at = golden.input_ids.findIndex((id, i) => id !== input_ids[i]);
    if (at >= 0) return `input_ids[${at}] is ${input_ids[at] ?? "missing"}, ${golden.input_ids[at]} in the golden file`;
    if (input_ids.length !== golden.input_ids.length) return `${input_ids.length} tokens, ${golden.input_ids.length} in the golden file`;
  }
  const at = golden.positions.findIndex((position, i) => position !== answer_positions[i]);
  if (at >= 0) return `answer token ${at} is at position ${answer_positions[at] ?? "none"}, ${golden.positions[at]} in the golden file`;
  if (answer_positions.length !== golden.positions.length) return `${answer_positions.length} answer tokens, ${golden.positions.length} in the golden file`;
  return undefined;
}

async function scoreAlone(scorer: Scorer, split: number, images: readonly ImageInput[], prepared: Prepared, signal: AbortSignal): Promise<SequenceNlls> {
  const { input_ids, answer_positions } = prepared;
  const { sequences } = await scorer.score({ split, images, sequences: [{ input_ids, answer_positions, images: images.map(({ key }) => key) }] }, signal);
  await scorer.closeSplit(split);
  return sequences[0]!;
}

interface SourceSample {
  readonly sample: Pick<Sample, "messages" | "images">;
  readonly readImage: SplitContent["readImage"];
}

/** The source's samples of the ids that bring no content of their own; reads splits until all are found. */
async function findInSource(samples: readonly GoldenSample[], source: Source, signal: AbortSignal): Promise<Map<string, SourceSample>> {
  const wanted = new Set(samples.filter(({ content }) => content === undefined).map(({ id }) => id));
  const found = new Map<string, SourceSample>();
  if (wanted.size === 0) return found;
  for await (const split of source.splits(signal)) {
    const content = await source.read(split, signal);
    for (const [row, id] of utf8Values(content.samples, "sample_id").entries()) {
      if (!wanted.delete(id)) continue;
      const images = utf8ListValue(columnData<List>(content.samples, "images"), row);
      found.set(id, { sample: { images, messages: messagesValue(columnData<List>(content.samples, "messages"), row) }, readImage: content.readImage });
    }
    if (wanted.size === 0) return found;
  }
  throw new PlanError(`the source has no sample ${[...wanted][0]}, which the golden file names${wanted.size > 1 ? ` (${wanted.size} are missing)` : ""}`, {
    remedy: "point source at the data that the golden file was made from",
  });
}

type PlacedInput = Omit<ImageInput, "key"> & { readonly source_size: NonNullable<ImageInput["source_size"]> };

async function sourceImages({ sample, readImage }: SourceSample, sigmaFraction: number, { model, limits }: CompareOptions): Promise<{ messages: Sample["messages"]; images: PlacedInput[] }> {
  const images: PlacedInput[] = [];
  for (const key of sample.images) {
    const bytes = await readImage(key, new AbortController().signal);
    const source = isImageReject(bytes) ? bytes : await decodeSource(bytes, limits);
    if (isImageReject(source)) throw new StageError(`image ${key} of a golden sample can't be used: ${source.code}: ${source.message}`);
    const views: ViewPixels[] = [];
    for (const plan of model.views(source)) {
      const { width, height, data } = await renderView(source, plan);
      const blurred = gaussianBlur(data, width, height, sigmaFraction * Math.min(width, height));
      views.push({ width, height, pixels: data, pixels_blur: Uint8Array.from(blurred, Math.round) });
    }
    images.push({ uses: 1, source_size: { width: source.width, height: source.height }, views });
  }
  return { messages: sample.messages, images };
}

async function canvasImage({ source_size, views }: GoldenImage): Promise<PlacedInput> {
  const pixels = async (file: string): Promise<Pixels> => {
    const found = await decodeSource(await readFile(file), { max_pixels: 1e8, apply_exif_orientation: false });
    if (isImageReject(found)) throw new PlanError(`${file} can't be read: ${found.message}`);
    return found;
  };
  return {
    uses: 1,
    source_size,
    views: await Promise.all(views.map(async ({ file, blur_file, width, height }) => ({ width, height, pixels: (await pixels(file)).data, pixels_blur: (await pixels(blur_file)).data }))),
  };
}
