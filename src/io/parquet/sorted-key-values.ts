import { InternalError } from "../../core/errors.ts";
import { itemsAt, textAt, ThriftReader, type ThriftStruct, ThriftWriter } from "./select-thrift.ts";

/** FileMetaData.key_value_metadata and KeyValue.key of apache/parquet-format's parquet.thrift. */
const KEY_VALUES = 5;
const KEY = 1;

/** The footer with its key-value metadata in the order of the keys; as long as before, everything else untouched. */
export function sortedKeyValues(footer: Buffer): Buffer {
  const metadata = new ThriftReader(footer).struct();
  if (!metadata.has(KEY_VALUES)) return footer;
  const entries = itemsAt(metadata, KEY_VALUES) as readonly ThriftStruct[];
  const stored = encode(entries);
  const at = footer.lastIndexOf(stored);
  if (at < 0) throw new InternalError("Parquet: the footer's key-value metadata is not where it was read");
  const sorted = encode([...entries].sort((a, b) => (textAt(a, KEY) < textAt(b, KEY) ? -1 : 1)));
  return Buffer.concat([footer.subarray(0, at), sorted, footer.subarray(at + stored.length)]);
}

function encode(entries: readonly ThriftStruct[]): Buffer {
  return Buffer.concat(entries.map((entry) => new ThriftWriter().struct(entry).toBytes()));
}
