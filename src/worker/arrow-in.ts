import { MessageReader, type RecordBatch, RecordBatchReader, type Schema } from "apache-arrow";
import { StageError } from "../core/errors.ts";

/** One Arrow IPC stream of the pipe. */
export interface Job {
  readonly schema: Schema;
  /** Pulled one by one; throws StageError where the pipe ends before the stream does. */
  readonly batches: AsyncGenerator<RecordBatch, void, void>;
}

/** What ends every Arrow IPC stream: a continuation marker and the length 0. */
export const END_OF_STREAM = Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0);
const PREFIX_BYTES = 8;
/** No schema or batch header comes near it: a longer one is not Arrow. */
const MAX_METADATA_BYTES = 64 * 2 ** 20;

/**
 * The Arrow IPC streams that come through a pipe one behind the other, until it ends between two of them.
 * Framing is done here, since Arrow's own reader waits for what follows a message before it gives it out, and takes a
 * pipe that ends inside a stream (a parent that has died) for the stream's end.
 * Memory bound: one record batch.
 */
export async function* readJobs(pipe: AsyncIterable<Uint8Array>): AsyncGenerator<Job, void, void> {
  const bytes = new PipeBytes(pipe);
  for (;;) {
    const first = await readMessage(bytes, true);
    if (first === undefined) return;
    if (first === "end") continue; // a stream of nothing
    const { schema } = RecordBatchReader.from(join(first, END_OF_STREAM)).open() as { schema: Schema | undefined };
    if (!schema) throw notArrow();
    const batches = readBatches(bytes, first);
    yield { schema, batches };
    // What the job's taker left.
    while (!(await batches.next()).done);
  }
}

async function* readBatches(bytes: PipeBytes, schema: Uint8Array): AsyncGenerator<RecordBatch, void, void> {
  for (let message = await readMessage(bytes, false); message !== "end"; message = await readMessage(bytes, false)) {
    yield* RecordBatchReader.from(join(schema, message!, END_OF_STREAM));
  }
}

/** A message with its body; "end" of the stream; undefined where the pipe ends before its first byte and may. */
async function readMessage(bytes: PipeBytes, mayEnd: boolean): Promise<Uint8Array | "end" | undefined> {
  const prefix = await bytes.take(PREFIX_BYTES, mayEnd);
  if (!prefix) return undefined;
  const view = new DataView(prefix.buffer, prefix.byteOffset, PREFIX_BYTES);
  const length = view.getInt32(4, true);
  if (view.getUint32(0, true) !== 0xffffffff || length < 0 || length > MAX_METADATA_BYTES) throw notArrow();
  if (length === 0) return "end";
  const head = join(prefix, (await bytes.take(length, false))!);
  const { value: message } = new MessageReader(head).next();
  if (!message) throw notArrow();
  return message.bodyLength === 0 ? head : join(head, (await bytes.take(message.bodyLength, false))!);
}

function notArrow(): StageError {
  return new StageError("stdin is no Arrow IPC stream", { remedy: "docs/worker-protocol.md says what a worker reads" });
}

function join(...parts: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(parts);
}

/** Bytes of a pipe by count, never reading beyond what is asked for. */
class PipeBytes {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array(0);

  constructor(pipe: AsyncIterable<Uint8Array>) {
    this.#chunks = pipe[Symbol.asyncIterator]();
  }

  /** undefined where the pipe ends before the first byte and `mayEnd`. Throws StageError where it ends before the last. */
  async take(count: number, mayEnd: boolean): Promise<Uint8Array | undefined> {
    const parts: Uint8Array[] = [];
    for (let missing = count; missing > 0; ) {
      if (this.#rest.length === 0) {
        const next = await this.#chunks.next();
        if (next.done) {
          if (mayEnd && parts.length === 0) return undefined;
          throw new StageError("stdin ended inside an Arrow stream: whoever was writing it has died or given up", { remedy: "end each stream as Arrow IPC says, then close stdin" });
        }
        this.#rest = next.value;
        continue;
      }
      const part = this.#rest.subarray(0, missing);
      parts.push(part);
      missing -= part.length;
      this.#rest = this.#rest.subarray(part.length);
    }
    return parts.length === 1 ? parts[0] : join(...parts);
  }
}
