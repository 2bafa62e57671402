import { type Family, NEWLINE_OUTPUT, type PixelView, type PlainTensor, type VisionImage } from "./families/family.ts";
import { concatenate } from "./families/tile-rows.ts";
import type { FloatOutput, GraphSession } from "./graph-session.ts";
import { requireNames } from "./require-names.ts";

/** Feature rows of every image, [rows, hidden] each. `maxValues`: floats of pixels that may go into one run of the encoder. */
export async function encodeViews(vision: GraphSession, family: Family, images: readonly VisionImage[], maxValues: number): Promise<Float32Array[]> {
  const names = vision.outputs.map(({ name }) => name);
  const featuresName = names.find((name) => name !== NEWLINE_OUTPUT)!;
  const tilesOf = images.map((image) => tilesOfImage(family, image));
  const rows: Float32Array[] = [];
  let outputs: Record<string, FloatOutput> = {};
  for (const { tiles, feeds } of encoderCalls(family, tilesOf.flat(), maxValues)) {
    requireNames(vision.name, vision, { inputs: Object.keys(feeds) });
    outputs = await vision.run(feeds, names);
    const { data } = outputs[featuresName]!;
    const each = data.length / tiles.length;
    tiles.forEach((tile, i) => (rows[tile] = data.slice(i * each, (i + 1) * each)));
  }
  let at = 0;
  return images.map((image, i) => {
    const own = rows.slice(at, (at += tilesOf[i]!.length));
    return family.imageRows?.(own, image, outputs[NEWLINE_OUTPUT]!.data) ?? concatenate(own);
  });
}

export function tilesOfImage(family: Family, { views }: VisionImage): readonly PixelView[] {
  return family.tiles?.(views) ?? views;
}

/** One run of the encoder: indices of its tiles, and what it is fed. */
export interface EncoderCall {
  readonly tiles: readonly number[];
  readonly feeds: Readonly<Record<string, PlainTensor>>;
}

/** Tiles of one size share a call, as long as no more than `maxValues` floats go into it. Feeds are made one call at a time. */
export function* encoderCalls(family: Family, tiles: readonly PixelView[], maxValues: number): Generator<EncoderCall> {
  const bySize = new Map<string, number[]>();
  tiles.forEach(({ width, height }, tile) => {
    const same = bySize.get(`${width}x${height}`) ?? [];
    bySize.set(`${width}x${height}`, same);
    same.push(tile);
  });
  for (const indices of bySize.values()) {
    const { width, height } = tiles[indices[0]!]!;
    const count = Math.max(1, Math.floor(Math.min(maxValues, family.max_call_values ?? Infinity) / (3 * width * height)));
    for (let start = 0; start < indices.length; start += count) {
      const own = indices.slice(start, start + count);
      yield { tiles: own, feeds: family.visionFeeds(own.map((tile) => tiles[tile]!)) };
    }
  }
}
