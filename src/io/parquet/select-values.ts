/** The values of a page or a dictionary under PLAIN encoding (apache/parquet-format, Encodings.md), gathered by runs. */
import { InternalError } from "../../core/errors.ts";

/** Physical types as Parquet numbers them. */
export const PHYSICAL = { boolean: 0, int32: 1, int64: 2, int96: 3, float: 4, double: 5, byteArray: 6, fixed: 7 } as const;

export interface PhysicalType {
  readonly type: number;
  /** Bytes of a fixed-length value. */
  readonly length: number;
}

/** Half-open runs, ascending; run i is starts[i] .. ends[i]. */
export interface ValueRuns {
  readonly starts: Int32Array;
  readonly ends: Int32Array;
  readonly count: number;
  readonly length: number;
}

/** Gathers ascending indices as runs. */
export class RunBuilder {
  readonly #starts: Int32Array;
  readonly #ends: Int32Array;
  #count = 0;
  #length = 0;

  /** `most`: the indices are below it. */
  constructor(most: number) {
    this.#starts = new Int32Array((most >> 1) + 1);
    this.#ends = new Int32Array((most >> 1) + 1);
  }

  get length(): number {
    return this.#length;
  }

  /** Larger than the one before. */
  add(index: number): void {
    if (this.#count > 0 && this.#ends[this.#count - 1] === index) this.#ends[this.#count - 1] = index + 1;
    else {
      this.#starts[this.#count] = index;
      this.#ends[this.#count++] = index + 1;
    }
    this.#length++;
  }

  build(): ValueRuns {
    return { starts: this.#starts, ends: this.#ends, count: this.#count, length: this.#length };
  }
}

const WIDTHS: Readonly<Record<number, number>> = { [PHYSICAL.int32]: 4, [PHYSICAL.int64]: 8, [PHYSICAL.int96]: 12, [PHYSICAL.float]: 4, [PHYSICAL.double]: 8 };

/** Where each value begins, and the last one ends. Only for types that take whole bytes. */
export function valueOffsets(bytes: Uint8Array, count: number, { type, length }: PhysicalType): Int32Array {
  const offsets = new Int32Array(count + 1);
  const width = type === PHYSICAL.fixed ? length : WIDTHS[type];
  if (width !== undefined) {
    for (let i = 0; i <= count; i++) offsets[i] = i * width;
  } else if (type === PHYSICAL.byteArray) {
    let at = 0;
    for (let i = 0; i < count; i++) {
      at += 4 + (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24));
      offsets[i + 1] = at;
    }
  } else throw new InternalError(`Parquet: physical type ${type} has no byte offsets`);
  if (offsets[count]! > bytes.length) throw new InternalError("Parquet: the values of a page end early");
  return offsets;
}

/** The values of the runs, one behind the other; `count` is how many values `bytes` holds. */
export function takePlain(bytes: Uint8Array, count: number, physical: PhysicalType, runs: ValueRuns): Uint8Array {
  if (runs.length === count) return bytes;
  if (physical.type === PHYSICAL.boolean) return takeBits(bytes, runs);
  const offsets = valueOffsets(bytes, count, physical);
  let size = 0;
  for (let i = 0; i < runs.count; i++) size += offsets[runs.ends[i]!]! - offsets[runs.starts[i]!]!;
  const taken = new Uint8Array(size);
  let at = 0;
  for (let i = 0; i < runs.count; i++) {
    const run = bytes.subarray(offsets[runs.starts[i]!], offsets[runs.ends[i]!]);
    taken.set(run, at);
    at += run.length;
  }
  return taken;
}

function takeBits(bytes: Uint8Array, { starts, ends, count, length }: ValueRuns): Uint8Array {
  const taken = new Uint8Array((length + 7) >> 3);
  let at = 0;
  for (let i = 0; i < count; i++) {
    for (let bit = starts[i]!; bit < ends[i]!; bit++, at++) taken[at >> 3]! |= ((bytes[bit >> 3]! >> (bit & 7)) & 1) << (at & 7);
  }
  return taken;
}
