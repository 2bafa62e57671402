import type { Worker } from "node:worker_threads";
import { startThread } from "../../core/entry-point.ts";
import type { OperationName, Operations, Request, Response, ThreadError } from "./protocol.ts";

/** What went wrong on the Parquet thread; callers turn it into an error that names the file. */
export class ParquetThreadError extends Error {
  readonly code: string | undefined;

  constructor({ message, code }: ThreadError) {
    super(message);
    this.code = code;
  }
}

interface Pending {
  readonly resolve: (answer: never) => void;
  readonly reject: (error: Error) => void;
}

/**
 * A thread that reads and writes Parquet, started when first asked and kept until closed. It does not keep the
 * process alive. After a panic (a badly damaged file) everything under way on it fails and the next request starts
 * a fresh one, so open files belong to one `generation`.
 */
export class ParquetThread {
  #worker: Worker | undefined;
  #generation = 0;
  #next_id = 1;
  readonly #pending = new Map<number, Pending>();

  get generation(): number {
    return this.#generation;
  }

  newHandle(): number {
    return this.#next_id++;
  }

  request<K extends OperationName>(operation: K, ask: Operations[K]["ask"], transfer: readonly ArrayBuffer[] = []): Promise<Operations[K]["answer"]> {
    const worker = (this.#worker ??= this.#start());
    const id = this.#next_id++;
    return new Promise<Operations[K]["answer"]>((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      worker.ref(); // held only while an answer is awaited
      worker.postMessage({ id, operation, ask } satisfies Request<K>, transfer);
    });
  }

  async close(): Promise<void> {
    await this.#worker?.terminate();
  }

  #start(): Worker {
    this.#generation++;
    const worker = startThread(import.meta.url, "./parquet-worker.ts");
    worker.unref();
    worker.on("message", (response: Response) => this.#settle(worker, response));
    worker.on("error", (error: unknown) => this.#fail(worker, error instanceof Error ? error.message : String(error)));
    worker.on("exit", () => this.#fail(worker, "the Parquet thread ended"));
    return worker;
  }

  #settle(worker: Worker, response: Response): void {
    const pending = this.#pending.get(response.id);
    this.#pending.delete(response.id);
    if (this.#pending.size === 0) worker.unref();
    if ("error" in response) pending?.reject(new ParquetThreadError(response.error));
    else pending?.resolve(response.answer as never);
  }

  #fail(worker: Worker, message: string): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    const failed = [...this.#pending.values()];
    this.#pending.clear();
    for (const { reject } of failed) reject(new ParquetThreadError({ message: `the decoder gave up (${message})` }));
  }
}

/**
 * The threads that callers share who don't bring their own. Two, so that a damaged input can't take a half-written
 * output down with it, and so that reading and writing overlap.
 */
export const sharedReadingThread = new ParquetThread();
export const sharedWritingThread = new ParquetThread();
