/**
 * The thread that owns parquet-wasm: its encoder and decoder are synchronous inside, and its memory never shrinks.
 * A damaged file can make it panic, which then ends this thread and not the process.
 */
import { parentPort } from "node:worker_threads";
import { BatchStream, FileDecoder } from "./file-decoder.ts";
import { FileEncoder } from "./file-encoder.ts";
import type { OperationName, Operations, Request, Response, ThreadError } from "./protocol.ts";

const encoders = new Map<number, FileEncoder>();
const decoders = new Map<number, FileDecoder>();
const streams = new Map<number, BatchStream>();

function find<T>(table: Map<number, T>, handle: number): T {
  const found = table.get(handle);
  if (!found) throw new Error(`nothing is open under the handle ${handle}`);
  return found;
}

const operations: { [K in OperationName]: (ask: Operations[K]["ask"]) => Promise<Operations[K]["answer"]> } = {
  async open_writer({ handle, path, options }) {
    encoders.set(handle, new FileEncoder(path, options));
    return null;
  },
  async write({ handle, ipc }) {
    await find(encoders, handle).write(ipc);
    return null;
  },
  async finish_writer({ handle }) {
    return find(encoders, handle).finish();
  },
  async open_reader({ handle, path }) {
    const decoder = await FileDecoder.open(path);
    decoders.set(handle, decoder);
    return decoder.metadata();
  },
  async open_stream({ handle, reader, options }) {
    streams.set(handle, await find(decoders, reader).stream(options));
    return null;
  },
  async next({ handle }) {
    return find(streams, handle).next();
  },
  async close({ handle }) {
    encoders.get(handle)?.close();
    decoders.get(handle)?.close();
    await streams.get(handle)?.close();
    for (const table of [encoders, decoders, streams]) table.delete(handle);
    return null;
  },
};

function describe(error: unknown): ThreadError {
  const message = error instanceof Error ? error.message : String(error);
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === "string" ? { message, code } : { message };
}

/** By name: Node's types leave WebAssembly out. */
function isPanic(error: unknown): boolean {
  return error instanceof Error && error.name === "RuntimeError";
}

async function serve({ id, operation, ask }: Request): Promise<void> {
  try {
    const answer = await operations[operation](ask as never);
    const transfer = answer instanceof Uint8Array ? [answer.buffer as ArrayBuffer] : [];
    parentPort!.postMessage({ id, answer } satisfies Response, transfer);
  } catch (error) {
    if (isPanic(error)) throw error; // this instance of the library can't be used any more
    parentPort!.postMessage({ id, error: describe(error) } satisfies Response);
  }
}

parentPort!.on("message", (request: Request) => void serve(request));
