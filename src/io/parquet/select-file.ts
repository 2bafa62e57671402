/** Row groups and footers of Parquet files made of finished column chunks (apache/parquet-format, parquet.thrift). */
import type { Leaf } from "./select-footer.ts";
import type { NewChunk } from "./select-pages.ts";
import { statisticsField } from "./select-statistics.ts";
import { i32, i64, struct, structs, type ThriftStruct, ThriftWriter, TYPE } from "./select-thrift.ts";

const MAGIC = Uint8Array.of(0x50, 0x41, 0x52, 0x31); // PAR1
export const START_OF_FILE = MAGIC;

export interface NamedChunk {
  readonly leaf: Leaf;
  readonly codec: number;
  readonly chunk: NewChunk;
}

/** The RowGroup of chunks that stand one behind the other from byte `start` of the file. */
export function appendRowGroup(start: number, ordinal: number, numRows: number, chunks: readonly NamedChunk[]): ThriftStruct {
  let at = start;
  const columns = chunks.map(({ leaf, codec, chunk }) => {
    const metadata: ThriftStruct = new Map([
      [1, i32(leaf.type)],
      [2, { type: TYPE.list, value: { type: TYPE.i32, items: chunk.encodings } }],
      [3, { type: TYPE.list, value: { type: TYPE.binary, items: leaf.names.map((name) => new TextEncoder().encode(name)) } }],
      [4, i32(codec)],
      [5, i64(chunk.numValues)],
      [6, i64(chunk.uncompressedBytes)],
      [7, i64(chunk.bytes.length)],
      [9, i64(at + chunk.dictionaryLength)],
    ]);
    if (chunk.dictionaryLength > 0) metadata.set(11, i64(at));
    if (chunk.bounds) metadata.set(12, statisticsField(chunk.bounds));
    at += chunk.bytes.length;
    return new Map([[2, i64(0)], [3, struct(metadata)]]) satisfies ThriftStruct;
  });
  const uncompressed = chunks.reduce((sum, { chunk }) => sum + chunk.uncompressedBytes, 0);
  return new Map([[1, structs(columns)], [2, i64(uncompressed)], [3, i64(numRows)], [5, i64(start)], [6, i64(at - start)], [7, { type: TYPE.i16, value: ordinal }]]);
}

/** Everything behind the last row group. `template`: FileMetaData of a file with the same schema and key-value metadata. */
export function endOfFile(template: ThriftStruct, numRows: number, groups: readonly ThriftStruct[]): Uint8Array {
  const footer = new ThriftWriter().struct(new Map([...template, [3, i64(numRows)], [4, structs(groups)]])).toBytes();
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, footer.length, true);
  return Buffer.concat([footer, length, MAGIC]);
}
