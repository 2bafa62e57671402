import { type ChildProcess, fork } from "node:child_process";
import { processEntryPoint } from "../core/entry-point.ts";
import { PlanError, type PipelineError, ResourceExhaustedError, StageError } from "../core/errors.ts";
import { deviceEnvironment } from "./device.ts";
import type { ErrorMessage, FromWorker, ToWorker } from "./worker-protocol.ts";

/** The worker that served a split died, and with it the split's image features: the split can be done again. */
export class WorkerLostError extends StageError {
  constructor(message: string, remedy: string) {
    super(message, { remedy, retryable: true });
  }
}

/** Whether doing the split again may succeed: its worker was lost, nothing is wrong with its samples. */
export function isRetryable(error: unknown): boolean {
  return error instanceof StageError && error.retryable;
}

const MAX_STDERR = 4096;

/** As the command itself has them (docs/adr/0013-garbage-early.md): the work is done outside the JavaScript heap. */
export const HEAP_OPTIONS = ["--max-semi-space-size=2", "--heap-growing-percent=20"];

/** One inference process and the messages to and from it. */
export class WorkerProcess {
  readonly #child: ChildProcess;
  readonly #onMessage: (message: FromWorker) => void;
  #stderr = "";
  #closing = false;
  /** Resolves with the reason once the process is gone. */
  readonly gone: Promise<string>;

  constructor(device: string, onMessage: (message: FromWorker) => void) {
    this.#onMessage = onMessage;
    const { path, execArgv } = processEntryPoint(import.meta.url, "./inference-worker.ts");
    this.#child = fork(path, [String(process.pid)], {
      execArgv: [...HEAP_OPTIONS, ...execArgv],
      serialization: "advanced",
      stdio: ["ignore", "ignore", "pipe", "ipc"],
      env: { ...deviceEnvironment(device), MALLOC_ARENA_MAX: "2", ...process.env },
    });
    this.#child.stderr?.on("data", (bytes: Buffer) => {
      this.#stderr = (this.#stderr + bytes.toString()).slice(-MAX_STDERR);
    });
    this.#child.on("message", (message) => this.#onMessage(message as FromWorker));
    this.gone = new Promise((resolve) => {
      this.#child.once("error", (error) => resolve(error.message));
      this.#child.once("exit", (code, signal) => resolve(this.#exitReason(code, signal)));
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** A message to a process that has just died is dropped: `gone` tells. */
  send(message: ToWorker): void {
    if (this.#child.connected) this.#child.send(message, () => undefined);
  }

  /** Ends the process; one in the middle of a run is killed. */
  async close(): Promise<void> {
    this.#closing = true;
    if (this.#child.connected) this.#child.disconnect();
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), 250);
    await this.gone;
    clearTimeout(timer);
  }

  #exitReason(code: number | null, signal: NodeJS.Signals | null): string {
    const how = signal ? `was ended by ${signal}` : `ended with exit code ${code}`;
    const said = this.#stderr.trim();
    return said === "" || this.#closing ? how : `${how}; it said: ${said}`;
  }
}

/** The error that a worker reported, as this process throws it. */
export function workerError({ type, message, remedy }: ErrorMessage): PipelineError {
  const options = remedy === undefined ? {} : { remedy };
  if (type === "plan") return new PlanError(message, options);
  if (type === "memory") return new ResourceExhaustedError(message, options);
  if (type === "lost_split") return new WorkerLostError(message, "run the same command again to continue");
  return new StageError(message, options);
}
