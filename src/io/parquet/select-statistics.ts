import { i64, type ThriftField, struct, TYPE } from "./select-thrift.ts";
import { PHYSICAL, type PhysicalType, valueOffsets } from "./select-values.ts";

/** Smallest and largest value of a chunk, PLAIN without a length in front. */
export interface Bounds {
  readonly min: Uint8Array;
  readonly max: Uint8Array;
  readonly numNulls: number;
}

/** Longer texts than this are no help to a reader and would bloat the footer. */
const MAX_BYTES = 64;

type Order = (a: Uint8Array, b: Uint8Array) => number;
const view = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset);

/** UTF-8 text is ordered by its bytes. */
const ORDERS: Readonly<Record<number, Order>> = {
  [PHYSICAL.int32]: (a, b) => view(a).getInt32(0, true) - view(b).getInt32(0, true),
  [PHYSICAL.float]: (a, b) => view(a).getFloat32(0, true) - view(b).getFloat32(0, true),
  [PHYSICAL.double]: (a, b) => view(a).getFloat64(0, true) - view(b).getFloat64(0, true),
  [PHYSICAL.byteArray]: (a, b) => Buffer.compare(a, b),
};

/** Bounds of all values; undefined where there is none, a NaN, a text too long, or the type's order is not known here. */
export function boundsOf(physical: PhysicalType, numNulls: number, pieces: readonly { readonly bytes: Uint8Array; readonly count: number }[]): Bounds | undefined {
  const compare = ORDERS[physical.type];
  if (!compare) return undefined;
  const prefix = physical.type === PHYSICAL.byteArray ? 4 : 0;
  let min: Uint8Array | undefined;
  let max: Uint8Array | undefined;
  for (const { bytes, count } of pieces) {
    const offsets = valueOffsets(bytes, count, physical);
    for (let i = 0; i < count; i++) {
      const value = bytes.subarray(offsets[i]! + prefix, offsets[i + 1]);
      if (Number.isNaN(compare(value, value))) return undefined;
      if (!min || compare(value, min) < 0) min = value;
      if (!max || compare(value, max) > 0) max = value;
    }
  }
  if (!min || !max || min.length > MAX_BYTES || max.length > MAX_BYTES) return undefined;
  return { min: signedZero(physical, min, true), max: signedZero(physical, max, false), numNulls };
}

/** The specification's rule: a bound that is a zero is written as -0 below and +0 above, whichever the data has. */
function signedZero({ type }: PhysicalType, bound: Uint8Array, negative: boolean): Uint8Array {
  const isZero = (type === PHYSICAL.double && view(bound).getFloat64(0, true) === 0) || (type === PHYSICAL.float && view(bound).getFloat32(0, true) === 0);
  if (!isZero) return bound;
  const zero = new Uint8Array(bound.length);
  if (negative) zero[zero.length - 1] = 0x80;
  return zero;
}

/** Statistics of apache/parquet-format's parquet.thrift. */
export function statisticsField({ min, max, numNulls }: Bounds): ThriftField {
  return struct(
    new Map([
      [3, i64(numNulls)],
      [5, { type: TYPE.binary, value: max }],
      [6, { type: TYPE.binary, value: min }],
    ]),
  );
}
