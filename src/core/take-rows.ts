/**
 * Gathering rows of a record batch. Works on runs of neighbouring rows rather than on single rows: a run of a list
 * column is one run of its items, so nested columns are copied in a few large pieces.
 */
import { type Data, DataType, makeData, RecordBatch, type Struct } from "apache-arrow";
import { InternalError } from "./errors.ts";
import { isFlat, makeFlat, typeName, type Values } from "./flat-data.ts";

/** Half-open runs of rows in the order in which they are taken: run i is starts[i] .. ends[i]. */
interface Runs {
  readonly starts: Int32Array;
  readonly ends: Int32Array;
  readonly count: number;
  /** Rows in all runs. */
  readonly length: number;
}

/** Below this many elements a loop copies faster than a view and `set`. */
const SHORT_RUN = 24;

/** The rows at `indices`, in that order; an index may come twice. Copies; the batch may be a slice. */
export function takeRows(batch: RecordBatch, indices: ArrayLike<number>): RecordBatch {
  return new RecordBatch(batch.schema, takeRuns(batch.data, runsOf(indices)) as Data<Struct>);
}

function runsOf(indices: ArrayLike<number>): Runs {
  const starts = new Int32Array(indices.length);
  const ends = new Int32Array(indices.length);
  let count = 0;
  for (let i = 0; i < indices.length; i++) {
    const row = indices[i]!;
    if (count > 0 && ends[count - 1] === row) ends[count - 1] = row + 1;
    else (starts[count] = row), (ends[count++] = row + 1);
  }
  return { starts, ends, count, length: indices.length };
}

/** The runs of items (or bytes) that the rows' offsets enclose. */
function itemRuns(offsets: Int32Array, runs: Runs): Runs {
  const starts = new Int32Array(runs.count);
  const ends = new Int32Array(runs.count);
  let length = 0;
  for (let i = 0; i < runs.count; i++) {
    starts[i] = offsets[runs.starts[i]!]!;
    ends[i] = offsets[runs.ends[i]!]!;
    length += ends[i]! - starts[i]!;
  }
  return { starts, ends, count: runs.count, length };
}

function takeRuns(data: Data, runs: Runs): Data {
  const { type } = data;
  const { length } = runs;
  const nulls = takeValidity(data, runs);
  if (DataType.isStruct(type)) {
    return makeData({ type, length, children: data.children.map((child) => takeRuns(child, runs)), ...nulls });
  }
  if (DataType.isBool(type)) {
    return makeFlat({ type, length, data: takeBits(data.values as Uint8Array, data.offset, runs), ...nulls });
  }
  if (DataType.isUtf8(type) || DataType.isBinary(type)) {
    const bytes = itemRuns(data.valueOffsets, runs);
    return makeFlat({ type, length, valueOffsets: takeOffsets(data.valueOffsets, runs), data: copyRuns(data.values as Uint8Array, bytes), ...nulls });
  }
  if (DataType.isList(type)) {
    const child = takeRuns(data.children[0]!, itemRuns(data.valueOffsets, runs));
    return makeData({ type, length, valueOffsets: takeOffsets(data.valueOffsets, runs), child, ...nulls });
  }
  if (!isFlat(data)) throw new InternalError(`rows of type ${typeName(type)} can't be taken`);
  return makeFlat({ type, length, data: copyRuns(data.values as Values, runs), ...nulls });
}

function copyRuns<V extends Values>(from: V, { starts, ends, count, length }: Runs): V {
  const to = new (from.constructor as new (length: number) => V)(length);
  let at = 0;
  for (let i = 0; i < count; i++) {
    const start = starts[i]!;
    const end = ends[i]!;
    if (end - start < SHORT_RUN) for (let j = start; j < end; j++) to[at++] = from[j]!;
    else {
      to.set(from.subarray(start, end), at);
      at += end - start;
    }
  }
  return to;
}

/** Offsets of the taken rows, from 0. */
function takeOffsets(offsets: Int32Array, { starts, ends, count, length }: Runs): Int32Array {
  const taken = new Int32Array(length + 1);
  let at = 0;
  for (let i = 0; i < count; i++) {
    const start = starts[i]!;
    const shift = taken[at]! - offsets[start]!;
    for (let row = start + 1; row <= ends[i]!; row++) taken[++at] = offsets[row]! + shift;
  }
  return taken;
}

/** Bits, LSB first, of the taken rows; bit `offset` is row 0's. */
function takeBits(bits: Uint8Array, offset: number, { starts, ends, count, length }: Runs): Uint8Array {
  const taken = new Uint8Array((length + 7) >> 3);
  let at = 0;
  for (let i = 0; i < count; i++) {
    for (let bit = offset + starts[i]!; bit < offset + ends[i]!; bit++, at++) {
      taken[at >> 3]! |= ((bits[bit >> 3]! >> (bit & 7)) & 1) << (at & 7);
    }
  }
  return taken;
}

function takeValidity(data: Data, runs: Runs): { nullCount: number; nullBitmap?: Uint8Array } {
  if (data.nullCount === 0) return { nullCount: 0 };
  const nullBitmap = takeBits(data.nullBitmap, data.offset, runs);
  let numValid = 0;
  for (const byte of nullBitmap) for (let bits = byte; bits !== 0; bits &= bits - 1) numValid++;
  const nullCount = runs.length - numValid;
  return nullCount === 0 ? { nullCount } : { nullCount, nullBitmap };
}
