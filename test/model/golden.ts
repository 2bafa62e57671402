/** The golden models of test/fixtures/models, read as its README describes. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { join } from "node:path";
import sharp from "sharp";
import type { Message, Sample } from "../../src/core/sample.ts";
import { blurPixels } from "../../src/kernels/blur-pixels.ts";
import { decodeSource, type Pixels, renderView } from "../../src/stages/image-decoding.ts";
import type { ImageInput, ImageSize, Model, Prepared, ScoreRequest, ViewPixels } from "../../src/model/contract.ts";

interface CanvasFile extends ImageSize {
  readonly file: string;
  readonly sigma_px: number;
  readonly blur_file: string;
}

interface GoldenCanvas {
  readonly canvases: Readonly<Record<string, CanvasFile>>;
  readonly num_image_tokens: number;
  readonly pixel_values: { readonly shape: readonly number[]; readonly samples: readonly (readonly [number, number])[] };
}

interface GoldenImage extends ImageSize {
  readonly file: string;
  readonly needs_resize: boolean;
  readonly canvases: Readonly<Record<string, GoldenCanvas>>;
}

export interface GoldenCase {
  readonly id: string;
  readonly variant: string;
  readonly images: readonly { readonly name: string; readonly canvas: string }[];
  readonly messages: readonly Message[];
  readonly rendered: string;
  readonly input_ids: readonly number[];
  readonly supervised_positions: readonly number[];
  readonly supervised_ids: readonly number[];
  readonly nll_image: readonly number[];
  readonly nll_blur: readonly number[] | null;
  readonly position_ids?: readonly (readonly number[])[];
  readonly token_type_ids?: readonly number[];
}

export interface Golden {
  readonly folder: string;
  readonly model_type: string;
  readonly template: string;
  readonly image_token: { readonly text: string; readonly id: number };
  readonly variants: Readonly<Record<string, { readonly preprocessor: string }>>;
  readonly images: Readonly<Record<string, GoldenImage>>;
  readonly cases: readonly GoldenCase[];
}

export function fixtureFolder(family: string): string {
  const root = process.env["VIG_TEST_MODELS"] ?? fileURLToPath(new URL("../fixtures/models", import.meta.url));
  return join(root, family);
}

export function readGolden(family: string): Golden {
  const folder = fixtureFolder(family);
  return { folder, ...(JSON.parse(readFileSync(join(folder, "cases.json"), "utf8")) as Omit<Golden, "folder">) };
}

export function sampleOf({ id, images, messages }: GoldenCase): Sample {
  return { sample_id: id, source: "", images: images.map(({ name }) => name), messages };
}

export function sizesOf(golden: Golden, { images }: GoldenCase): ImageSize[] {
  return images.map(({ name }) => golden.images[name]!);
}

async function rgb(path: string): Promise<Uint8Array> {
  return new Uint8Array(await sharp(readFileSync(path)).removeAlpha().raw().toBuffer());
}

/** The order of a family's views among its canvas roles. */
const ROLES = ["main", "tiles", "global"];

/** One image as the scorer takes it, from the canvases that transformers' own processor made. */
export async function canvasInput(golden: Golden, image: { name: string; canvas: string }, key: string, uses: number): Promise<ImageInput> {
  const { canvases } = golden.images[image.name]!.canvases[image.canvas]!;
  const views: ViewPixels[] = [];
  for (const role of ROLES) {
    const canvas = canvases[role];
    if (!canvas) continue;
    const pixels = await rgb(join(golden.folder, canvas.file));
    // scipy blurred the canvases; only where one was resized after that is its file needed.
    const pixels_blur = role === "global" ? await rgb(join(golden.folder, canvas.blur_file)) : blurPixels(pixels, canvas.width, canvas.height, canvas.sigma_px);
    views.push({ width: canvas.width, height: canvas.height, pixels, pixels_blur });
  }
  const { width, height } = golden.images[image.name]!;
  return { key, uses, source_size: { width, height }, views };
}

/** One image as the scorer takes it, from the source by our own decoding and resizing; "blurred" is the same. */
export async function sourceInput(golden: Golden, model: Model, name: string, uses: number): Promise<ImageInput> {
  const { file } = golden.images[name]!;
  const source = (await decodeSource(readFileSync(join(golden.folder, file)), { max_pixels: 1e8, apply_exif_orientation: true })) as Pixels;
  const views: ViewPixels[] = [];
  for (const plan of model.views(source)) {
    const { width, height, data } = await renderView(source, plan);
    views.push({ width, height, pixels: data, pixels_blur: data });
  }
  return { key: name, uses, source_size: { width: source.width, height: source.height }, views };
}

/** As `requestOf`, from the source images. */
export async function sourceRequestOf(golden: Golden, model: Model, cases: readonly GoldenCase[], split: number): Promise<ScoreRequest> {
  const names = [...new Set(cases.flatMap(({ images }) => images.map(({ name }) => name)))];
  const { sequences } = await requestOf(golden, model, cases, split);
  return {
    split,
    images: await Promise.all(names.map((name) => sourceInput(golden, model, name, cases.length))),
    sequences: sequences.map((sequence, i) => ({ ...sequence, images: cases[i]!.images.map(({ name }) => name) })),
  };
}

/** One request with all the cases, each image under a key of its own canvas. */
export async function requestOf(golden: Golden, model: Model, cases: readonly GoldenCase[], split = 0): Promise<ScoreRequest> {
  const uses = new Map<string, number>();
  const keyOf = ({ name, canvas }: { name: string; canvas: string }) => `${name}@${canvas}`;
  for (const { images } of cases) for (const key of new Set(images.map(keyOf))) uses.set(key, (uses.get(key) ?? 0) + 1);
  const images: ImageInput[] = [];
  const seen = new Set<string>();
  for (const image of cases.flatMap((each) => each.images)) {
    const key = keyOf(image);
    if (seen.has(key)) continue;
    seen.add(key);
    images.push(await canvasInput(golden, image, key, uses.get(key)!));
  }
  const sequences = cases.map((each) => {
    const prepared = model.prepare(sampleOf(each), sizesOf(golden, each)) as Prepared;
    return { input_ids: prepared.input_ids, answer_positions: prepared.answer_positions, images: each.images.map(keyOf) };
  });
  return { split, images, sequences };
}
