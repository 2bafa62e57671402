/** The images of scored samples, from the source that the run has read. */
import type { ImageReject } from "../core/stage.ts";
import { isImageReject } from "../core/stage.ts";
import type { Source, Split, SplitContent } from "../core/source.ts";

/** Reads images of samples named by their place in scores/. Ask in the order of places: one split is held at a time. */
export interface ImageReader {
  /** The encoded bytes, or in words why there are none. */
  read(place: number, key: string, signal: AbortSignal): Promise<Uint8Array | string>;
}

interface PlacedSplit {
  readonly split: Split;
  /** Half-open range of places in scores/. */
  readonly start: number;
  readonly end: number;
}

/**
 * `rejectsBySplit`: rejected records of each split, which have no row in scores/.
 * Memory bound: the content of one split, as the source delivers it.
 */
export class SourceImages implements ImageReader {
  readonly #source: Source;
  readonly #rejectsBySplit: ReadonlyMap<number, number>;
  #splits: Promise<PlacedSplit[]> | undefined;
  #open: { readonly start: number; readonly content: Promise<SplitContent> } | undefined;

  constructor(source: Source, rejectsBySplit: ReadonlyMap<number, number>) {
    this.#source = source;
    this.#rejectsBySplit = rejectsBySplit;
  }

  async read(place: number, key: string, signal: AbortSignal): Promise<Uint8Array | string> {
    try {
      const image: Uint8Array | ImageReject = await (await this.#contentAt(place, signal)).readImage(key, signal);
      return isImageReject(image) ? image.message : image;
    } catch (error) {
      signal.throwIfAborted();
      return error instanceof Error ? error.message : String(error);
    }
  }

  async #contentAt(place: number, signal: AbortSignal): Promise<SplitContent> {
    const splits = await (this.#splits ??= this.#placeSplits(signal));
    const found = splits.find(({ start, end }) => place >= start && place < end);
    if (!found) throw new Error("the input has changed since the run: it has fewer samples now");
    if (this.#open?.start !== found.start) this.#open = { start: found.start, content: this.#source.read(found.split, signal) };
    return this.#open.content;
  }

  async #placeSplits(signal: AbortSignal): Promise<PlacedSplit[]> {
    const placed: PlacedSplit[] = [];
    let start = 0;
    for await (const split of this.#source.splits(signal)) {
      const end = start + split.num_records - (this.#rejectsBySplit.get(split.index) ?? 0);
      placed.push({ split, start, end });
      start = end;
    }
    return placed;
  }
}
