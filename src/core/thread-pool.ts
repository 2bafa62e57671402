import { parentPort, type Worker } from "node:worker_threads";
import { startThread } from "./entry-point.ts";
import { InternalError } from "./errors.ts";

/**
 * A few threads that each run one function on plain data. Tasks are queued without limit: callers bound what they
 * have in flight (mapConcurrently). Threads start at the first task.
 */
export interface ThreadPool<Task, Result> {
  /** `transfer`: buffers of the task that the thread may have; the others are copied. */
  run(task: Task, transfer?: readonly ArrayBuffer[]): Promise<Result>;
  /** Ends the threads; tasks still running fail. */
  close(): Promise<void>;
}

interface Waiting<Task, Result> {
  readonly task: Task;
  readonly transfer: readonly ArrayBuffer[];
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

type Reply<Result> = { readonly result: Result } | { readonly error: unknown };

export function openThreadPool<Task, Result>(importer: string, specifier: string, size: number): ThreadPool<Task, Result> {
  const threads = new Set<Worker>();
  const idle: Worker[] = [];
  const queue: Waiting<Task, Result>[] = [];
  const busy = new Map<Worker, Waiting<Task, Result>>();
  let closed = false;

  const assign = (): void => {
    while (queue.length > 0) {
      const thread = idle.pop() ?? (threads.size < size ? start() : undefined);
      if (!thread) return;
      const waiting = queue.shift()!;
      busy.set(thread, waiting);
      // Only a thread at work keeps the process alive.
      thread.ref();
      thread.postMessage(waiting.task, waiting.transfer);
    }
  };
  const start = (): Worker => {
    const thread = startThread(importer, specifier);
    threads.add(thread);
    thread.on("message", (reply: Reply<Result>) => {
      const waiting = busy.get(thread);
      busy.delete(thread);
      thread.unref();
      idle.push(thread);
      if ("error" in reply) waiting?.reject(reply.error);
      else waiting?.resolve(reply.result);
      assign();
    });
    const lost = (error: unknown): void => {
      threads.delete(thread);
      const at = idle.indexOf(thread);
      if (at >= 0) idle.splice(at, 1);
      busy.get(thread)?.reject(error);
      busy.delete(thread);
      if (!closed) assign();
    };
    thread.on("error", lost);
    thread.on("exit", (code) => lost(new InternalError(`a thread of ${specifier} ended with code ${code}`)));
    return thread;
  };

  return {
    run: (task, transfer = []) =>
      new Promise((resolve, reject) => {
        if (closed) return reject(new InternalError(`the thread pool of ${specifier} is closed`));
        queue.push({ task, transfer, resolve, reject });
        assign();
      }),
    async close() {
      closed = true;
      for (const waiting of queue.splice(0)) waiting.reject(new InternalError(`the thread pool of ${specifier} is closed`));
      await Promise.all([...threads].map((thread) => thread.terminate()));
    },
  };
}

/**
 * The other side: answers every message with what `work` returns. Call once, in the thread's module.
 * `buffersOf`: buffers of a result that the caller gets, so that nothing of it is left to the thread's garbage collector.
 */
export function serveThread<Task, Result>(work: (task: Task) => Result | Promise<Result>, buffersOf: (result: Result) => ArrayBuffer[] = () => []): void {
  const port = parentPort;
  if (!port) throw new InternalError("serveThread runs in a worker thread only");
  port.on("message", (task: Task) => {
    void (async () => {
      try {
        const result = await work(task);
        port.postMessage({ result } satisfies Reply<Result>, buffersOf(result));
      } catch (error) {
        port.postMessage({ error } satisfies Reply<Result>);
      }
    })();
  });
}
