import { writeFileSync } from "node:fs";
import { Binary, Bool, Dictionary, Field, Float32, Float64, Int32, Int64, List, RecordBatch, Schema, Struct, type DataType, Table, tableToIPC, Utf8, vectorFromArray } from "apache-arrow";
import * as parquet from "parquet-wasm";

export { Binary, Bool, Dictionary, Field, Float32, Float64, Int32, Int64, List, Struct, Utf8 };

export const list = (type: DataType) => new List(new Field("element", type, true));
export const struct = (fields: Record<string, DataType>) => new Struct(Object.entries(fields).map(([name, type]) => new Field(name, type, true)));

/** A Parquet file of plain values, in row groups of the size given. */
export function writeParquetFixture(path: string, types: Record<string, DataType>, rows: readonly Record<string, unknown>[], row_group_rows = 1_000): void {
  const columns = Object.entries(types).map(([name, type]) => [name, vectorFromArray(rows.map((row) => row[name] ?? null), type)] as const);
  const schema = new Schema(columns.map(([name, vector]) => new Field(name, vector.type, true)));
  const table = new Table(schema, Object.fromEntries(columns));
  const properties = new parquet.WriterPropertiesBuilder().setMaxRowGroupSize(row_group_rows).setCompression(parquet.Compression.ZSTD).build();
  writeFileSync(path, parquet.writeParquet(parquet.Table.fromIPCStream(tableToIPC(table, "stream")), properties));
}

export type { RecordBatch };
