import { closeSync, openSync, readSync } from "node:fs";
import { InternalError } from "../../core/errors.ts";
import { bitWidth, encodeHybrid, encodeRun } from "./select-levels.ts";
import { copyRows, type ChunkRows, type Codec, type CopiedLeaf, type NewChunk, plainChunk, prefixed } from "./select-pages.ts";

/** A row group that rows are copied from. */
export interface SourceRowGroup {
  readonly path: string;
  /** [rows] 1: the row is copied. */
  readonly keep: Uint8Array;
  /** The bytes of each of the task's leaves. */
  readonly chunks: readonly { readonly start: number; readonly length: number }[];
}

/** A column that the source lacks, for the kept rows. */
export type AddedColumn =
  | { readonly kind: "int32"; readonly values: Int32Array }
  /** UTF-8, never null. */
  | { readonly kind: "text"; readonly offsets: Int32Array; readonly bytes: Uint8Array }
  /** Lists of booleans, neither null nor with nulls; bits LSB first. Offsets begin at 0. */
  | { readonly kind: "bool_list"; readonly offsets: Int32Array; readonly bits: Uint8Array };

/** One row group to be made of the kept rows of a few. Plain data: it goes to a thread. */
export interface RowGroupTask {
  readonly compression: "zstd" | "none";
  readonly leaves: readonly CopiedLeaf[];
  readonly sources: readonly SourceRowGroup[];
  readonly added: readonly AddedColumn[];
}

/** The chunks of the leaves, then those of the added columns. Memory: the sources' largest column and the result. */
export function makeRowGroup({ leaves, sources, added }: RowGroupTask, codec: Codec): NewChunk[] {
  const files = sources.map(({ path }) => openSync(path, "r"));
  try {
    const copied = leaves.map((leaf, i) =>
      copyRows(leaf, codec, sources.map(({ chunks, keep }, source): ChunkRows => ({ bytes: readChunk(files[source]!, chunks[i]!), keep }))),
    );
    return [...copied, ...added.map((column) => encodeColumn(column, codec))];
  } finally {
    for (const file of files) closeSync(file);
  }
}

function readChunk(file: number, { start, length }: { start: number; length: number }): Uint8Array {
  const bytes = new Uint8Array(length);
  if (readSync(file, bytes, 0, length, start) !== length) throw new InternalError("Parquet: a column chunk ends behind the file");
  return bytes;
}

function encodeColumn(column: AddedColumn, codec: Codec): NewChunk {
  switch (column.kind) {
    case "int32":
      return plainChunk(codec, column.values.length, new Uint8Array(0), new Uint8Array(column.values.buffer, column.values.byteOffset, column.values.byteLength));
    case "text":
      return plainChunk(codec, column.offsets.length - 1, new Uint8Array(0), plainText(column.offsets, column.bytes));
    case "bool_list":
      return boolLists(column.offsets, column.bits, codec);
  }
}

function plainText(offsets: Int32Array, text: Uint8Array): Uint8Array {
  const numRows = offsets.length - 1;
  const bytes = new Uint8Array(4 * numRows + offsets[numRows]!);
  const view = new DataView(bytes.buffer);
  for (let row = 0, at = 0; row < numRows; row++) {
    const length = offsets[row + 1]! - offsets[row]!;
    view.setUint32(at, length, true);
    bytes.set(text.subarray(offsets[row], offsets[row + 1]), at + 4);
    at += 4 + length;
  }
  return bytes;
}

/** A list's first item has repetition level 0, the others 1; an item has definition level 2, an empty list 0. */
function boolLists(offsets: Int32Array, bits: Uint8Array, codec: Codec): NewChunk {
  const numRows = offsets.length - 1;
  const numItems = offsets[numRows]!;
  let numEmpty = 0;
  for (let row = 0; row < numRows; row++) if (offsets[row] === offsets[row + 1]) numEmpty++;
  const numLevels = numItems + numEmpty;
  const repetition = new Uint8Array(numLevels).fill(1);
  const definition = numEmpty > 0 ? new Uint8Array(numLevels).fill(2) : undefined;
  let level = 0;
  for (let row = 0; row < numRows; row++) {
    repetition[level] = 0;
    const length = offsets[row + 1]! - offsets[row]!;
    if (length === 0) definition![level] = 0;
    level += Math.max(1, length);
  }
  const width = bitWidth(2);
  const levels = Buffer.concat([
    prefixed(encodeHybrid(repetition, numLevels, 1)),
    prefixed(definition ? encodeHybrid(definition, numLevels, width) : encodeRun(2, numLevels, width)),
  ]);
  return plainChunk(codec, numLevels, levels, bits.subarray(0, (numItems + 7) >> 3));
}
