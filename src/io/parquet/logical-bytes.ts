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

/** Arrow bytes of the batch: a multiple of 1/8 (bits of booleans), so sums are exact however rows are grouped. */
export function logicalBytes(batch: RecordBatch): number {
  return bytesBefore(batch.data, batch.numRows);
}

/** How many rows of the batch, from `start`, fit into `limit_bytes`; at least one. */
export function rowsThatFit(batch: RecordBatch, start: number, limit_bytes: number): number {
  const limit = bytesBefore(batch.data, start) + limit_bytes;
  const end = firstRow(start + 1, batch.numRows + 1, (row) => bytesBefore(batch.data, row) > limit) - 1;
  return Math.max(1, end - start);
}

/** How many rows of the batch, from `start`, bring at least `wanted_bytes`: the fewest; all where they don't suffice. */
export function rowsToReach(batch: RecordBatch, start: number, wanted_bytes: number): number {
  const wanted = bytesBefore(batch.data, start) + wanted_bytes;
  return firstRow(start + 1, batch.numRows, (row) => bytesBefore(batch.data, row) >= wanted) - start;
}

/** The first in [low, high) for which `holds`, which holds for all behind it; else `high`. */
function firstRow(low: number, high: number, holds: (row: number) => boolean): number {
  while (low < high) {
    const middle = (low + high) >> 1;
    if (holds(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}
