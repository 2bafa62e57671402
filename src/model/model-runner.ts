import { StageError } from "../core/errors.ts";
import type { ImageInput, PlacedNodes, ScorerReport, ScoreStatistics, Sequence, SequenceNlls } from "./contract.ts";
import { decoderFeeds, type DecoderRow } from "./decoder-batch.ts";
import { maxCallValues } from "./device.ts";
import { checkDevice } from "./device-check.ts";
import type { Family, ImageContext, PixelView, PlainTensor, VisionImage } from "./families/family.ts";
import { encodeViews } from "./encode-views.ts";
import { familyOf } from "./families/registry.ts";
import { type FeaturePair, FeatureStore, type ImageFeatures } from "./feature-store.ts";
import { type SessionSource, sessionSource } from "./graph-file.ts";
import { cutGraphSource, type GraphSession, openSession } from "./graph-session.ts";
import { logitParts } from "./logit-parts.ts";
import { requireNames } from "./require-names.ts";
import { runCutDecoder, runFullDecoder } from "./run-decoder.ts";
import { LOG_PROBS_OUTPUT } from "./scoring-head.ts";
import type { DecoderHead, WorkerModel } from "./worker-protocol.ts";

/** A request names an image whose features this process does not have: they were lost with an earlier process. */
export class LostSplitError extends Error {}

type Graphs = readonly [vision: GraphSession, embed: GraphSession, decoder: GraphSession];

/** A loaded model in its process. */
export interface Runner {
  readonly report: ScorerReport;
  score(
    split: number,
    images: readonly ImageInput[],
    sequences: readonly Sequence[],
  ): Promise<{ sequences: SequenceNlls[]; statistics: ScoreStatistics }>;
  closeSplit(split: number): void;
}

/** The three graphs of a model in one process, and the features of the splits it serves. */
export class ModelRunner implements Runner {
  readonly report: ScorerReport;
  readonly #family: Family;
  readonly #vision: GraphSession;
  readonly #embed: GraphSession;
  readonly #decoder: GraphSession;
  readonly #head: DecoderHead;
  readonly #vocabulary: number;
  readonly #maxLength: number;
  readonly #maxCallValues: number;
  readonly #features = new FeatureStore();

  /** When the last request was done. */
  #idleSince = performance.now();

  private constructor(model: WorkerModel, head: DecoderHead, family: Family, [vision, embed, decoder]: Graphs, placement: readonly PlacedNodes[]) {
    this.#family = family;
    [this.#vision, this.#embed, this.#decoder, this.#head] = [vision, embed, decoder, head];
    this.#vocabulary = vocabularySize(model);
    this.#maxLength = model.max_length;
    this.#maxCallValues = maxCallValues(model.device);
    this.report = {
      execution_provider: model.device,
      head: head.kind === "full_logits" ? { kind: head.kind, reason: head.reason } : { kind: head.kind },
      placement,
      graphs: [vision, embed, decoder].map(({ name, inputs, outputs }) => ({
        name,
        inputs: inputs.map(describeValue),
        outputs: outputs.map(describeValue),
      })),
    };
  }

  /** Throws PlanError where a graph can't be loaded or has other names than the layout's. */
  static async open(model: WorkerModel, head: DecoderHead): Promise<ModelRunner> {
    const { graphs } = model;
    const onDevice = model.device !== "cpu";
    const open = (name: string, source: SessionSource) => openSession(name, source, model, { profile: onDevice });
    const vision = await open("vision_encoder", await sessionSource(graphs.vision_encoder));
    const embed = await open("embed_tokens", await sessionSource(graphs.embed_tokens));
    requireNames(embed.name, embed, { inputs: ["input_ids"] });
    const source =
      head.kind === "answer_rows" ? await cutGraphSource(head.path, head.external_folder) : await sessionSource(graphs.decoder_model_merged);
    const decoder = await open("decoder_model_merged", source);
    // A graph without attention_mask is causal and padded on the right: no token sees padding.
    requireNames(decoder.name, decoder, { inputs: ["inputs_embeds"], outputs: [head.kind === "answer_rows" ? LOG_PROBS_OUTPUT : "logits"] });
    const family = familyOf(model.model_type).open(model.folder);
    const placement = onDevice ? await checkDevice(model.device, family, head, [vision, embed, decoder]) : [];
    return new ModelRunner(model, head, family, [vision, embed, decoder], placement);
  }

  /** Encodes the new images, then scores the sequences in one padded batch with both variants. */
  async score(
    split: number,
    images: readonly ImageInput[],
    sequences: readonly Sequence[],
  ): Promise<{ sequences: SequenceNlls[]; statistics: ScoreStatistics }> {
    const started = performance.now();
    const before = this.#sessionMs();
    await this.#encode(split, images);
    const features = sequences.map((sequence) => this.#featuresOf(split, sequence));
    const length = sequences.reduce((longest, { input_ids }) => Math.max(longest, input_ids.length), 0);
    const results: SequenceNlls[] = [];
    for (const [start, end] of logitParts(sequences, this.#vocabulary, this.#logitRows(length))) {
      results.push(...(await this.#scorePart(sequences.slice(start, end), features.slice(start, end), length)));
    }
    for (const { images: shown } of sequences) for (const key of new Set(shown)) this.#features.release(split, key);
    const tokens = sequences.reduce((sum, { input_ids }) => sum + input_ids.length, 0);
    const positions = 2 * sequences.length * length;
    const session_ms = this.#sessionMs() - before;
    const idle_ms = started - this.#idleSince;
    this.#idleSince = performance.now();
    const host_ms = this.#idleSince - started - session_ms;
    return {
      sequences: results,
      statistics: { session_ms, host_ms, idle_ms, num_positions: positions, num_padding: positions - 2 * tokens },
    };
  }

  closeSplit(split: number): void {
    this.#features.closeSplit(split);
  }

  #sessionMs(): number {
    return this.#vision.session_ms + this.#embed.session_ms + this.#decoder.session_ms;
  }

  /** Both variants of every image, in the contexts that its family knows, in calls of equal shape. */
  async #encode(split: number, images: readonly ImageInput[]): Promise<void> {
    const variants: VisionImage[] = [];
    const places: { image: number; context: ImageContext }[] = [];
    images.forEach(({ views, source_size }, image) => {
      const clean = views.map(({ width, height, pixels }) => ({ width, height, pixels }));
      const blurred = views.map(({ width, height, pixels_blur }) => ({ width, height, pixels: pixels_blur }));
      for (const context of this.#family.viewsInContext ? CONTEXTS : CONTEXTS.slice(0, 1)) {
        const pick = (all: PixelView[]) => this.#family.viewsInContext?.(all, context) ?? all;
        if (pick(clean).length === 0) continue;
        places.push({ image, context });
        variants.push({ views: pick(clean), source_size }, { views: pick(blurred), source_size });
      }
    });
    const features = await encodeViews(this.#vision, this.#family, variants, this.#maxCallValues);
    const found = images.map((): Partial<Record<ImageContext, FeaturePair>> => ({}));
    places.forEach(({ image, context }, i) => (found[image]![context] = { clean: features[2 * i]!, blurred: features[2 * i + 1]! }));
    images.forEach(({ key, uses, views }, i) => {
      const placed = views.map(({ width, height }) => ({ width, height }));
      this.#features.put(split, key, { views: placed, in: found[i]! }, uses);
    });
  }

  #featuresOf(split: number, { images }: Sequence): ImageFeatures[] {
    return images.map((key) => {
      const features = this.#features.get(split, key);
      if (features) return features;
      throw new LostSplitError(`the features of image ${key} of split ${split} are not in this worker`);
    });
  }

  #logitRows(length: number): (sequence: Sequence) => number {
    return ({ answer_positions }) => 2 * (this.#head.kind === "answer_rows" ? answer_positions.length : length);
  }

  /** Row 2i is sequence i with its clean images, row 2i + 1 with the blurred ones. */
  async #scorePart(sequences: readonly Sequence[], features: readonly ImageFeatures[][], length: number): Promise<SequenceNlls[]> {
    const rows: DecoderRow[] = sequences.flatMap(({ input_ids, answer_positions }, i) => {
      const row = { input_ids, answer_positions, images: features[i]! };
      return [row, row];
    });
    const feeds = decoderFeeds(rows, length, this.#decoder.inputs, this.#family);
    feeds["inputs_embeds"] = await this.#inputsEmbeds(sequences, features, length);
    const logProbs =
      this.#head.kind === "answer_rows"
        ? await runCutDecoder(this.#decoder, feeds, rows, length)
        : await runFullDecoder(this.#decoder, feeds, rows, length);
    let at = 0;
    const take = (count: number) => Float32Array.from(logProbs.subarray(at, (at += count)), (value) => -value);
    return sequences.map(({ answer_positions: { length: count } }) => ({ nll_image: take(count), nll_blur: take(count) }));
  }

  /** [2n, length, hidden]: token embeddings, with feature rows at image tokens. */
  async #inputsEmbeds(sequences: readonly Sequence[], features: readonly ImageFeatures[][], length: number): Promise<PlainTensor> {
    const ids = new Int32Array(sequences.length * length);
    sequences.forEach(({ input_ids }, row) => ids.set(input_ids, row * length));
    const { embeds, hidden } = await embedTokens(this.#embed, ids, [sequences.length, length]);
    const size = length * hidden;
    const data = new Float32Array(2 * sequences.length * size);
    sequences.forEach(({ input_ids }, i) => {
      const text = embeds.subarray(i * size, (i + 1) * size);
      for (const [variant, pick] of (["clean", "blurred"] as const).entries()) {
        const row = data.subarray((2 * i + variant) * size, (2 * i + variant + 1) * size);
        row.set(text);
        const wasCut = input_ids.length >= this.#maxLength;
        const shown = features[i]!.map((image) => pairOf(image, features[i]!.length)[pick]);
        placeFeatures(row, input_ids, shown, hidden, this.#family.image_token_id, wasCut);
      }
    });
    return { type: "float32", dims: [2 * sequences.length, length, hidden], data };
  }
}

const CONTEXTS: readonly ImageContext[] = ["alone", "several"];

function pairOf({ in: contexts }: ImageFeatures, numImages: number): FeaturePair {
  return (numImages > 1 ? contexts.several : contexts.alone) ?? contexts.alone ?? contexts.several!;
}

/** Negative ids (image tokens that the vocabulary lacks) are embedded as 0 and overwritten later. */
export async function embedTokens(embed: GraphSession, ids: Int32Array, dims: [number, number]): Promise<{ embeds: Float32Array; hidden: number }> {
  const output = embed.outputs[0]!.name;
  const safe = ids.map((id) => Math.max(0, id));
  const result = (await embed.run({ input_ids: { type: "int64", dims, data: safe } }, [output]))[output]!;
  return { embeds: result.data, hidden: result.dims.at(-1)! };
}

/**
 * Writes the images' feature rows over the row's image tokens, in order.
 * Throws StageError where their numbers differ; a sequence that was cut may end within an image or before it.
 */
function placeFeatures(
  row: Float32Array,
  ids: Int32Array,
  images: readonly Float32Array[],
  hidden: number,
  imageToken: number,
  wasCut: boolean,
): void {
  const total = images.reduce((sum, { length }) => sum + length / hidden, 0);
  let image = 0;
  let offset = 0;
  let placed = 0;
  for (let place = 0; place < ids.length; place++) {
    if (ids[place] !== imageToken) continue;
    placed++;
    while (image < images.length && offset >= images[image]!.length) [image, offset] = [image + 1, 0];
    if (image < images.length) row.set(images[image]!.subarray(offset, (offset += hidden)), place * hidden);
  }
  if (placed !== total && !(wasCut && placed < total)) {
    throw new StageError(`a sequence has ${placed} image tokens where its images have ${total} feature rows`, {
      remedy: "the model's config.json, preprocessor_config.json and vision encoder don't belong together: export it again",
    });
  }
}

/** Columns of `logits`; a large guess where the graph leaves it open. */
export function vocabularySize({ graphs, folder }: WorkerModel): number {
  const logits = graphs.decoder_model_merged.outputs.find(({ name }) => name === "logits")?.dims.at(-1);
  if (typeof logits === "number") return logits;
  const text = { ...folder.config, ...(folder.config["text_config"] as object | undefined) } as Record<string, unknown>;
  return typeof text["vocab_size"] === "number" ? text["vocab_size"] : 262_144;
}

export function describeValue({ name, type, dims }: { name: string; type: string; dims: readonly (number | string)[] }): string {
  return `${name} ${type} [${dims.join(", ")}]`;
}
