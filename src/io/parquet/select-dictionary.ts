import { valueOffsets, type PhysicalType } from "./select-values.ts";

/** A dictionary page's entries, PLAIN. */
export interface Dictionary {
  readonly bytes: Uint8Array;
  readonly count: number;
}

/**
 * The dictionary of a new column chunk: only the entries that kept values name, so that nothing of a dropped sample
 * is left, in the order of the chunks they come from. Entries of several chunks that are equal become one.
 */
export class DictionaryBuilder {
  readonly #physical: PhysicalType;
  readonly #entries: Uint8Array[] = [];
  readonly #known: Map<string, number> | undefined;

  /** `numSources`: chunks that will be added. */
  constructor(physical: PhysicalType, numSources: number) {
    this.#physical = physical;
    this.#known = numSources > 1 ? new Map() : undefined;
  }

  get count(): number {
    return this.#entries.length;
  }

  /** Takes over the used entries of one chunk's dictionary; changes the pages' indices, all of that chunk, to the new ones. */
  add({ bytes, count }: Dictionary, pages: readonly Int32Array[]): void {
    const used = new Uint8Array(count);
    for (const indices of pages) for (let i = 0; i < indices.length; i++) used[indices[i]!] = 1;
    const offsets = valueOffsets(bytes, count, this.#physical);
    if (!this.#known && !used.includes(0)) {
      this.#takeAll(bytes, offsets);
      return;
    }
    const renumbered = new Int32Array(count);
    for (let entry = 0; entry < count; entry++) if (used[entry]) renumbered[entry] = this.#place(bytes.subarray(offsets[entry], offsets[entry + 1]));
    for (const indices of pages) for (let i = 0; i < indices.length; i++) indices[i] = renumbered[indices[i]!]!;
  }

  /** Every entry is used: the indices stay as they are. */
  #takeAll(bytes: Uint8Array, offsets: Int32Array): void {
    for (let entry = 0; entry + 1 < offsets.length; entry++) this.#entries.push(bytes.subarray(offsets[entry], offsets[entry + 1]));
  }

  build(): Dictionary {
    return { bytes: Buffer.concat(this.#entries), count: this.#entries.length };
  }

  #place(entry: Uint8Array): number {
    if (!this.#known) return this.#entries.push(entry) - 1;
    const key = Buffer.from(entry.buffer, entry.byteOffset, entry.length).toString("latin1");
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    this.#known.set(key, this.#entries.length);
    return this.#entries.push(entry) - 1;
  }
}
