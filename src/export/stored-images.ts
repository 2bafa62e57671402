import { join } from "node:path";
import { mapConcurrently } from "../core/map-concurrently.ts";
import type { FormatContext } from "./format.ts";
import type { StoredImage } from "./image-column.ts";
import type { SelectedSample } from "./selected-sample.ts";
import { imageReader } from "./training-rows.ts";

const READS_AT_ONCE = 8;

/** Where an image lies, for who opens it later. */
export function imagePath(key: string, image_root: string | undefined): string {
  return image_root === undefined ? key : join(image_root, key);
}

/** The samples' images as `datasets` stores them: bytes beside the input's key, or only the path. */
export function imageStore(context: FormatContext): (samples: readonly SelectedSample[]) => Promise<StoredImage[][]> {
  const { image_root } = context;
  if (!context.embed_images) {
    return async (samples) => samples.map(({ images }) => images.map((key) => ({ bytes: null, path: imagePath(key, image_root) })));
  }
  const read = imageReader(context);
  return (samples) => mapConcurrently(samples, READS_AT_ONCE, ({ images }) => Promise.all(images.map(async (key) => ({ bytes: await read(key), path: key }))));
}
