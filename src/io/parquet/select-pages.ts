/**
 * Copying some rows of a Parquet column chunk without decoding its values: levels are cut, dictionary indices are
 * renumbered, plain values are moved as bytes (apache/parquet-format, README.md, "Data Pages"). Data pages of version 1,
 * PLAIN and dictionary encoding: what this project's writer makes.
 */
import { InternalError } from "../../core/errors.ts";
import { DictionaryBuilder, type Dictionary } from "./select-dictionary.ts";
import { bitWidth, decodeHybrid, encodeHybrid, encodeRun, repeatedLevel } from "./select-levels.ts";
import { type Bounds, boundsOf } from "./select-statistics.ts";
import { i32, numberAt, struct, structAt, ThriftReader, type ThriftStruct, ThriftWriter } from "./select-thrift.ts";
import { type PhysicalType, RunBuilder, takePlain, type ValueRuns } from "./select-values.ts";

export const ENCODING = { plain: 0, plainDictionary: 2, rle: 3, rleDictionary: 8 } as const;
const PAGE = { data: 0, dictionary: 2 } as const;

export interface Codec {
  compress(bytes: Uint8Array): Uint8Array;
  decompress(bytes: Uint8Array, size: number): Uint8Array;
}

export interface LeafShape extends PhysicalType {
  readonly maxDefinition: number;
  readonly maxRepetition: number;
}

/** A column to copy; `bounded`: its chunks get their smallest and largest value. */
export interface CopiedLeaf extends LeafShape {
  readonly bounded: boolean;
}

export interface ChunkRows {
  /** The chunk's pages, from its first byte. */
  readonly bytes: Uint8Array;
  /** [rows] 1: the row is copied. */
  readonly keep: Uint8Array;
}

export interface NewChunk {
  readonly bytes: Uint8Array;
  /** Length of the dictionary page with its header; 0: there is none. */
  readonly dictionaryLength: number;
  /** Levels, nulls and empty lists included. */
  readonly numValues: number;
  /** With page headers. */
  readonly uncompressedBytes: number;
  readonly encodings: readonly number[];
  readonly bounds: Bounds | undefined;
}

/** One page's worth of a new chunk. */
interface NewPage {
  readonly numLevels: number;
  /** Levels less nulls and empty lists. */
  readonly numValues: number;
  /** Length-prefixed repetition and definition levels. */
  readonly levels: Uint8Array;
  /** PLAIN values, or indices into the new dictionary. */
  readonly values: Uint8Array | Int32Array;
}

/** One chunk with the kept rows of the given chunks of one column, in order. */
export function copyRows(shape: CopiedLeaf, codec: Codec, sources: readonly ChunkRows[]): NewChunk {
  const pages: NewPage[] = [];
  const dictionary = new DictionaryBuilder(shape, sources.length);
  for (const source of sources) {
    const copied = copyPages(shape, codec, source);
    const indices = copied.pages.flatMap(({ values }) => (values instanceof Int32Array ? [values] : []));
    if (copied.dictionary) dictionary.add(copied.dictionary, indices);
    pages.push(...copied.pages);
  }
  const used = dictionary.count > 0 ? dictionary.build() : undefined;
  return assemble(codec, pages, used, shape.bounded ? boundsOfPages(shape, pages, used) : undefined);
}

function boundsOfPages(shape: LeafShape, pages: readonly NewPage[], dictionary: Dictionary | undefined): Bounds | undefined {
  const plain = pages.flatMap(({ values, numValues }) => (values instanceof Int32Array ? [] : [{ bytes: values, count: numValues }]));
  const numNulls = pages.reduce((sum, { numLevels, numValues }) => sum + numLevels - numValues, 0);
  return boundsOf(shape, numNulls, dictionary ? [dictionary, ...plain] : plain);
}

/** One chunk of PLAIN values without a dictionary; levels as `prefixed` makes them. */
export function plainChunk(codec: Codec, numLevels: number, levels: Uint8Array, values: Uint8Array): NewChunk {
  return assemble(codec, [{ numLevels, numValues: numLevels, levels, values }], undefined, undefined);
}

function copyPages(shape: LeafShape, codec: Codec, { bytes, keep }: ChunkRows): { dictionary: Dictionary | undefined; pages: NewPage[] } {
  let dictionary: Dictionary | undefined;
  const pages: NewPage[] = [];
  const rows = new RowCursor(keep, shape.maxRepetition > 0);
  for (let at = 0; at < bytes.length; ) {
    const reader = new ThriftReader(bytes, at);
    const header = reader.struct();
    at = reader.position + numberAt(header, 3);
    const body = codec.decompress(bytes.subarray(reader.position, at), numberAt(header, 2));
    const kind = numberAt(header, 1);
    if (kind === PAGE.dictionary) dictionary = { bytes: body, count: numberAt(structAt(header, 7), 1) };
    else if (kind === PAGE.data) {
      const page = copyPage(shape, structAt(header, 5), body, rows);
      if (page.numLevels > 0) pages.push(page);
    } else throw new InternalError(`Parquet: page type ${kind}`);
  }
  return { dictionary, pages };
}

function copyPage(shape: LeafShape, header: ThriftStruct, body: Uint8Array, rows: RowCursor): NewPage {
  const numLevels = numberAt(header, 1);
  const { maxRepetition, maxDefinition } = shape;
  let at = 0;
  const readLevels = (max: number): Uint8Array | "all max" => {
    if (max === 0) return "all max";
    const start = at + 4;
    at = start + uint32(body, at);
    const width = bitWidth(max);
    if (repeatedLevel(body, start, numLevels, width) === max) return "all max";
    const levels = new Uint8Array(numLevels);
    decodeHybrid(body, start, at, width, numLevels, levels);
    return levels;
  };
  const repetition = readLevels(maxRepetition);
  const definition = readLevels(maxDefinition);
  const runs = rows.keptLevels(repetition, numLevels);
  const { runs: valueRuns, numValues } = definition === "all max" ? { runs, numValues: numLevels } : definedRuns(definition, maxDefinition, runs);
  const writeLevels = (levels: Uint8Array | "all max", max: number): Uint8Array[] => {
    if (max === 0) return [];
    const width = bitWidth(max);
    return [prefixed(levels === "all max" ? encodeRun(max, runs.length, width) : encodeHybrid(takeLevels(levels, runs), runs.length, width))];
  };
  const levels = Buffer.concat([...writeLevels(repetition, maxRepetition), ...writeLevels(definition, maxDefinition)]);
  const encoding = numberAt(header, 2);
  const page = { numLevels: runs.length, numValues: valueRuns.length, levels };
  if (encoding === ENCODING.plain) return { ...page, values: takePlain(body.subarray(at), numValues, shape, valueRuns) };
  if (encoding !== ENCODING.rleDictionary && encoding !== ENCODING.plainDictionary) throw new InternalError(`Parquet: encoding ${encoding}`);
  if (numValues === 0) return { ...page, values: new Uint8Array(0) };
  const indices = new Int32Array(numValues);
  decodeHybrid(body, at + 1, body.length, body[at]!, numValues, indices);
  return { ...page, values: takeIndices(indices, valueRuns) };
}

function uint32(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}

/** Which rows the levels of page after page belong to. */
class RowCursor {
  readonly #keep: Uint8Array;
  readonly #repeats: boolean;
  #next = 0;
  #kept = 0;

  constructor(keep: Uint8Array, repeats: boolean) {
    this.#keep = keep;
    this.#repeats = repeats;
  }

  /** Runs of a page's levels that belong to kept rows. A page may begin inside a row. */
  keptLevels(repetition: Uint8Array | "all max", numLevels: number): ValueRuns {
    const runs = new RunBuilder(numLevels);
    // A page whose levels all repeat goes on with the row before; in a column that does not repeat each level is a row.
    const flat = repetition === "all max" && !this.#repeats;
    for (let i = 0; i < numLevels; i++) {
      if (flat || (repetition !== "all max" && repetition[i] === 0)) {
        if (this.#next === this.#keep.length) throw new InternalError("Parquet: a column has more rows than its row group");
        this.#kept = this.#keep[this.#next++]!;
      }
      if (this.#kept) runs.add(i);
    }
    return runs.build();
  }
}

/** The runs of stored values (nulls and empty lists have none) that belong to runs of levels, and how many the page stores. */
function definedRuns(definition: Uint8Array, max: number, runs: ValueRuns): { runs: ValueRuns; numValues: number } {
  const values = new RunBuilder(definition.length);
  let run = 0;
  let value = 0;
  for (let i = 0; i < definition.length; i++) {
    if (run < runs.count && i === runs.ends[run]) run++;
    if (definition[i] !== max) continue;
    if (run < runs.count && i >= runs.starts[run]!) values.add(value);
    value++;
  }
  return { runs: values.build(), numValues: value };
}

function takeLevels(levels: Uint8Array, { starts, ends, count, length }: ValueRuns): Uint8Array {
  const taken = new Uint8Array(length);
  let at = 0;
  for (let i = 0; i < count; i++) for (let j = starts[i]!; j < ends[i]!; j++) taken[at++] = levels[j]!;
  return taken;
}

function takeIndices(indices: Int32Array, { starts, ends, count, length }: ValueRuns): Int32Array {
  const taken = new Int32Array(length);
  let at = 0;
  for (let i = 0; i < count; i++) for (let j = starts[i]!; j < ends[i]!; j++) taken[at++] = indices[j]!;
  return taken;
}

/** Levels as a data page holds them: their length in four bytes, then they. */
export function prefixed(levels: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(4 + levels.length);
  new DataView(bytes.buffer).setUint32(0, levels.length, true);
  bytes.set(levels, 4);
  return bytes;
}

function assemble(codec: Codec, pages: readonly NewPage[], dictionary: Dictionary | undefined, bounds: Bounds | undefined): NewChunk {
  const pieces: Uint8Array[] = [];
  let uncompressedBytes = 0;
  const put = (header: ThriftStruct, body: Uint8Array): number => {
    const compressed = codec.compress(body);
    const bytes = new ThriftWriter().struct(new Map([...header, [2, i32(body.length)], [3, i32(compressed.length)]])).toBytes();
    pieces.push(bytes, compressed);
    uncompressedBytes += bytes.length + body.length;
    return bytes.length + compressed.length;
  };
  const encodings = new Set<number>([ENCODING.rle]);
  let dictionaryLength = 0;
  if (dictionary) {
    encodings.add(ENCODING.plain);
    dictionaryLength = put(new Map([[1, i32(PAGE.dictionary)], [7, struct(new Map([[1, i32(dictionary.count)], [2, i32(ENCODING.plain)]]))]]), dictionary.bytes);
  }
  let numValues = 0;
  for (const { numLevels, levels, values } of pages) {
    const indexed = values instanceof Int32Array && values.length > 0;
    const encoding = indexed ? ENCODING.rleDictionary : ENCODING.plain;
    encodings.add(encoding);
    numValues += numLevels;
    const header = new Map([[1, i32(numLevels)], [2, i32(encoding)], [3, i32(ENCODING.rle)], [4, i32(ENCODING.rle)]]);
    const body = Buffer.concat([levels, indexed ? indexBytes(values, dictionary!.count) : new Uint8Array(values.buffer, values.byteOffset, values.byteLength)]);
    put(new Map([[1, i32(PAGE.data)], [5, struct(header)]]), body);
  }
  return { bytes: Buffer.concat(pieces), dictionaryLength, numValues, uncompressedBytes, encodings: [...encodings].sort((a, b) => a - b), bounds };
}

/** Dictionary indices as a data page holds them: their width in one byte, then they. */
function indexBytes(indices: Int32Array, dictionaryCount: number): Uint8Array {
  const width = bitWidth(dictionaryCount - 1);
  return Buffer.concat([Uint8Array.of(width), encodeHybrid(indices, indices.length, width)]);
}
