/**
 * Building, reading and rearranging record batches: the few operations this project needs over the column types
 * it uses (int32, float32, float64, bool, utf8, binary, list, struct). Slices with a non-zero offset are handled
 * everywhere; input batches are never changed; output batches own their buffers unless said otherwise.
 */
import {
  Binary,
  Bool,
  type Data,
  type DataType,
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

export { concatRows } from "./concat-rows.ts";
export { emptyRecordBatch } from "./empty-record-batch.ts";
export { takeRows } from "./take-rows.ts";

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

// ---- columns ----

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
