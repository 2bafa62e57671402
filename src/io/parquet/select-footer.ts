import { open, type FileHandle } from "node:fs/promises";
import { InternalError } from "../../core/errors.ts";
import type { LeafShape } from "./select-pages.ts";
import { itemsAt, numberAt, structAt, textAt, ThriftReader, type ThriftStruct } from "./select-thrift.ts";

export const CODEC = { none: 0, zstd: 6 } as const;
const REPETITION = { required: 0, optional: 1, repeated: 2 } as const;
const MAGIC = 4;

/** A column of values (a leaf of the schema). */
export interface Leaf extends LeafShape {
  /** Names from the root, joined by dots. */
  readonly path: string;
  readonly names: readonly string[];
}

export interface StoredChunk {
  readonly start: number;
  readonly length: number;
  readonly codec: number;
}

export interface StoredRowGroup {
  readonly numRows: number;
  /** By the leaf's path. */
  readonly chunks: ReadonlyMap<string, StoredChunk>;
}

/** What a Parquet file's footer says, as far as copying rows needs it. */
export interface Footer {
  /** FileMetaData of apache/parquet-format's parquet.thrift. */
  readonly metadata: ThriftStruct;
  readonly createdBy: string;
  readonly leaves: readonly Leaf[];
  readonly rowGroups: readonly StoredRowGroup[];
}

export async function readFooter(path: string): Promise<Footer> {
  const file = await open(path, "r");
  try {
    const { size } = await file.stat();
    const tail = await readBytes(file, size - 8, 8);
    const length = new DataView(tail.buffer, tail.byteOffset).getUint32(0, true);
    return parseFooter(await readBytes(file, size - 8 - length, length));
  } finally {
    await file.close();
  }
}

async function readBytes(file: FileHandle, position: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  const { bytesRead } = await file.read(bytes, 0, length, position);
  if (position < MAGIC || bytesRead !== length) throw new InternalError("Parquet: the footer is not where the file says");
  return bytes;
}

function parseFooter(bytes: Uint8Array): Footer {
  const metadata = new ThriftReader(bytes).struct();
  return {
    metadata,
    createdBy: metadata.has(6) ? textAt(metadata, 6) : "",
    leaves: leavesOf(itemsAt(metadata, 2) as readonly ThriftStruct[]),
    rowGroups: (itemsAt(metadata, 4) as readonly ThriftStruct[]).map(parseRowGroup),
  };
}

/** The schema is a depth-first list of elements, each with its number of children. */
function leavesOf(elements: readonly ThriftStruct[]): Leaf[] {
  const leaves: Leaf[] = [];
  let next = 0;
  const visit = (names: readonly string[], maxDefinition: number, maxRepetition: number): void => {
    const element = elements[next++]!;
    const isRoot = names.length === 0 && next === 1;
    const repetition = element.has(3) ? numberAt(element, 3) : REPETITION.required;
    const definition = maxDefinition + Number(!isRoot && repetition !== REPETITION.required);
    const repeated = maxRepetition + Number(!isRoot && repetition === REPETITION.repeated);
    const own = isRoot ? [] : [...names, textAt(element, 4)];
    const numChildren = element.has(5) ? numberAt(element, 5) : 0;
    if (element.has(1)) {
      const length = element.has(2) ? numberAt(element, 2) : 0;
      leaves.push({ path: own.join("."), names: own, type: numberAt(element, 1), length, maxDefinition: definition, maxRepetition: repeated });
    }
    for (let child = 0; child < numChildren; child++) visit(own, definition, repeated);
  };
  visit([], 0, 0);
  return leaves;
}

function parseRowGroup(group: ThriftStruct): StoredRowGroup {
  const chunks = new Map<string, StoredChunk>();
  for (const column of itemsAt(group, 1) as readonly ThriftStruct[]) {
    const metadata = structAt(column, 3);
    const path = (itemsAt(metadata, 3) as readonly Uint8Array[]).map((name) => new TextDecoder().decode(name)).join(".");
    // Old writers say 0 where there is no dictionary page.
    const dictionary = metadata.has(11) ? numberAt(metadata, 11) : 0;
    const start = dictionary > 0 ? dictionary : numberAt(metadata, 9);
    chunks.set(path, { start, length: numberAt(metadata, 7), codec: numberAt(metadata, 4) });
  }
  return { numRows: numberAt(group, 3), chunks };
}
