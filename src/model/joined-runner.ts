import { StageError } from "../core/errors.ts";
import type { ImageInput, PlacedNodes, ScorerReport, ScoreStatistics, Sequence, SequenceNlls } from "./contract.ts";
import { decoderFeeds } from "./decoder-batch.ts";
import { checkGraph } from "./device-check.ts";
import type { Family, PlainTensor } from "./families/family.ts";
import { familyOf } from "./families/registry.ts";
import { FeatureStore } from "./feature-store.ts";
import { cutGraphSource, type FloatOutput, type GraphSession, openSession } from "./graph-session.ts";
import { IMAGE_ROWS_OUTPUT, KEPT_ROWS_INPUT, SOURCE_ROWS_INPUT } from "./join-graphs.ts";
import { logitParts } from "./logit-parts.ts";
import { describeValue, LostSplitError, type Runner, vocabularySize } from "./model-runner.ts";
import { answerFeeds } from "./run-decoder.ts";
import { LOG_PROBS_OUTPUT } from "./scoring-head.ts";
import type { JoinedGraph, WorkerModel } from "./worker-protocol.ts";

/**
 * A model whose three graphs are one: token ids and pixels go to the device, log-probabilities come back. An image's
 * features come back too where a later batch shows it again.
 */
export class JoinedRunner implements Runner {
  readonly report: ScorerReport;
  readonly #family: Family;
  readonly #session: GraphSession;
  readonly #graph: JoinedGraph;
  readonly #vocabulary: number;
  readonly #maxLength: number;
  readonly #features = new FeatureStore();
  #idleSince = performance.now();

  private constructor(model: WorkerModel, graph: JoinedGraph, family: Family, session: GraphSession) {
    [this.#family, this.#session, this.#graph] = [family, session, graph];
    this.#vocabulary = vocabularySize(model);
    this.#maxLength = model.max_length;
    const { name, inputs, outputs } = session;
    this.report = {
      execution_provider: model.device,
      head: { kind: "answer_rows" },
      placement: [],
      graphs: [{ name, inputs: inputs.map(describeValue), outputs: outputs.map(describeValue) }],
    };
  }

  static async open(model: WorkerModel, graph: JoinedGraph): Promise<JoinedRunner> {
    const onDevice = model.device !== "cpu";
    const source = await cutGraphSource(graph.path, graph.external_folder);
    const session = await openSession("vision_encoder + embed_tokens + decoder_model_merged", source, model, { profile: onDevice });
    const family = familyOf(model.model_type).open(model.folder);
    const runner = new JoinedRunner(model, graph, family, session);
    if (onDevice) Object.assign(runner.report, { placement: await runner.#checkDevice(model.device) });
    return runner;
  }

  /** Scores one black image with a short text, and says where the nodes ran. */
  async #checkDevice(device: string): Promise<PlacedNodes[]> {
    const image = Array.from({ length: this.#graph.tokens_per_view }, () => this.#family.image_token_id);
    const sequence = { input_ids: Int32Array.from([5, ...image, 6, 7, 8]), answer_positions: Int32Array.of(image.length + 2), images: ["check"] };
    const views = this.#blackViews().map(({ width, height, pixels }) => ({ width, height, pixels, pixels_blur: pixels }));
    await this.score(-1, [{ key: "check", uses: 1, views }], [sequence]);
    const placed = await checkGraph(this.#session, device);
    this.#idleSince = performance.now();
    return [placed];
  }

  #blackViews(): { width: number; height: number; pixels: Uint8Array }[] {
    return this.#family.views({ width: 64, height: 64 }).map(({ size: { width, height } }) => ({ width, height, pixels: new Uint8Array(3 * width * height) }));
  }

  async score(split: number, images: readonly ImageInput[], sequences: readonly Sequence[]): Promise<{ sequences: SequenceNlls[]; statistics: ScoreStatistics }> {
    const started = performance.now();
    const before = this.#session.session_ms;
    const length = sequences.reduce((longest, { input_ids }) => Math.max(longest, input_ids.length), 0);
    const pending = new Map(images.map((image) => [image.key, image]));
    const results: SequenceNlls[] = [];
    for (const [start, end] of logitParts(sequences, this.#vocabulary, ({ answer_positions }) => 2 * answer_positions.length)) {
      results.push(...(await this.#scorePart(split, pending, sequences.slice(start, end), length, end === sequences.length)));
    }
    const tokens = sequences.reduce((sum, { input_ids }) => sum + input_ids.length, 0);
    const positions = 2 * sequences.length * length;
    const session_ms = this.#session.session_ms - before;
    const idle_ms = started - this.#idleSince;
    this.#idleSince = performance.now();
    const host_ms = this.#idleSince - started - session_ms;
    return { sequences: results, statistics: { session_ms, host_ms, idle_ms, num_positions: positions, num_padding: positions - 2 * tokens } };
  }

  closeSplit(split: number): void {
    this.#features.closeSplit(split);
  }

  /** Encodes the images of `pending` that these sequences show (with `isLast` all that are left) and scores them in one run. */
  async #scorePart(split: number, pending: Map<string, ImageInput>, sequences: readonly Sequence[], length: number, isLast: boolean): Promise<SequenceNlls[]> {
    const shown = new Map<string, number>();
    for (const { images } of sequences) for (const key of new Set(images)) shown.set(key, (shown.get(key) ?? 0) + 1);
    const fresh = [...pending.values()].filter(({ key }) => isLast || shown.has(key));
    for (const { key } of fresh) pending.delete(key);
    const rows = new RowPlan(sequences.length * length, this.#graph);
    for (const { key, views } of fresh) rows.addFresh(key, views.length);
    for (const key of shown.keys()) if (!rows.has(key)) rows.addKept(key, this.#keptFeatures(split, key));

    const decoderRows = sequences.flatMap(({ input_ids, answer_positions }) => Array.from({ length: 2 }, () => ({ input_ids, answer_positions, images: [] })));
    const ids = new Int32Array(sequences.length * length);
    sequences.forEach(({ input_ids }, row) => ids.set(input_ids.map((id) => Math.max(0, id)), row * length));
    const feeds: Record<string, PlainTensor> = {
      ...this.#visionFeeds(fresh),
      ...decoderFeeds(decoderRows, length, this.#session.inputs.filter(({ name }) => !JOIN_INPUTS.has(name)), this.#family),
      ...answerFeeds(decoderRows, length),
      input_ids: { type: "int64", dims: [sequences.length, length], data: ids },
      [KEPT_ROWS_INPUT]: rows.keptRows(),
      [SOURCE_ROWS_INPUT]: { type: "int64", dims: [2 * sequences.length, length], data: this.#sourceRows(sequences, rows, length) },
    };
    const again = fresh.filter(({ key, uses }) => uses > (shown.get(key) ?? 0));
    const outputs = await this.#session.run(feeds, again.length > 0 ? [LOG_PROBS_OUTPUT, IMAGE_ROWS_OUTPUT] : [LOG_PROBS_OUTPUT]);
    for (const image of again) this.#keep(split, image, rows, outputs[IMAGE_ROWS_OUTPUT]!);
    for (const [key, count] of shown) for (let i = 0; i < count; i++) this.#features.release(split, key);
    return nllsOf(sequences, outputs[LOG_PROBS_OUTPUT]!.data);
  }

  #keptFeatures(split: number, key: string): { clean: Float32Array; blurred: Float32Array } {
    const found = this.#features.get(split, key)?.in.alone;
    if (found) return found;
    throw new LostSplitError(`the features of image ${key} of split ${split} are not in this worker`);
  }

  #keep(split: number, { key, uses, views }: ImageInput, rows: RowPlan, { data }: FloatOutput): void {
    const { hidden } = this.#graph;
    const base = rows.firstFresh;
    const [clean, blurred] = [0, 1].map((variant) => {
      const { start, count } = rows.of(key, variant);
      return data.slice((start - base) * hidden, (start - base + count) * hidden);
    });
    this.#features.put(split, key, { views, in: { alone: { clean: clean!, blurred: blurred! } } }, uses);
  }

  /** The encoder's inputs, clean and blurred views in turns; a black image where there is none, since no input may be empty. */
  #visionFeeds(images: readonly ImageInput[]): Readonly<Record<string, PlainTensor>> {
    const variants = images.flatMap(({ views }) => [...views, ...views.map(({ width, height, pixels_blur }) => ({ width, height, pixels: pixels_blur }))]);
    return this.#family.visionFeeds(variants.length > 0 ? variants : this.#blackViews());
  }

  /** Row 2i is sequence i with its clean images, row 2i + 1 with the blurred ones. */
  #sourceRows(sequences: readonly Sequence[], rows: RowPlan, length: number): Int32Array {
    const source = new Int32Array(2 * sequences.length * length);
    sequences.forEach(({ input_ids, images }, i) => {
      for (const variant of [0, 1]) {
        const shown = images.flatMap((key) => {
          const { start, count } = rows.of(key, variant);
          return Array.from({ length: count }, (_, row) => start + row);
        });
        let placed = 0;
        const at = (2 * i + variant) * length;
        for (let place = 0; place < length; place++) {
          const isImage = place < input_ids.length && input_ids[place] === this.#family.image_token_id;
          source[at + place] = isImage ? (shown[placed++] ?? i * length + place) : i * length + place;
        }
        requirePlaced(placed, shown.length, input_ids.length >= this.#maxLength);
      }
    });
    return source;
  }
}

const JOIN_INPUTS = new Set(["pixel_values", "input_ids", KEPT_ROWS_INPUT, SOURCE_ROWS_INPUT]);

interface RowRange {
  readonly start: number;
  readonly count: number;
}

/** Where each image's rows stand: behind the text's rows first the new images', then the kept ones'. */
class RowPlan {
  readonly firstFresh: number;
  readonly #places = new Map<string, readonly [clean: RowRange, blurred: RowRange]>();
  readonly #kept: Float32Array[] = [];
  readonly #graph: JoinedGraph;
  #next: number;
  #numFresh = 0;

  constructor(numTextRows: number, graph: JoinedGraph) {
    this.firstFresh = this.#next = numTextRows;
    this.#graph = graph;
  }

  has(key: string): boolean {
    return this.#places.has(key);
  }

  of(key: string, variant: number): RowRange {
    return this.#places.get(key)![variant]!;
  }

  addFresh(key: string, numViews: number): void {
    this.#numFresh++;
    this.#add(key, numViews * this.#graph.tokens_per_view);
  }

  addKept(key: string, { clean, blurred }: { readonly clean: Float32Array; readonly blurred: Float32Array }): void {
    // Without a new image the graph still has a black one's rows.
    if (this.#numFresh === 0) this.#skip(this.#graph.tokens_per_view);
    this.#numFresh = -1;
    this.#kept.push(clean, blurred);
    this.#add(key, clean.length / this.#graph.hidden);
  }

  /** One row of zeros where nothing is kept. */
  keptRows(): PlainTensor {
    const { hidden } = this.#graph;
    const size = this.#kept.reduce((sum, { length }) => sum + length, 0);
    const data = new Float32Array(Math.max(hidden, size));
    let at = 0;
    for (const rows of this.#kept) {
      data.set(rows, at);
      at += rows.length;
    }
    return { type: "float32", dims: [data.length / hidden, hidden], data };
  }

  #skip(count: number): void {
    this.#next += count;
  }

  #add(key: string, count: number): void {
    const [clean, blurred] = [0, 1].map((variant) => ({ start: this.#next + variant * count, count }));
    this.#places.set(key, [clean!, blurred!]);
    this.#next += 2 * count;
  }
}

function requirePlaced(placed: number, total: number, wasCut: boolean): void {
  if (placed === total || (wasCut && placed < total)) return;
  throw new StageError(`a sequence has ${placed} image tokens where its images have ${total} feature rows`, {
    remedy: "the model's config.json, preprocessor_config.json and vision encoder don't belong together: export it again",
  });
}

function nllsOf(sequences: readonly Sequence[], logProbs: Float32Array): SequenceNlls[] {
  let at = 0;
  const take = (count: number) => Float32Array.from(logProbs.subarray(at, (at += count)), (value) => -value);
  return sequences.map(({ answer_positions: { length: count } }) => ({ nll_image: take(count), nll_blur: take(count) }));
}
