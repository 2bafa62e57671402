import { type PhysicalType, RunBuilder, takePlain, valueOffsets } from "./select-values.ts";

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
  readonly #pieces: Uint8Array[] = [];
  /** Entry -> its number; absent where there is one source, whose entries differ anyway. */
  readonly #known: Map<string, number> | undefined;
  #count = 0;

  /** `numSources`: chunks that will be added. */
  constructor(physical: PhysicalType, numSources: number) {
    this.#physical = physical;
    this.#known = numSources > 1 ? new Map() : undefined;
  }

  get count(): number {
    return this.#count;
  }

  /** Takes over the used entries of one chunk's dictionary; changes the pages' indices, all of that chunk, to the new ones. */
  add({ bytes, count }: Dictionary, pages: readonly Int32Array[]): void {
    const used = new Uint8Array(count);
    for (const indices of pages) for (let i = 0; i < indices.length; i++) used[indices[i]!] = 1;
    if (!this.#known && !used.includes(0)) {
      this.#append(bytes, count);
      return;
    }
    const renumbered = this.#known ? this.#place(bytes, used, this.#known) : this.#gather(bytes, used);
    for (const indices of pages) for (let i = 0; i < indices.length; i++) indices[i] = renumbered[indices[i]!]!;
  }

  build(): Dictionary {
    return { bytes: this.#pieces.length === 1 ? this.#pieces[0]! : Buffer.concat(this.#pieces), count: this.#count };
  }

  #append(bytes: Uint8Array, count: number): void {
    this.#pieces.push(bytes);
    this.#count += count;
  }

  /** Appends the used entries; gives each one's new number. */
  #gather(bytes: Uint8Array, used: Uint8Array): Int32Array {
    const renumbered = new Int32Array(used.length);
    const runs = new RunBuilder(used.length);
    for (let entry = 0; entry < used.length; entry++) {
      if (!used[entry]) continue;
      renumbered[entry] = runs.length;
      runs.add(entry);
    }
    this.#append(takePlain(bytes, used.length, this.#physical, runs.build()), runs.length);
    return renumbered;
  }

  /** The same, entries that an earlier source had excepted. */
  #place(bytes: Uint8Array, used: Uint8Array, known: Map<string, number>): Int32Array {
    const offsets = valueOffsets(bytes, used.length, this.#physical);
    const renumbered = new Int32Array(used.length);
    for (let entry = 0; entry < used.length; entry++) {
      if (!used[entry]) continue;
      const piece = bytes.subarray(offsets[entry], offsets[entry + 1]);
      const key = Buffer.from(piece.buffer, piece.byteOffset, piece.length).toString("latin1");
      const number = known.get(key) ?? this.#count;
      if (number === this.#count) {
        known.set(key, number);
        this.#append(piece, 1);
      }
      renumbered[entry] = number;
    }
    return renumbered;
  }
}
