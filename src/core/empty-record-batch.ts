import { type Data, DataType, type Field, makeData, RecordBatch, type Schema, Struct } from "apache-arrow";
import { makeFlat } from "./flat-data.ts";

/** A batch without rows that the IPC writer takes. */
export function emptyRecordBatch(schema: Schema): RecordBatch {
  return new RecordBatch(schema, emptyData(new Struct(schema.fields)));
}

/** Written out, since makeData leaves a list without rows without its child, which the IPC writer needs. */
function emptyData<T extends DataType>(type: T): Data<T> {
  const children = (type.children ?? []).map((child: Field) => emptyData(child.type as DataType));
  if (DataType.isList(type)) return makeData({ type, length: 0, nullCount: 0, valueOffsets: new Int32Array(1), child: children[0]! }) as Data as Data<T>;
  if (DataType.isStruct(type)) return makeData({ type, length: 0, nullCount: 0, children }) as Data as Data<T>;
  const hasOffsets = DataType.isUtf8(type) || DataType.isBinary(type);
  return makeFlat({ type, length: 0, nullCount: 0, ...(hasOffsets && { valueOffsets: new Int32Array(1) }), data: new Uint8Array(0) }) as Data<T>;
}
