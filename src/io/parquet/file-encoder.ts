import { createHash } from "node:crypto";
import { closeSync, fsyncSync, openSync, readSync, writeSync } from "node:fs";
import {
  Compression,
  EnabledStatistics,
  type RecordBatch,
  Table,
  transformParquetStream,
  WriterPropertiesBuilder,
  type WriterProperties,
} from "parquet-wasm";
import type { WriteOptions, WrittenFile } from "./protocol.ts";
import { sortedKeyValues } from "./sorted-key-values.ts";

const READ_BYTES = 2 ** 20;
const COMPRESSION = { zstd: Compression.ZSTD, snappy: Compression.SNAPPY, none: Compression.UNCOMPRESSED } as const;

/**
 * Encodings stay the default (dictionary with PLAIN behind it), which every current reader has. Snappy is chosen for
 * the others, and those (parquetjs-lite) know dictionary pages by their older name only: there all pages are PLAIN.
 * parquet-wasm takes a column's own settings only for top-level columns, so list columns can't have theirs.
 */
function writerProperties(options: WriteOptions): WriterProperties {
  let builder = new WriterPropertiesBuilder()
    .setCompression(COMPRESSION[options.compression])
    .setCreatedBy(options.created_by)
    .setMaxRowGroupSize(options.max_row_group_rows)
    .setMaxRowGroupBytes(options.max_row_group_bytes)
    .setKeyValueMetadata(new Map(Object.entries(options.metadata)))
    .setStatisticsEnabled(EnabledStatistics.None)
    .setDictionaryEnabled(options.compression !== "snappy");
  for (const column of options.statistics_columns) builder = builder.setColumnStatisticsEnabled(column, EnabledStatistics.Chunk);
  return builder.build();
}

/**
 * A Parquet file being written, on the Parquet thread. The encoder pulls one batch at a time and gives out each
 * finished row group, which goes to the disk at once.
 *
 * **Memory bound**: one batch and the encoded pages of one row group.
 */
export class FileEncoder {
  readonly #fd: number;
  #num_bytes = 0;
  #closed = false;
  readonly #drained: Promise<void>;
  /** Set while the encoder waits for a batch: gives it one, or the end. */
  #supply: ((batch: RecordBatch | null) => void) | undefined;
  /** Set while a caller waits for the encoder to want a batch. */
  #onDemand: (() => void) | undefined;

  constructor(path: string, options: WriteOptions) {
    this.#fd = openSync(path, "w+");
    this.#drained = this.#drain(writerProperties(options));
    this.#drained.catch(() => undefined); // reported by the next write or by finish
  }

  async write(ipc: Uint8Array): Promise<void> {
    const table = Table.fromIPCStream(ipc);
    for (const batch of table.recordBatches()) (await this.#demand())(batch);
    table.free();
    await this.#demand();
  }

  async finish(): Promise<WrittenFile> {
    (await this.#demand())(null);
    await this.#drained;
    this.#sortKeyValues();
    fsyncSync(this.#fd);
    const digest = this.#digest();
    this.close();
    return { num_bytes: this.#num_bytes, digest };
  }

  /** Closes the file, finished or not. An encoder that still waits for a batch is left to the garbage collector. */
  close(): void {
    if (!this.#closed) closeSync(this.#fd);
    this.#closed = true;
  }

  async #drain(properties: WriterProperties): Promise<void> {
    const pull = (controller: ReadableStreamDefaultController<RecordBatch>): Promise<void> =>
      new Promise((resolve) => {
        this.#supply = (batch) => {
          this.#supply = undefined;
          if (batch) controller.enqueue(batch);
          else controller.close();
          resolve();
        };
        this.#onDemand?.();
      });
    const input = new ReadableStream<RecordBatch>({ pull }, { highWaterMark: 0 });
    const output = (await transformParquetStream(input, properties)) as ReadableStream<Uint8Array>;
    for await (const chunk of output) {
      for (let start = 0; start < chunk.length; ) start += writeSync(this.#fd, chunk, start);
      this.#num_bytes += chunk.length;
    }
  }

  /** The library writes them in the order of a hash table with a seed of its own: equal files would differ. */
  #sortKeyValues(): void {
    const length = this.#read(this.#num_bytes - 8, 4).readUInt32LE();
    const start = this.#num_bytes - 8 - length;
    writeSync(this.#fd, sortedKeyValues(this.#read(start, length)), 0, length, start);
  }

  #digest(): string {
    const hash = createHash("sha256");
    for (let at = 0; at < this.#num_bytes; at += READ_BYTES) hash.update(this.#read(at, Math.min(READ_BYTES, this.#num_bytes - at)));
    return hash.digest("hex");
  }

  #read(position: number, length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length);
    for (let read = 0; read < length; ) {
      const count = readSync(this.#fd, bytes, read, length - read, position + read);
      if (count === 0) throw new Error("the file was cut while it was written");
      read += count;
    }
    return bytes;
  }

  /** Waits until the encoder wants a batch. Rejects with the encoder's or the disk's error. */
  async #demand(): Promise<(batch: RecordBatch | null) => void> {
    if (!this.#supply) await Promise.race([new Promise<void>((resolve) => (this.#onDemand = resolve)), this.#drained]);
    if (!this.#supply) throw new Error("the Parquet encoder ended early");
    return this.#supply;
  }
}
