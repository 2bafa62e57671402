import { type Data, type DataType, makeData } from "apache-arrow";

/** Numbers of any width, bytes of text, bits. */
export type Values = Uint8Array | Int32Array | Float32Array | Float64Array;

export interface FlatProps {
  readonly type: DataType;
  readonly length: number;
  readonly data: Values;
  readonly valueOffsets?: Int32Array;
  readonly nullCount: number;
  readonly nullBitmap?: Uint8Array;
}

/** makeData for a flat type that is only known at run time: its overloads want the type at compile time. */
export function makeFlat(props: FlatProps): Data {
  return makeData(props as never) as Data;
}

/** Whether a column is one element of `values` a row, and nothing else. */
export function isFlat(data: Data): boolean {
  return ArrayBuffer.isView(data.values as unknown) && data.stride === 1 && !data.dictionary;
}

export function typeName(type: DataType): string {
  return (type as { toString(): string }).toString();
}
