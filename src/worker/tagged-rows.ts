import { type Data, DataType, type Field, makeData, type RecordBatch, Schema } from "apache-arrow";
import { makeFlat } from "../core/flat-data.ts";
import { columnData, emptyRecordBatch, makeRecordBatch, utf8Column } from "../core/record-batch.ts";
import { KIND, type RowKind } from "./protocol.ts";

/** Rows of one kind: the columns given, and nulls in every other column of the schema. */
export function taggedRows(schema: Schema, kind: RowKind, length: number, columns: Readonly<Record<string, Data>>): RecordBatch {
  const all = schema.fields.map((field) => {
    if (field.name === KIND.name) return [field.name, utf8Column(new Array<string>(length).fill(kind))] as const;
    return [field.name, columns[field.name] ?? nullColumn(field, length)] as const;
  });
  return makeRecordBatch(schema, Object.fromEntries(all));
}

function nullColumn(field: Field, length: number): Data {
  const { type } = field;
  const nulls = { length, nullCount: length, nullBitmap: new Uint8Array(((length + 63) >> 6) << 3) };
  const children = (columnData(emptyRecordBatch(new Schema([field])), field.name).children ?? []);
  if (DataType.isList(type)) return makeData({ type, ...nulls, valueOffsets: new Int32Array(length + 1), child: children[0]! });
  if (DataType.isStruct(type)) return makeData({ type, ...nulls, children: type.children.map((child) => nullColumn(child, length)) });
  if (DataType.isUtf8(type) || DataType.isBinary(type)) return makeFlat({ type, ...nulls, valueOffsets: new Int32Array(length + 1), data: new Uint8Array(0) });
  if (DataType.isBool(type)) return makeFlat({ type, ...nulls, data: new Uint8Array(nulls.nullBitmap.length) });
  const Values = type.ArrayType as new (length: number) => Int32Array;
  return makeFlat({ type, ...nulls, data: new Values(length) });
}
