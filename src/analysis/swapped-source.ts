/** A source whose samples come with other samples' images. */
import { createHash } from "node:crypto";
import type { List, RecordBatch } from "apache-arrow";
import { columnData, makeRecordBatch, messagesValue, utf8ListColumn, utf8ListValue } from "../core/record-batch.ts";
import { IMAGE_PLACEHOLDER } from "../core/sample.ts";
import type { Source, SourceChange, Split, SplitContent } from "../core/source.ts";
import { RandomStream } from "../kernels/random-stream.ts";
import { type SwapKind, swapPartners } from "./swap-partners.ts";

/** Raised when other partners are found for the same input. */
const VERSION = 1;

/**
 * Partners are found within a split (`split_samples` records in a row), whose images any kind of source can read: so it
 * takes one split of memory, and what is found depends on the split's content, the seed and nothing else. A sample without
 * a partner keeps its images.
 */
export function swappedImages(kind: SwapKind, seed: number): SourceChange {
  const identity = { swap_images: kind, seed, version: VERSION };
  return { identity, apply: (source) => new SwappedSource(source, kind, identity) };
}

class SwappedSource implements Source {
  readonly kind: string;
  readonly schema: Source["schema"];
  readonly #inner: Source;
  readonly #how: SwapKind;
  readonly #identity: Readonly<Record<string, unknown>>;
  /** As the inner source has them, by index. */
  readonly #splits: Split[] = [];

  constructor(inner: Source, how: SwapKind, identity: Readonly<Record<string, unknown>>) {
    this.kind = inner.kind;
    this.schema = inner.schema;
    this.#inner = inner;
    this.#how = how;
    this.#identity = identity;
  }

  async *splits(signal: AbortSignal): AsyncGenerator<Split, void, void> {
    for await (const split of this.#inner.splits(signal)) {
      this.#splits[split.index] = split;
      yield { ...split, digest: this.#digestOf(split) };
    }
  }

  async read(split: Split, signal: AbortSignal): Promise<SplitContent> {
    const original = this.#splits[split.index]!;
    const content = await this.#inner.read(original, signal);
    const random = new RandomStream(Number.parseInt(this.#digestOf(original).slice(0, 12), 16));
    return { ...content, samples: swapIn(content.samples, this.#how, random) };
  }

  async describe(): Promise<Readonly<Record<string, unknown>>> {
    return { ...(await this.#inner.describe()), ...this.#identity };
  }

  #digestOf(split: Split): string {
    return createHash("sha256").update(JSON.stringify([split.digest, this.#identity])).digest("hex");
  }
}

function swapIn(samples: RecordBatch, kind: SwapKind, random: RandomStream): RecordBatch {
  const images = columnData<List>(samples, "images");
  const messages = columnData<List>(samples, "messages");
  const rows = Array.from({ length: samples.numRows }, (_, row) => ({
    images: utf8ListValue(images, row),
    text: messagesValue(messages, row)
      .map(({ content }) => content.replaceAll(IMAGE_PLACEHOLDER, " "))
      .join("\n"),
  }));
  const partners = swapPartners(rows, kind, random);
  const swapped = utf8ListColumn(rows.map((row, place) => (partners[place]! < 0 ? row.images : rows[partners[place]!]!.images)));
  const columns = Object.fromEntries(samples.schema.names.map((name) => [String(name), columnData(samples, String(name))]));
  return makeRecordBatch(samples.schema, { ...columns, images: swapped });
}
