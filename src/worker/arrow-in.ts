import { type RecordBatch, RecordBatchReader, type Schema } from "apache-arrow";
import { StageError } from "../core/errors.ts";

/** One Arrow IPC stream of the pipe. */
export interface Job {
  readonly schema: Schema;
  /** Pulled one by one; throws StageError where the pipe ends before the stream does. */
  readonly batches: AsyncIterable<RecordBatch>;
}

/** What ends every Arrow IPC stream: a continuation marker and the length 0. */
export const END_OF_STREAM = Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0);

/**
 * The Arrow IPC streams that come through a pipe one behind the other, until it ends between two of them.
 * Memory bound: one record batch. A pipe that ends inside a stream is a parent that has died or given up, which Arrow's own
 * reader takes for the stream's end.
 */
export async function* readJobs(pipe: AsyncIterable<Uint8Array>): AsyncGenerator<Job, void, void> {
  const watched = new WatchedPipe(pipe);
  const readers = RecordBatchReader.readAll(watched)[Symbol.asyncIterator]();
  for (;;) {
    const next = await readers.next();
    if (next.done) return watched.assertWhole();
    const reader = await next.value.open({ autoDestroy: false });
    // A pipe that is closed before anything was written gives a reader without a schema.
    if (!(reader.schema as Schema | undefined)) return watched.assertWhole();
    const batches = (async function* () {
      for await (const batch of reader) yield batch;
      watched.assertWhole();
    })();
    yield { schema: reader.schema, batches };
    // What the job's taker left.
    while (!(await batches.next()).done);
  }
}

/** Remembers how the pipe ended. */
class WatchedPipe implements AsyncIterable<Uint8Array> {
  readonly #pipe: AsyncIterable<Uint8Array>;
  #tail: Uint8Array = new Uint8Array(0);
  #hasEnded = false;

  constructor(pipe: AsyncIterable<Uint8Array>) {
    this.#pipe = pipe;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, void> {
    for await (const bytes of this.#pipe) {
      if (bytes.length === 0) continue;
      this.#tail = bytes.length >= END_OF_STREAM.length ? bytes.slice(-END_OF_STREAM.length) : Uint8Array.from([...this.#tail, ...bytes]).slice(-END_OF_STREAM.length);
      yield bytes;
    }
    this.#hasEnded = true;
  }

  /** Nothing has come, or the last that came is the end of a stream, or more may come. */
  assertWhole(): void {
    if (!this.#hasEnded || this.#tail.length === 0 || END_OF_STREAM.every((byte, i) => this.#tail[i] === byte)) return;
    throw new StageError("stdin ended inside an Arrow stream: whoever was writing it has died or given up", { remedy: "end each stream as Arrow IPC says, then close stdin" });
  }
}
