import { type FileHandle, open } from "node:fs/promises";
import type { RecordBatch, Schema } from "apache-arrow";
import { naming } from "../file-error.ts";
import { encodeIpc } from "../parquet/ipc.ts";

/** What ends a stream: the continuation mark and a length of zero (Arrow columnar format, "IPC Streaming Format"). */
const END_OF_STREAM_BYTES = 8;

/**
 * One file in Arrow's IPC *stream* format, which `datasets` maps into memory (Dataset.load_from_disk).
 * Memory bound: one batch, encoded.
 */
export class ArrowStreamFile {
  num_rows = 0;
  num_bytes: number;
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #schema: Schema;
  /** Bytes of the schema's message, with which every stream of this schema begins. */
  readonly #schema_bytes: number;

  private constructor(path: string, file: FileHandle, schema: Schema, schema_bytes: number) {
    this.#path = path;
    this.#file = file;
    this.#schema = schema;
    this.#schema_bytes = this.num_bytes = schema_bytes;
  }

  static async create(path: string, schema: Schema): Promise<ArrowStreamFile> {
    const empty = encodeIpc(schema, []);
    const schemaMessage = empty.subarray(0, empty.length - END_OF_STREAM_BYTES);
    const file = await naming("write", path, () => open(path, "w"));
    const stream = new ArrowStreamFile(path, file, schema, schemaMessage.length);
    await stream.#append(schemaMessage);
    return stream;
  }

  /** Takes no ownership of the batch. */
  async write(batch: RecordBatch): Promise<void> {
    const whole = encodeIpc(this.#schema, [batch]);
    const message = whole.subarray(this.#schema_bytes, whole.length - END_OF_STREAM_BYTES);
    await this.#append(message);
    this.num_rows += batch.numRows;
    this.num_bytes += message.length;
  }

  /** Ends the stream, fsyncs and closes. */
  async finish(): Promise<void> {
    await this.#append(encodeIpc(this.#schema, []).subarray(this.#schema_bytes));
    await naming("write", this.#path, () => this.#file.sync());
    await this.#file.close();
  }

  /** Closes the file as it is. Safe after finish. */
  async abandon(): Promise<void> {
    await this.#file.close().catch(() => undefined);
  }

  #append(bytes: Uint8Array): Promise<void> {
    return naming("write", this.#path, () => this.#file.writeFile(bytes));
  }
}
