import type { ImageReject } from "../../core/stage.ts";
import { excerpt, tooLarge } from "./image-folder.ts";

/** The encoded images that came with the records of one split, by key. */
export class SplitImages {
  readonly #images = new Map<string, Uint8Array | ImageReject>();
  readonly #max_image_bytes: number;

  constructor(max_image_bytes: number) {
    this.#max_image_bytes = max_image_bytes;
  }

  /**
   * Takes an image in and gives the key to read it by: `key`, or where another image of this split has the key
   * already, `key` with `suffix` behind it.
   */
  add(key: string, bytes: Uint8Array, suffix: string): string {
    const known = this.#images.get(key);
    if (known instanceof Uint8Array && !same(known, bytes)) return this.add(`${key}#${suffix}`, bytes, suffix);
    this.#images.set(key, bytes.length > this.#max_image_bytes ? tooLarge(key, bytes.length, this.#max_image_bytes) : bytes);
    return key;
  }

  /** An image that was not read for its size. */
  addTooLarge(key: string, num_bytes: number): string {
    if (!this.#images.has(key)) this.#images.set(key, tooLarge(key, num_bytes, this.#max_image_bytes));
    return key;
  }

  get(key: string): Uint8Array | ImageReject | undefined {
    return this.#images.get(key);
  }
}

export function noImage(key: string, why: string): ImageReject {
  return { code: "image_not_found", message: `${excerpt(key)}: ${why}` };
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
