import type { ImageContext, PlacedImage } from "./families/family.ts";

/** Feature rows of the clean and of the blurred image, each [rows, hidden]. */
export interface FeaturePair {
  readonly clean: Float32Array;
  readonly blurred: Float32Array;
}

/** An image's features, by whether the sample that shows it has others. */
export interface ImageFeatures extends PlacedImage {
  readonly in: Readonly<Partial<Record<ImageContext, FeaturePair>>>;
}

/** Features of the images of the splits in work, each kept until its last use. */
export class FeatureStore {
  readonly #splits = new Map<number, Map<string, { features: ImageFeatures; uses: number }>>();

  put(split: number, key: string, features: ImageFeatures, uses: number): void {
    let images = this.#splits.get(split);
    if (!images) this.#splits.set(split, (images = new Map()));
    images.set(key, { features, uses });
  }

  get(split: number, key: string): ImageFeatures | undefined {
    return this.#splits.get(split)?.get(key)?.features;
  }

  /** One sequence that shows the image is done. */
  release(split: number, key: string): void {
    const images = this.#splits.get(split);
    const entry = images?.get(key);
    if (entry && --entry.uses <= 0) images!.delete(key);
  }

  closeSplit(split: number): void {
    this.#splits.delete(split);
  }
}
