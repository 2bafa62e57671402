/** Joining record batches that share a schema. */
import { type Data, DataType, makeData, RecordBatch, type Schema, type Struct } from "apache-arrow";
import { emptyRecordBatch } from "./empty-record-batch.ts";
import { InternalError } from "./errors.ts";
import { isFlat, makeFlat, typeName, type Values } from "./flat-data.ts";

/** All rows of the batches, one behind the other. Copies; the batches may be slices. */
export function concatRows(schema: Schema, batches: readonly RecordBatch[]): RecordBatch {
  const filled = batches.filter((batch) => batch.numRows > 0);
  if (filled.length === 0) return emptyRecordBatch(schema);
  return new RecordBatch(schema, concatData(filled.map((batch) => batch.data)) as Data<Struct>);
}

function concatData(parts: readonly Data[]): Data {
  const { type } = parts[0]!;
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const nulls = concatValidity(parts, length);
  if (DataType.isStruct(type)) {
    const children = parts[0]!.children.map((_, i) => concatData(parts.map((part) => part.children[i]!)));
    return makeData({ type, length, children, ...nulls });
  }
  if (DataType.isBool(type)) {
    return makeData({ type, length, data: concatBits(parts, length, (part) => part.values as Uint8Array), ...nulls });
  }
  if (DataType.isUtf8(type) || DataType.isBinary(type)) {
    return makeFlat({ type, length, valueOffsets: concatOffsets(parts, length), data: concatArrays(parts.map(usedValues)), ...nulls });
  }
  if (DataType.isList(type)) {
    return makeData({ type, length, valueOffsets: concatOffsets(parts, length), child: concatData(parts.map(usedItems)), ...nulls });
  }
  if (!isFlat(parts[0]!)) throw new InternalError(`rows of type ${typeName(type)} can't be joined`);
  return makeFlat({ type, length, data: concatArrays(parts.map((part) => (part.values as Values).subarray(0, part.length))), ...nulls });
}

function usedValues(data: Data): Uint8Array {
  return (data.values as Uint8Array).subarray(data.valueOffsets[0], data.valueOffsets[data.length]);
}

function usedItems(data: Data): Data {
  const start = data.valueOffsets[0]!;
  return data.children[0]!.slice(start, data.valueOffsets[data.length]! - start);
}

function concatOffsets(parts: readonly Data[], length: number): Int32Array {
  const offsets = new Int32Array(length + 1);
  let row = 0;
  for (const part of parts) {
    const shift = offsets[row]! - part.valueOffsets[0]!;
    for (let i = 1; i <= part.length; i++) offsets[++row] = part.valueOffsets[i]! + shift;
  }
  return offsets;
}

function concatArrays<V extends Values>(arrays: readonly V[]): V {
  const length = arrays.reduce((sum, array) => sum + array.length, 0);
  const joined = new (arrays[0]!.constructor as new (length: number) => V)(length);
  let end = 0;
  for (const array of arrays) {
    joined.set(array, end);
    end += array.length;
  }
  return joined;
}

/** The parts' bits one behind the other, LSB first; `bitsOf` undefined: all of the part's are 1. */
function concatBits(parts: readonly Data[], length: number, bitsOf: (part: Data) => Uint8Array | undefined): Uint8Array {
  // One byte more, for the upper half of a byte that is moved across a boundary.
  const joined = new Uint8Array(((length + 7) >> 3) + 1);
  let at = 0;
  for (const part of parts) {
    const bits = bitsOf(part);
    for (let done = 0; done < part.length; done += 8) {
      const numBits = Math.min(8, part.length - done);
      const byte = (bits ? eightBits(bits, part.offset + done) : 255) & ((1 << numBits) - 1);
      const shifted = byte << (at & 7);
      joined[at >> 3]! |= shifted & 255;
      joined[(at >> 3) + 1]! |= shifted >> 8;
      at += numBits;
    }
  }
  return joined.subarray(0, (length + 7) >> 3);
}

/** The eight bits from `start`; what lies behind the end is 0. */
function eightBits(bits: Uint8Array, start: number): number {
  const low = bits[start >> 3]! >> (start & 7);
  return (start & 7) === 0 ? low : low | ((bits[(start >> 3) + 1] ?? 0) << (8 - (start & 7)));
}

function concatValidity(parts: readonly Data[], length: number): { nullCount: number; nullBitmap?: Uint8Array } {
  const nullCount = parts.reduce((sum, part) => sum + part.nullCount, 0);
  if (nullCount === 0) return { nullCount };
  return { nullCount, nullBitmap: concatBits(parts, length, (part) => (part.nullCount === 0 ? undefined : part.nullBitmap)) };
}
