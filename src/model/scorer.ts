import { access, readFile } from "node:fs/promises";
import { join } from "node:path";
import { PlanError } from "../core/errors.ts";
import type { Scorer, ScoreRequest, ScorerOptions, ScorerReport, ScoreResponse } from "./contract.ts";
import { deviceClass } from "./device.ts";
import type { FamilyFolder } from "./families/family.ts";
import { cacheFolder, writeCacheFile } from "./file-digest.ts";
import { type CheckedHead, headKey } from "./head-check.ts";
import type { ModelFolder } from "./model-folder.ts";
import { WorkerLostError, workerError, WorkerProcess } from "./worker-process.ts";
import type { DecoderHead, FromWorker, WorkerModel } from "./worker-protocol.ts";

export interface ScorerModel {
  readonly model_type: string;
  readonly folder: ModelFolder;
  readonly familyFolder: FamilyFolder;
  readonly max_length: number;
}

/**
 * Starts the workers and loads the graphs.
 * Throws PlanError where a device can't be had or a graph can't be loaded.
 */
export async function openScorer(model: ScorerModel, options: ScorerOptions, signal: AbortSignal): Promise<Scorer> {
  signal.throwIfAborted();
  const workerModel = (index: number): WorkerModel => ({
    model_type: model.model_type,
    folder: model.familyFolder,
    graphs: model.folder.graphs,
    device: options.devices[index % options.devices.length] ?? "cpu",
    num_threads: options.num_threads,
    max_length: model.max_length,
  });
  const head = await decoderHead(model, workerModel(0), signal);
  // While files were read nobody listened.
  signal.throwIfAborted();
  const lanes = Array.from({ length: options.num_workers }, (_, i) => new Lane(workerModel(i), head));
  const stop = () => lanes.forEach((lane) => void lane.close());
  signal.addEventListener("abort", stop, { once: true });
  try {
    const reports = await Promise.all(lanes.map((lane) => lane.opened()));
    return scorerOf(lanes, reports[0]!, options, () => signal.removeEventListener("abort", stop));
  } catch (error) {
    await Promise.all(lanes.map((lane) => lane.close()));
    signal.removeEventListener("abort", stop);
    signal.throwIfAborted();
    throw error;
  }
}

function scorerOf(lanes: readonly Lane[], report: ScorerReport, options: ScorerOptions, onClose: () => void): Scorer {
  const laneOf = (split: number) => lanes[split % lanes.length]!;
  return {
    report: { ...report, execution_provider: [...new Set(options.devices)].join(",") },
    score: (request, signal) => laneOf(request.split).score(request, signal),
    closeSplit: async (split) => laneOf(split).closeSplit(split),
    async close() {
      onClose();
      await Promise.all(lanes.map((lane) => lane.close()));
    },
  };
}

/** The decoder to load: the cut one from the cache, made and checked once by a process of its own. */
async function decoderHead(model: ScorerModel, worker: WorkerModel, signal: AbortSignal): Promise<DecoderHead> {
  const device = deviceClass(worker.device);
  const { decoder_model_merged: decoder, ...others } = worker.graphs;
  // On a device the three graphs are joined.
  const graphs = device === "cpu" ? [decoder] : [decoder, ...Object.values(others)];
  const names = Object.keys(model.folder.digests).filter((name) => name.startsWith(device === "cpu" ? "onnx/decoder_model_merged" : "onnx/"));
  const key = headKey(graphs, names.map((name) => model.folder.digests[name]!));
  const target = join(cacheFolder(), "heads", `${key}.${device}.onnx`);
  const verdictFile = join(cacheFolder(), "heads", `${key}.${device}.json`);
  const known = await readVerdict(verdictFile);
  if (known) return known;
  let checked = await checkHead(worker, target, signal);
  // Once more where it died: full logits differ in the last digits, so an accident must not choose them.
  if ("died" in checked) checked = await checkHead(worker, target, signal);
  if (checked.lasting) await writeCacheFile(verdictFile, JSON.stringify(checked.head));
  return checked.head;
}

function checkHead(worker: WorkerModel, target: string, signal: AbortSignal): Promise<CheckedHead | (CheckedHead & { readonly died: true })> {
  return new Promise((resolve, reject) => {
    const process = new WorkerProcess(worker.device, (message) => {
      if (message.kind === "started") process.send({ kind: "check_head", model: worker, target });
      if (message.kind === "checked") resolve(message);
      if (message.kind === "failed") reject(workerError(message.error));
      if (message.kind === "checked" || message.kind === "failed") void process.close();
    });
    const stop = () => void process.close();
    signal.addEventListener("abort", stop, { once: true });
    void process.gone.then((reason) => {
      signal.removeEventListener("abort", stop);
      if (signal.aborted) reject(signal.reason as Error);
      resolve({ head: { kind: "full_logits", reason: `the process that checks the cut graph ${reason}` }, lasting: false, died: true });
    });
  });
}

async function readVerdict(file: string): Promise<DecoderHead | undefined> {
  try {
    const head = JSON.parse(await readFile(file, "utf8")) as DecoderHead;
    if (head.kind === "answer_rows") await Promise.all([head.path, head.joined?.path ?? head.path].map((path) => access(path)));
    return head;
  } catch {
    return undefined;
  }
}

interface Pending {
  readonly resolve: (response: ScoreResponse) => void;
  readonly reject: (error: Error) => void;
}

/** How often in a row a worker may die while it loads before the run fails. */
const MAX_FAILED_STARTS = 2;

/** One worker's place: the process that fills it now, and its requests in order. */
class Lane {
  readonly #model: WorkerModel;
  readonly #head: DecoderHead;
  readonly #pending = new Map<number, Pending>();
  #process!: WorkerProcess;
  #opened!: Promise<ScorerReport>;
  #failedStarts = 0;
  #nextId = 0;
  #closed = false;

  constructor(model: WorkerModel, head: DecoderHead) {
    this.#model = model;
    this.#head = head;
    this.#start();
  }

  /** Settles once a process is ready, be it the first or one that was started in its place. */
  async opened(): Promise<ScorerReport> {
    for (;;) {
      const opened = this.#opened;
      try {
        return await opened;
      } catch (error) {
        if (opened === this.#opened) throw error;
      }
    }
  }

  async score({ split, images, sequences }: ScoreRequest, signal: AbortSignal): Promise<ScoreResponse> {
    signal.throwIfAborted();
    const process = this.#process;
    await this.#opened;
    signal.throwIfAborted();
    if (process !== this.#process) throw lost("was started again");
    const id = this.#nextId++;
    return await new Promise<ScoreResponse>((resolve, reject) => {
      const cancel = () => {
        this.#pending.delete(id);
        process.send({ kind: "cancel", id });
        reject(signal.reason as Error);
      };
      signal.addEventListener("abort", cancel, { once: true });
      const settled = () => signal.removeEventListener("abort", cancel);
      this.#pending.set(id, {
        resolve: (response) => (settled(), resolve(response)),
        reject: (error) => (settled(), reject(error)),
      });
      process.send({ kind: "score", id, split, images, sequences });
    });
  }

  closeSplit(split: number): void {
    this.#process.send({ kind: "close_split", split });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#process.close();
  }

  #start(): void {
    let report: (value: ScorerReport) => void;
    let refuse: (error: Error) => void;
    this.#opened = new Promise((resolve, reject) => ([report, refuse] = [resolve, reject]));
    this.#opened.catch(() => undefined);
    const process = new WorkerProcess(this.#model.device, (message) => {
      if (message.kind === "started") process.send({ kind: "open", model: this.#model, head: this.#head });
      if (message.kind === "opened") {
        this.#failedStarts = 0;
        report(message.report);
      }
      if (message.kind === "failed" && message.id < 0) refuse(workerError(message.error));
      else this.#settle(message);
    });
    this.#process = process;
    void process.gone.then((reason) => this.#onGone(reason, refuse));
  }

  #settle(message: FromWorker): void {
    if (message.kind !== "scored" && message.kind !== "failed") return;
    const pending = this.#pending.get(message.id);
    this.#pending.delete(message.id);
    if (message.kind === "scored") pending?.resolve({ sequences: message.sequences, statistics: message.statistics });
    else pending?.reject(workerError(message.error));
  }

  /** Fails what was under way and starts a new process, unless it keeps dying before it is ready. */
  #onGone(reason: string, refuse: (error: Error) => void): void {
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { reject } of pending) reject(lost(reason));
    if (this.#closed) {
      refuse(lost("was closed"));
      return;
    }
    if (++this.#failedStarts > MAX_FAILED_STARTS) {
      refuse(
        new PlanError(`the inference process on ${this.#model.device} ${reason}, ${this.#failedStarts} times in a row`, {
          remedy: "see that the model fits into memory: fewer workers, a smaller dtype",
        }),
      );
      return;
    }
    refuse(lost(reason));
    this.#start();
  }
}

function lost(reason: string): WorkerLostError {
  const remedy = "if it was out of memory, lower max_batch_tokens or the number of workers; run the same command again to continue";
  return new WorkerLostError(`the inference process ${reason}`, remedy);
}
