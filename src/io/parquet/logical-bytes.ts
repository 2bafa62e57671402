import { DataType, type Data, type RecordBatch } from "apache-arrow";

/**
 * Arrow bytes of the rows before `row`: offsets and values, without validity and padding. It depends on the rows'
 * content alone, not on how batches were cut, so rules built on it (where a part ends) give the same files for the
 * same rows. Non-decreasing in `row`; costs the nesting's depth, not the number of rows.
 */
export function bytesBefore(data: Data, row: number): number {
  const { type } = data;
  if (DataType.isStruct(type)) return data.children.reduce((sum, child) => sum + bytesBefore(child, row), 0);
  if (DataType.isList(type)) {
    const child = data.children[0]!;
    const first = data.valueOffsets[0]!;
    return 4 * row + bytesBefore(child, data.valueOffsets[row]) - bytesBefore(child, first);
  }
  if (DataType.isUtf8(type) || DataType.isBinary(type)) return 4 * row + data.valueOffsets[row]! - data.valueOffsets[0]!;
  if (DataType.isBool(type)) return row / 8;
  return row * (data.values as { BYTES_PER_ELEMENT: number }).BYTES_PER_ELEMENT;
}

/** Arrow bytes of the batch. A whole number: stored in the journal and summed. */
export function logicalBytes(batch: RecordBatch): number {
  return Math.ceil(bytesBefore(batch.data, batch.numRows));
}

/** How many rows of the batch, from `start`, fit into `limit_bytes`; at least one. */
export function rowsThatFit(batch: RecordBatch, start: number, limit_bytes: number): number {
  const base = bytesBefore(batch.data, start);
  let low = start + 1;
  let high = batch.numRows;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (bytesBefore(batch.data, middle) - base <= limit_bytes) low = middle;
    else high = middle - 1;
  }
  return low - start;
}
