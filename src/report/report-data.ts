/** Reads a finished run: everything that the page shows, in a fixed amount of memory whatever the run's size. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createHash } from "node:crypto";
import { PlanError } from "../core/errors.ts";
import { utf8Values } from "../core/record-batch.ts";
import { type ChosenSample, SampleChoice } from "./choose-samples.ts";
import { CurveCount, type CurvePoint, type SourceCurve } from "./curve.ts";
import { chooseBins, type Distribution } from "./distribution.ts";
import { type Picture, standInOf, takePicture } from "./pictures.ts";
import { RejectExamples } from "./reject-examples.ts";
import { type Granularity, granularityOf, type RunManifest } from "./run-manifest.ts";
import { parseTimeline, type RunTimeline, TIMELINE_FILE } from "./run-timeline.ts";
import { type SampleView, VIEW_COLUMNS, viewSamples } from "./sample-view.ts";
import type { ScoresFolder } from "./scores-folder.ts";
import type { ImageReader } from "./source-images.ts";
import { Census, QuantileSearch } from "./stops.ts";
import { type WordTable, WordTally } from "./word-table.ts";

/** The page stays below 5 MB: pictures and conversations have their shares of it, the charts need the rest. */
const PICTURE_BYTES = 2_900_000;
const CONVERSATION_BYTES = 1_200_000;

/** Token VIGs beyond are counted at the ends. */
const TOKEN_RANGE = [-8, 16] as const;

export interface ShownSample extends SampleView {
  /** Index into pictures; null where there is none, in words why. */
  readonly pictures: readonly (number | string)[];
}

export interface ReportData {
  readonly manifest: RunManifest;
  readonly granularity: Granularity;
  readonly num_vig: number;
  readonly num_text_only: number;
  /** Answer tokens of samples with a VIG. */
  readonly num_vig_tokens: number;
  /** Highest tau first. */
  readonly curve: readonly CurvePoint[];
  readonly sources: readonly SourceCurve[];
  readonly samples_by_vig: Distribution;
  readonly tokens_by_vig: Distribution;
  readonly words: WordTable;
  /** Ranked groups first. */
  readonly samples: readonly ShownSample[];
  readonly pictures: readonly Picture[];
  readonly rejects: RejectExamples;
  readonly timeline: RunTimeline | undefined;
}

export interface CollectOptions {
  /** Ids of samples that the page has to show. */
  readonly asked: readonly string[];
  /** Opens the images, once rejects have been counted; undefined where they can't be. */
  readonly openImages: (rejectsBySplit: ReadonlyMap<number, number>) => ImageReader | undefined;
  readonly signal: AbortSignal;
}

export async function collectReport(folder: ScoresFolder, { asked, openImages, signal }: CollectOptions): Promise<ReportData> {
  const { manifest } = folder;
  const places = await findSamples(folder, asked, signal);
  const rejects = new RejectExamples();
  for await (const batch of folder.rejects(signal)) rejects.observe(batch);
  const counted = await countEverything(folder, places, signal);
  const words = new WordTally(manifest.counts.num_tokens);
  for await (const batch of folder.scores(WordTally.columns, signal)) words.observe(batch);
  const views = await readViews(folder, counted.chosen, signal);
  const images = openImages(rejects.bySplit);
  const { samples, pictures } = await addPictures(withinBudget(views), images, manifest, signal);
  return {
    manifest,
    granularity: granularityOf(manifest),
    ...counted.numbers,
    words: words.result(),
    samples,
    pictures,
    rejects,
    timeline: await readTimeline(folder),
  };
}

/** Places of samples, in the order asked. Throws PlanError naming those that the run has not scored. */
async function findSamples(folder: ScoresFolder, ids: readonly string[], signal: AbortSignal): Promise<readonly number[]> {
  if (ids.length === 0) return [];
  const places = new Map<string, number>();
  const wanted = new Set(ids);
  for await (const { start, batch } of folder.scores(["sample_id"], signal)) {
    for (const [row, id] of utf8Values(batch, "sample_id").entries()) if (wanted.has(id)) places.set(id, start + row);
  }
  const missing = [...wanted].filter((id) => !places.has(id));
  if (missing.length > 0) throw new PlanError(`no such sample in ${folder.path}: ${missing.join(", ")}`, { remedy: "take sample_id as it stands in scores/; rejected samples are in rejects/" });
  return [...wanted].map((id) => places.get(id)!);
}

type Numbers = Pick<ReportData, "num_vig" | "num_text_only" | "num_vig_tokens" | "curve" | "sources" | "samples_by_vig" | "tokens_by_vig">;

/** Three or a few more readings of narrow columns: how many, where the quantiles lie, what is at or above each. */
async function countEverything(folder: ScoresFolder, asked: readonly number[], signal: AbortSignal): Promise<{ readonly numbers: Numbers; readonly chosen: readonly ChosenSample[] }> {
  const { manifest } = folder;
  const census = new Census();
  for await (const { batch } of folder.scores(["vig", "source"], signal)) census.observe(batch);
  const search = new QuantileSearch(census, manifest.thresholds);
  while (!search.done) {
    for await (const { batch } of folder.scores(["vig"], signal)) search.observe(batch);
    search.endPass();
  }
  const stops = search.stops();
  const tauAt = (percent: number): number => stops.find((stop) => stop.top_percent === percent)?.tau ?? 0;
  const counting = new CurveCount({
    stops,
    granularity: granularityOf(manifest),
    sources: census.sources(),
    // All but the outermost half percent on either side.
    bins: chooseBins(tauAt(99.5), tauAt(0.5)),
    tokenBins: chooseBins(...TOKEN_RANGE),
  });
  const choice = new SampleChoice(folder.num_rows, tauAt(50));
  for await (const placed of folder.scores(["vig", "source", "token_vig"], signal)) {
    counting.observe(placed.batch);
    choice.observe(placed);
  }
  const sources = counting.sources();
  const numbers: Numbers = {
    num_vig: census.num_vig,
    num_text_only: census.num_text_only,
    num_vig_tokens: sources.reduce((sum, source) => sum + source.num_tokens, 0),
    curve: counting.curve(),
    sources,
    samples_by_vig: counting.distribution(),
    tokens_by_vig: counting.tokenDistribution(),
  };
  return { numbers, chosen: choice.chosen(asked) };
}

/** In the order chosen. */
async function readViews(folder: ScoresFolder, chosen: readonly ChosenSample[], signal: AbortSignal): Promise<SampleView[]> {
  const byPlace = new Map(chosen.map((sample) => [sample.place, sample]));
  const views = new Map<number, SampleView>();
  const places = [...byPlace.keys()].sort((a, b) => a - b);
  for await (const rows of folder.rowsAt(places, VIEW_COLUMNS, signal)) {
    for (const view of viewSamples(rows.batch, rows.places.map((place) => byPlace.get(place)!))) views.set(view.place, view);
  }
  return chosen.map(({ place }) => views.get(place)!);
}

/** As many as fit, ranked ones first. */
function withinBudget(views: readonly SampleView[]): SampleView[] {
  let room = CONVERSATION_BYTES;
  return views.filter((view) => (room -= Buffer.byteLength(JSON.stringify(view))) >= 0);
}

async function addPictures(views: readonly SampleView[], images: ImageReader | undefined, manifest: RunManifest, signal: AbortSignal): Promise<Pick<ReportData, "samples" | "pictures">> {
  const album = new Album(images, manifest);
  const found = new Map<SampleView, readonly (number | string)[]>();
  const inOrder = (part: readonly SampleView[]): SampleView[] => [...part].sort((a, b) => a.place - b.place);
  const isRanked = (view: SampleView): boolean => view.groups.some((group) => group !== "random");
  for (const view of [...inOrder(views.filter(isRanked)), ...inOrder(views.filter((one) => !isRanked(one)))]) {
    const taken: (number | string)[] = [];
    for (const key of view.images) taken.push(await album.add(view.place, key, signal));
    found.set(view, taken);
  }
  return { samples: views.map((view) => ({ ...view, pictures: found.get(view)! })), pictures: album.pictures };
}

/** The page's pictures: each image once, and no more of them than the page has room for. */
class Album {
  readonly pictures: Picture[] = [];
  readonly #byDigest = new Map<string, number | string>();
  readonly #images: ImageReader | undefined;
  readonly #standIn: ReturnType<typeof standInOf>;
  #room = PICTURE_BYTES;

  constructor(images: ImageReader | undefined, manifest: RunManifest) {
    this.#images = images;
    this.#standIn = standInOf(manifest.blur);
  }

  /** The picture's number, or in words why there is none. */
  async add(place: number, key: string, signal: AbortSignal): Promise<number | string> {
    signal.throwIfAborted();
    if (!this.#images) return "the manifest does not say where the images are";
    if (this.#room <= 0) return "left out to keep this page small";
    const bytes = await this.#images.read(place, key, signal);
    if (typeof bytes === "string") return bytes;
    const digest = createHash("sha256").update(bytes).digest("hex");
    const known = this.#byDigest.get(digest) ?? (await this.#take(bytes));
    this.#byDigest.set(digest, known);
    return known;
  }

  async #take(bytes: Uint8Array): Promise<number | string> {
    const picture = await takePicture(bytes, this.#standIn);
    if (typeof picture === "string") return picture;
    this.#room -= picture.clean.length + picture.blurred.length;
    return this.pictures.push(picture) - 1;
  }
}

async function readTimeline(folder: ScoresFolder): Promise<RunTimeline | undefined> {
  const text = await readFile(join(folder.path, TIMELINE_FILE), "utf8").catch(() => "");
  const timeline = parseTimeline(text);
  return timeline?.run_id === folder.manifest.run_id ? timeline : undefined;
}
