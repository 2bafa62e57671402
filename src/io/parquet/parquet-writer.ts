import type { RecordBatch, Schema } from "apache-arrow";
import { emptyRecordBatch } from "../../core/record-batch.ts";
import { asFileError } from "../file-error.ts";
import { EvenBatches } from "./even-batches.ts";
import { huggingFaceFeatures } from "./hugging-face-features.ts";
import { encodeIpc } from "./ipc.ts";
import { renameInSchema, renameListChildren } from "./list-names.ts";
import { logicalBytes } from "./logical-bytes.ts";
import { ParquetThread, ParquetThreadError, sharedWritingThread } from "./parquet-thread.ts";
import type { WriteOptions } from "./protocol.ts";

/** Goes into every footer. A constant: the tool's version stands in the manifest, and equal data gives equal bytes. */
export const CREATED_BY = "vig-pipeline";

/**
 * 20,000 rows is what parallel readers like to get as one piece; the byte limit (of encoded pages) holds the
 * encoder's memory where rows are large.
 */
const ROW_GROUP_ROWS = 20_000;
const ROW_GROUP_BYTES = 64 * 2 ** 20;

/** Columns that readers filter by. Statistics of the others would cost space and help nobody. */
export const STATISTICS_COLUMNS: readonly string[] = ["sample_id", "num_tokens", "vig"];

export type Compression = WriteOptions["compression"];

export interface FileOptions {
  readonly schema: Schema;
  readonly compression: Compression;
  /** Footer key-value metadata beside the `huggingface` key, which is always there. */
  readonly metadata: Readonly<Record<string, string>>;
}

export interface ParquetSummary {
  readonly num_rows: number;
  readonly num_bytes: number;
  /** sha256 of the file, hex. */
  readonly digest: string;
}

/**
 * One Parquet file being written. Its bytes depend on rows and options alone: not on the batches' bounds, the time
 * or the machine.
 *
 * **Memory bound**: one even batch, and on the Parquet thread the encoded pages of one row group.
 * **Throws** what file-error.ts says for a full or read-only disk.
 */
export class ParquetWriter {
  readonly path: string;
  num_rows = 0;
  /** Arrow bytes taken so far, by content. */
  num_arrow_bytes = 0;
  readonly #thread: ParquetThread;
  readonly #handle: number;
  readonly #schema: Schema;
  readonly #file_schema: Schema;
  readonly #even: EvenBatches;

  private constructor(path: string, schema: Schema, thread: ParquetThread, handle: number) {
    this.path = path;
    this.#thread = thread;
    this.#handle = handle;
    this.#schema = schema;
    this.#file_schema = renameInSchema(schema, "element");
    this.#even = new EvenBatches(schema);
  }

  /** Creates the file, or empties it. The folder is there. */
  static async open(path: string, options: FileOptions, thread: ParquetThread = sharedWritingThread): Promise<ParquetWriter> {
    const handle = thread.newHandle();
    const writer = new ParquetWriter(path, options.schema, thread, handle);
    const properties: WriteOptions = {
      compression: options.compression,
      metadata: { huggingface: huggingFaceFeatures(options.schema), ...options.metadata },
      statistics_columns: STATISTICS_COLUMNS.filter((name) => options.schema.names.includes(name)),
      created_by: CREATED_BY,
      max_row_group_rows: ROW_GROUP_ROWS,
      max_row_group_bytes: ROW_GROUP_BYTES,
    };
    await writer.#naming(() => thread.request("open_writer", { handle, path, options: properties }));
    return writer;
  }

  /** Takes no ownership of the batch. Settles when the encoder has room again. */
  async write(batch: RecordBatch): Promise<void> {
    this.num_rows += batch.numRows;
    this.num_arrow_bytes += logicalBytes(batch);
    for (const even of this.#even.push(batch)) await this.#encode(even);
  }

  /** Writes the rest and the footer, fsyncs and closes the file. A file without rows has the schema still. */
  async finish(): Promise<ParquetSummary> {
    // The encoder takes the schema from its first batch.
    if (this.num_rows === 0) await this.#encode(emptyRecordBatch(this.#schema));
    for (const even of this.#even.flush()) await this.#encode(even);
    const { num_bytes, digest } = await this.#naming(() => this.#thread.request("finish_writer", { handle: this.#handle }));
    await this.abandon();
    return { num_rows: this.num_rows, num_bytes, digest };
  }

  /** Closes the file as it is, for the caller to delete. Safe after finish. */
  async abandon(): Promise<void> {
    await this.#thread.request("close", { handle: this.#handle }).catch(() => undefined); // the first error has been thrown
  }

  async #encode(batch: RecordBatch): Promise<void> {
    const ipc = encodeIpc(this.#file_schema, [renameListChildren(batch, "element")]);
    await this.#naming(() => this.#thread.request("write", { handle: this.#handle, ipc }, [ipc.buffer as ArrayBuffer]));
  }

  async #naming<T>(act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } catch (error) {
      throw error instanceof ParquetThreadError ? asFileError(error, "write", this.path) : error;
    }
  }
}
