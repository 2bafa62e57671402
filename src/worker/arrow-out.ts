import { once } from "node:events";
import type { Writable } from "node:stream";
import { type RecordBatch, RecordBatchStreamWriter, type Schema } from "apache-arrow";
import { StageError } from "../core/errors.ts";
import { END_OF_STREAM } from "./arrow-in.ts";

/** Arrow IPC streams into a pipe, one behind the other. Each write waits until the reader has taken what came before. */
export class ArrowOut {
  readonly #pipe: Writable;
  readonly #signal: AbortSignal;
  #failure: Error | undefined;
  #schema: Schema | undefined;
  #schemaBytes = 0;

  constructor(pipe: Writable, signal: AbortSignal) {
    this.#pipe = pipe;
    this.#signal = signal;
    pipe.on("error", (error: Error) => (this.#failure ??= error));
  }

  /** Begins a stream. */
  async begin(schema: Schema): Promise<void> {
    const bytes = encode(schema).subarray(0, -END_OF_STREAM.length);
    this.#schema = schema;
    this.#schemaBytes = bytes.length;
    await this.#write(bytes);
  }

  /** `batch` has the schema that the stream began with. */
  async write(batch: RecordBatch): Promise<void> {
    await this.#write(encode(this.#schema!, batch).subarray(this.#schemaBytes, -END_OF_STREAM.length));
  }

  async end(): Promise<void> {
    this.#schema = undefined;
    await this.#write(END_OF_STREAM);
  }

  /** The schema of the stream that has been begun and not ended. */
  get openSchema(): Schema | undefined {
    return this.#schema;
  }

  /** Last words: does not wait, and says nothing where the reader has stopped reading. */
  endWith(schema: Schema, batch: RecordBatch): void {
    if (this.#failure || this.#pipe.writableNeedDrain) return;
    this.#pipe.write(encode(schema, batch).subarray(this.#schema ? this.#schemaBytes : 0));
  }

  /** Throws StageError where nobody reads any more. */
  async #write(bytes: Uint8Array): Promise<void> {
    this.#signal.throwIfAborted();
    this.#assertRead();
    if (!this.#pipe.write(bytes)) {
      try {
        await once(this.#pipe, "drain", { signal: this.#signal });
      } catch (error) {
        this.#signal.throwIfAborted();
        this.#failure ??= error as Error;
      }
    }
    this.#assertRead();
  }

  #assertRead(): void {
    if (this.#failure) throw new StageError("stdout: whoever was reading it has gone", { cause: this.#failure });
  }
}

/** A whole stream of no batch or one. */
function encode(schema: Schema, batch?: RecordBatch): Uint8Array {
  const writer = new RecordBatchStreamWriter();
  writer.reset(undefined, schema);
  if (batch) writer.write(batch);
  writer.finish();
  return writer.toUint8Array(true);
}
