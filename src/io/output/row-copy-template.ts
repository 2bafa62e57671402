import { rm } from "node:fs/promises";
import type { DatasetOptions } from "../../core/output.ts";
import { CREATED_BY, ParquetWriter } from "../parquet/parquet-writer.ts";
import type { NamedChunk } from "../parquet/select-file.ts";
import { type Footer, type Leaf, readFooter } from "../parquet/select-footer.ts";
import type { NewChunk } from "../parquet/select-pages.ts";
import type { ThriftStruct } from "../parquet/select-thrift.ts";

/** What the new files have in common, taken from an empty one of the same schema that the Parquet library wrote. */
export class Template {
  readonly metadata: ThriftStruct;
  /** Leaves whose values are copied, and top-level columns that are added. */
  readonly copied: readonly Leaf[];
  readonly added: readonly string[];
  readonly #leaves: readonly Leaf[];
  readonly #codec: number;

  private constructor({ metadata, leaves }: Footer, codec: number, copied: readonly Leaf[]) {
    this.metadata = metadata;
    this.copied = copied;
    this.#leaves = leaves;
    this.#codec = codec;
    this.added = [...new Set(leaves.filter((leaf) => !copied.includes(leaf)).map(({ names }) => names[0]!))];
  }

  /** Written to `path` for a moment. undefined where rows of the sources can't be copied into such files. */
  static async make(path: string, options: DatasetOptions, codec: number, sources: readonly Footer[]): Promise<Template | undefined> {
    const writer = await ParquetWriter.open(path, options);
    try {
      await writer.finish();
      const footer = await readFooter(path);
      const stored = new Set(sources[0]!.leaves.map(({ names }) => names[0]!));
      const copied = footer.leaves.filter(({ names }) => stored.has(names[0]!));
      return sources.every((source) => canCopy(source, copied, codec)) ? new Template(footer, codec, copied) : undefined;
    } finally {
      await writer.abandon();
      await rm(path, { force: true });
    }
  }

  /** The chunks, copied ones first, in the schema's order with what a footer says of them. */
  name(chunks: readonly NewChunk[]): NamedChunk[] {
    const order = [...this.copied, ...this.#leaves.filter((leaf) => !this.copied.includes(leaf))];
    return this.#leaves.map((leaf) => ({ leaf, codec: this.#codec, chunk: chunks[order.indexOf(leaf)]! }));
  }
}

function canCopy({ createdBy, leaves, rowGroups }: Footer, copied: readonly Leaf[], codec: number): boolean {
  const same = copied.every((wanted) => leaves.some((leaf) => leaf.path === wanted.path && sameShape(leaf, wanted)));
  const compressed = rowGroups.every(({ chunks }) => copied.every(({ path }) => chunks.get(path)?.codec === codec));
  return createdBy === CREATED_BY && same && compressed;
}

function sameShape(a: Leaf, b: Leaf): boolean {
  return a.type === b.type && a.length === b.length && a.maxDefinition === b.maxDefinition && a.maxRepetition === b.maxRepetition;
}
