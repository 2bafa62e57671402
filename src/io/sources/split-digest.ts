import { createHash } from "node:crypto";

/**
 * Digest of a split's content as records are added. What is rejected for its place in the input (a duplicate, a
 * record without a readable id) brings its place in, since the reject's row shows it.
 */
export class SplitDigest {
  readonly #hash = createHash("sha256");

  /** The record's bytes, or another form of it that is equal for equal records. */
  add(content: Uint8Array | string): void {
    this.#hash.update(`${content.length} `).update(content);
  }

  addPlace(place: string): void {
    this.#hash.update(`place ${place.length} ${place}`);
  }

  /** Splits of equal content (the same file given twice) differ by how many of them came before. */
  hex(num_repeats: number): string {
    const digest = this.#hash.copy().digest("hex");
    return num_repeats === 0 ? digest : createHash("sha256").update(`${digest} ${num_repeats}`).digest("hex");
  }
}
