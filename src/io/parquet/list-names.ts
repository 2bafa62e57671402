import { DataType, Field, List, makeData, RecordBatch, Schema, Struct, type Data } from "apache-arrow";

/**
 * The batch with every list's child named `name`. Shares all buffers.
 * In memory Arrow says `item`; in files the Parquet specification (LogicalTypes.md, "Lists") says `element`, and
 * parquet-wasm writes the name it is given.
 */
export function renameListChildren(batch: RecordBatch, name: "item" | "element"): RecordBatch {
  const schema = renameInSchema(batch.schema, name);
  const children = batch.data.children.map((child, i) => retype(child, schema.fields[i]!.type));
  return new RecordBatch(schema, makeData({ type: new Struct(schema.fields), length: batch.numRows, nullCount: 0, children }));
}

export function renameInSchema(schema: Schema, name: "item" | "element"): Schema {
  return new Schema(schema.fields.map((field) => renameInField(field, field.name, name)), schema.metadata);
}

function renameInField(field: Field, own_name: string, name: string): Field {
  return new Field(own_name, renameInType(field.type as DataType, name), field.nullable, field.metadata);
}

function renameInType(type: DataType, name: string): DataType {
  if (DataType.isList(type)) return new List(renameInField(type.children[0]!, name, name));
  if (DataType.isStruct(type)) return new Struct(type.children.map((child) => renameInField(child, child.name, name)));
  return type;
}

/** The same buffers under a type that differs in the names of its fields only. */
function retype(data: Data, type: DataType): Data {
  if (!DataType.isList(type) && !DataType.isStruct(type)) return data;
  const children = data.children.map((child, i) => retype(child, type.children[i]!.type as DataType));
  return data.clone(type, data.offset, data.length, data.nullCount, data.buffers, children);
}
