import { createHash } from "node:crypto";
import type { List, RecordBatch } from "apache-arrow";
import { mapConcurrently } from "../core/map-concurrently.ts";
import { columnData, utf8ListValue } from "../core/record-batch.ts";
import { isImageReject, type ImageReject, type SplitScope } from "../core/stage.ts";

/** Images read at once where no stage has read them. */
const IMAGES_AT_ONCE = 8;

/** Digests the encoded bytes of a split's images while they are read. */
export class ImageDigests {
  readonly #read: SplitScope["readImage"];
  readonly #digests = new Map<string, string>();
  /** In the order of their first use. */
  #keys: readonly string[] = [];

  constructor(readImage: SplitScope["readImage"]) {
    this.#read = readImage;
  }

  /** As the source's own. */
  readonly readImage: SplitScope["readImage"] = async (key, signal) => {
    const image = await this.#read(key, signal);
    this.#digests.set(key, digestOf(image));
    return image;
  };

  /** Tells all samples of the split. */
  expect(samples: RecordBatch): void {
    const column = columnData<List>(samples, "images");
    this.#keys = [...new Set(Array.from({ length: samples.numRows }, (_, row) => utf8ListValue(column, row)).flat())];
  }

  /**
   * sha256 (hex) over all images that the samples show; "" where they show none. Reads those that no stage has read,
   * since their samples were rejected before.
   */
  async ofAll(signal: AbortSignal): Promise<string> {
    const unread = this.#keys.filter((key) => !this.#digests.has(key));
    await mapConcurrently(unread, IMAGES_AT_ONCE, (key) => {
      signal.throwIfAborted();
      return this.readImage(key, signal);
    });
    if (this.#keys.length === 0) return "";
    const all = createHash("sha256");
    for (const key of this.#keys) all.update(this.#digests.get(key)!);
    return all.digest("hex");
  }
}

/** An image that can't be had is told by why. */
function digestOf(image: Uint8Array | ImageReject): string {
  return isImageReject(image) ? image.code : createHash("sha256").update(image).digest("hex");
}
