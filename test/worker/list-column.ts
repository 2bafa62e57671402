import { type Data, Field, List, makeData } from "apache-arrow";

/** Lists of these lengths, their items one behind the other in `child`. */
export function listColumn(lengths: readonly number[], child: Data): Data<List> {
  const valueOffsets = new Int32Array(lengths.length + 1);
  for (const [i, length] of lengths.entries()) valueOffsets[i + 1] = valueOffsets[i]! + length;
  return makeData({ type: new List(new Field("item", child.type, true)), length: lengths.length, nullCount: 0, valueOffsets, child });
}
