/**
 * Building, reading and rearranging record batches: the few operations this project needs over the column types
 * it uses (int32, float32, float64, bool, utf8, binary, list, struct). Slices with a non-zero offset are handled
 * everywhere; input batches are never changed; output batches own their buffers unless said otherwise.
 */
import {
  Binary,
  Bool,
  type Data,
  DataType,
  Field,
  Float32,
  Float64,
  Int32,
  List,
  makeData,
  RecordBatch,
  Schema,
  Struct,
  Utf8,
  Vector,
} from "apache-arrow";
import { InternalError } from "./errors.ts";
import type { Message, Role } from "./sample.ts";

/** A column under construction: any Data of the field's type. */
export type Column = Data;

// ---- building ----

/** A bitmap with bit i set where valid[i]; LSB first, as Arrow stores it. */
function bitmap(length: number, isSet: (index: number) => boolean): Uint8Array {
  const bytes = new Uint8Array((length + 7) >> 3);
  for (let i = 0; i < length; i++) if (isSet(i)) bytes[i >> 3]! |= 1 << (i & 7);
  return bytes;
}

function validity(values: readonly unknown[]): { nullCount: number; nullBitmap?: Uint8Array } {
  let nullCount = 0;
  for (const value of values) if (value === null) nullCount++;
  return nullCount === 0 ? { nullCount } : { nullCount, nullBitmap: bitmap(values.length, (i) => values[i] !== null) };
}

/** Takes ownership of the array. */
export function int32Column(values: Int32Array): Data<Int32> {
  return makeData({ type: new Int32(), length: values.length, nullCount: 0, data: values });
}

export function float64Column(values: readonly (number | null)[]): Data<Float64> {
  const data = Float64Array.from(values, (v) => v ?? 0);
  return makeData({ type: new Float64(), length: values.length, data, ...validity(values) });
}

export function boolColumn(values: ArrayLike<number | boolean>): Data<Bool> {
  const data = bitmap(values.length, (i) => Boolean(values[i]));
  return makeData({ type: new Bool(), length: values.length, nullCount: 0, data });
}

const utf8Encoder = new TextEncoder();

export function utf8Column(values: readonly string[]): Data<Utf8> {
  const valueOffsets = new Int32Array(values.length + 1);
  // UTF-8 needs at most three bytes for a UTF-16 code unit.
  let capacity = 0;
  for (const value of values) capacity += value.length * 3;
  const buffer = new Uint8Array(capacity);
  let end = 0;
  for (let i = 0; i < values.length; i++) {
    end += utf8Encoder.encodeInto(values[i]!, buffer.subarray(end)).written;
    valueOffsets[i + 1] = end;
  }
  return makeData({ type: new Utf8(), length: values.length, nullCount: 0, valueOffsets, data: buffer.slice(0, end) });
}

export function binaryColumn(values: readonly Uint8Array[]): Data<Binary> {
  const valueOffsets = new Int32Array(values.length + 1);
  for (let i = 0; i < values.length; i++) valueOffsets[i + 1] = valueOffsets[i]! + values[i]!.length;
  const data = new Uint8Array(valueOffsets[values.length]!);
  for (let i = 0; i < values.length; i++) data.set(values[i]!, valueOffsets[i]);
  return makeData({ type: new Binary(), length: values.length, nullCount: 0, valueOffsets, data });
}

function listColumn<T extends DataType>(lengths: readonly (number | null)[], child: Data<T>): Data<List<T>> {
  const valueOffsets = new Int32Array(lengths.length + 1);
  for (let i = 0; i < lengths.length; i++) valueOffsets[i + 1] = valueOffsets[i]! + (lengths[i] ?? 0);
  const type = new List(new Field("item", child.type, true));
  return makeData({ type, length: lengths.length, valueOffsets, child, ...validity(lengths) });
}

export function int32ListColumn(rows: readonly (Int32Array | null)[]): Data<List<Int32>> {
  const lengths = rows.map((row) => row?.length ?? null);
  const values = new Int32Array(lengths.reduce<number>((sum, n) => sum + (n ?? 0), 0));
  let end = 0;
  for (const row of rows) if (row) (values.set(row, end), (end += row.length));
  return listColumn(lengths, int32Column(values));
}

export function float32ListColumn(rows: readonly (Float32Array | null)[]): Data<List<Float32>> {
  const lengths = rows.map((row) => row?.length ?? null);
  const data = new Float32Array(lengths.reduce<number>((sum, n) => sum + (n ?? 0), 0));
  let end = 0;
  for (const row of rows) if (row) (data.set(row, end), (end += row.length));
  return listColumn(lengths, makeData({ type: new Float32(), length: data.length, nullCount: 0, data }));
}

export function utf8ListColumn(rows: readonly (readonly string[])[]): Data<List<Utf8>> {
  return listColumn(rows.map((row) => row.length), utf8Column(rows.flat()));
}

export function boolListColumn(rows: readonly ArrayLike<number | boolean>[]): Data<List<Bool>> {
  const flat: boolean[] = [];
  for (const row of rows) for (let i = 0; i < row.length; i++) flat.push(Boolean(row[i]));
  return listColumn(rows.map((row) => row.length), boolColumn(flat));
}

export function messagesColumn(rows: readonly (readonly Message[])[]): Data<List<Struct>> {
  const flat = rows.flat();
  const type = new Struct([new Field("role", new Utf8(), true), new Field("content", new Utf8(), true)]);
  const children = [utf8Column(flat.map((m) => m.role)), utf8Column(flat.map((m) => m.content))];
  return listColumn(rows.map((row) => row.length), makeData({ type, length: flat.length, nullCount: 0, children }));
}

/** A batch of the columns given, in the schema's order. Throws InternalError where one is missing or too short. */
export function makeRecordBatch(schema: Schema, columns: Readonly<Record<string, Column>>): RecordBatch {
  const children = schema.fields.map((field) => {
    const column = columns[field.name];
    if (!column) throw new InternalError(`record batch: no column ${field.name}`);
    return column;
  });
  const length = children[0]?.length ?? 0;
  for (const [i, child] of children.entries()) {
    if (child.length !== length) {
      throw new InternalError(`record batch: ${schema.fields[i]!.name} has ${child.length} rows, not ${length}`);
    }
  }
  return new RecordBatch(schema, makeData({ type: new Struct(schema.fields), length, nullCount: 0, children }));
}

export function emptyRecordBatch(schema: Schema): RecordBatch {
  return new RecordBatch(schema);
}

// ---- reading ----

/** The named column's data (a view). Throws InternalError where the batch lacks it. */
export function columnData<T extends DataType = DataType>(batch: RecordBatch, name: string): Data<T> {
  const index = batch.schema.fields.findIndex((field) => field.name === name);
  const child = index < 0 ? undefined : batch.data.children[index];
  if (!child) throw new InternalError(`record batch: no column ${name}; it has ${batch.schema.names.join(", ")}`);
  return child as Data<T>;
}

export function columnVector<T extends DataType = DataType>(batch: RecordBatch, name: string): Vector<T> {
  return new Vector([columnData<T>(batch, name)]);
}

export function isNull(data: Data, row: number): boolean {
  if (!data.nullBitmap || data.nullBitmap.length === 0) return false;
  const bit = data.offset + row;
  return (data.nullBitmap[bit >> 3]! & (1 << (bit & 7))) === 0;
}

/** The row's values as a view into the column, or null. For lists of fixed-width numbers. */
export function numericListValue<A extends Int32Array | Float32Array>(data: Data<List>, row: number): A | null {
  if (isNull(data, row)) return null;
  const child = data.children[0]!;
  return child.values.subarray(data.valueOffsets[row], data.valueOffsets[row + 1]) as A;
}

const utf8Decoder = new TextDecoder();

export function utf8Value(data: Data<Utf8>, row: number): string {
  return utf8Decoder.decode(data.values.subarray(data.valueOffsets[row], data.valueOffsets[row + 1]));
}

/** The row's bytes as a view into the column. */
export function binaryValue(data: Data<Binary>, row: number): Uint8Array {
  return data.values.subarray(data.valueOffsets[row], data.valueOffsets[row + 1]);
}

export function utf8Values(batch: RecordBatch, name: string): string[] {
  const data = columnData<Utf8>(batch, name);
  return Array.from({ length: batch.numRows }, (_, row) => utf8Value(data, row));
}

export function utf8ListValue(data: Data<List>, row: number): string[] {
  const child = data.children[0]! as Data<Utf8>;
  const values: string[] = [];
  for (let i = data.valueOffsets[row]!; i < data.valueOffsets[row + 1]!; i++) values.push(utf8Value(child, i));
  return values;
}

export function messagesValue(data: Data<List>, row: number): Message[] {
  const struct = data.children[0]!;
  const [roles, contents] = struct.children as [Data<Utf8>, Data<Utf8>];
  const messages: Message[] = [];
  for (let i = data.valueOffsets[row]!; i < data.valueOffsets[row + 1]!; i++) {
    messages.push({ role: utf8Value(roles, i) as Role, content: utf8Value(contents, i) });
  }
  return messages;
}

// ---- rearranging ----

/** The batch with `columns` added behind or put in place of those of the same name. Shares the other buffers. */
export function withColumns(batch: RecordBatch, fields: readonly Field[], columns: Readonly<Record<string, Column>>): RecordBatch {
  const kept = batch.schema.fields.filter((field) => !fields.some((added) => added.name === field.name));
  const all: Record<string, Column> = { ...columns };
  for (const field of kept) all[field.name] = columnData(batch, field.name);
  return makeRecordBatch(new Schema([...kept, ...fields], batch.schema.metadata), all);
}

/** The batch with exactly the schema's columns, in its order. Shares buffers. */
export function projectColumns(batch: RecordBatch, schema: Schema): RecordBatch {
  return makeRecordBatch(schema, Object.fromEntries(schema.names.map((name) => [String(name), columnData(batch, String(name))])));
}

/** The rows at `indices`, in that order; an index may come twice. Copies. */
export function takeRows(batch: RecordBatch, indices: ArrayLike<number>): RecordBatch {
  return new RecordBatch(batch.schema, takeData(batch.data, indices) as Data<Struct>);
}

/** All rows of the batches, which share a schema, one behind the other. Copies. */
export function concatRows(schema: Schema, batches: readonly RecordBatch[]): RecordBatch {
  const filled = batches.filter((batch) => batch.numRows > 0);
  if (filled.length === 0) return emptyRecordBatch(schema);
  return new RecordBatch(schema, concatData(filled.map((batch) => batch.data)) as Data<Struct>);
}

/** makeData for a flat type that is only known at run time: its overloads want the type at compile time. */
function makeFlat(props: { type: DataType; length: number; data: ArrayBufferView; valueOffsets?: Int32Array; nullCount: number; nullBitmap?: Uint8Array }): Data {
  return makeData(props as never) as Data;
}

function takeData(data: Data, indices: ArrayLike<number>): Data {
  const length = indices.length;
  const { type } = data;
  const nulls = data.nullCount === 0 ? { nullCount: 0 } : takeValidity(data, indices);
  if (DataType.isStruct(type)) {
    const children = data.children.map((child) => takeData(child, indices));
    return makeData({ type, length, children, ...nulls });
  }
  if (DataType.isBool(type)) {
    const values = bitmap(length, (i) => boolBit(data, indices[i]!));
    return makeData({ type, length, data: values, ...nulls });
  }
  if (DataType.isUtf8(type) || DataType.isBinary(type)) {
    const valueOffsets = takenOffsets(data, indices);
    const values = new Uint8Array(valueOffsets[length]!);
    for (let i = 0; i < length; i++) {
      const row = indices[i]!;
      values.set(data.values.subarray(data.valueOffsets[row], data.valueOffsets[row + 1]), valueOffsets[i]);
    }
    return makeFlat({ type, length, valueOffsets, data: values, ...nulls });
  }
  if (DataType.isList(type)) {
    const valueOffsets = takenOffsets(data, indices);
    const items = new Int32Array(valueOffsets[length]!);
    let end = 0;
    for (let i = 0; i < length; i++) {
      const row = indices[i]!;
      for (let item = data.valueOffsets[row]!; item < data.valueOffsets[row + 1]!; item++) items[end++] = item;
    }
    return makeData({ type, length, valueOffsets, child: takeData(data.children[0]!, items), ...nulls });
  }
  const values = new (data.values.constructor as new (length: number) => Int32Array)(length);
  for (let i = 0; i < length; i++) values[i] = data.values[indices[i]!]!;
  return makeFlat({ type, length, data: values, ...nulls });
}

function takenOffsets(data: Data, indices: ArrayLike<number>): Int32Array {
  const offsets = new Int32Array(indices.length + 1);
  for (let i = 0; i < indices.length; i++) {
    const row = indices[i]!;
    offsets[i + 1] = offsets[i]! + data.valueOffsets[row + 1]! - data.valueOffsets[row]!;
  }
  return offsets;
}

function takeValidity(data: Data, indices: ArrayLike<number>): { nullCount: number; nullBitmap: Uint8Array } {
  let nullCount = 0;
  const nullBitmap = bitmap(indices.length, (i) => {
    const valid = !isNull(data, indices[i]!);
    if (!valid) nullCount++;
    return valid;
  });
  return { nullCount, nullBitmap };
}

function boolBit(data: Data, row: number): boolean {
  const bit = data.offset + row;
  return (data.values[bit >> 3]! & (1 << (bit & 7))) !== 0;
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
    const bits = parts.flatMap((part) => Array.from({ length: part.length }, (_, row) => boolBit(part, row)));
    return makeData({ type, length, data: bitmap(length, (i) => bits[i]!), ...nulls });
  }
  if (DataType.isUtf8(type) || DataType.isBinary(type)) {
    const valueOffsets = concatOffsets(parts, length);
    const data = concatArrays(parts.map(usedValues));
    return makeFlat({ type, length, valueOffsets, data, ...nulls });
  }
  if (DataType.isList(type)) {
    const child = concatData(parts.map(usedItems));
    return makeData({ type, length, valueOffsets: concatOffsets(parts, length), child, ...nulls });
  }
  const data = concatArrays(parts.map((part) => part.values.subarray(0, part.length)));
  return makeFlat({ type, length, data, ...nulls });
}

function usedValues(data: Data): Uint8Array {
  return data.values.subarray(data.valueOffsets[0], data.valueOffsets[data.length]);
}

function usedItems(data: Data): Data {
  const start = data.valueOffsets[0]!;
  return data.children[0]!.slice(start, data.valueOffsets[data.length]! - start);
}

function concatOffsets(parts: readonly Data[], length: number): Int32Array {
  const offsets = new Int32Array(length + 1);
  let row = 0;
  for (const part of parts) {
    for (let i = 0; i < part.length; i++, row++) {
      offsets[row + 1] = offsets[row]! + part.valueOffsets[i + 1]! - part.valueOffsets[i]!;
    }
  }
  return offsets;
}

function concatArrays<A extends Uint8Array | Int32Array | Float32Array | Float64Array>(arrays: readonly A[]): A {
  const length = arrays.reduce((sum, array) => sum + array.length, 0);
  const joined = new (arrays[0]!.constructor as new (length: number) => A)(length);
  let end = 0;
  for (const array of arrays) (joined.set(array, end), (end += array.length));
  return joined;
}

function concatValidity(parts: readonly Data[], length: number): { nullCount: number; nullBitmap?: Uint8Array } {
  if (parts.every((part) => part.nullCount === 0)) return { nullCount: 0 };
  const valid: boolean[] = [];
  for (const part of parts) for (let row = 0; row < part.length; row++) valid.push(!isNull(part, row));
  return { nullCount: valid.filter((v) => !v).length, nullBitmap: bitmap(length, (i) => valid[i]!) };
}
