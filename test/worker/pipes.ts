/** A worker as a child process, and jobs for it. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { Field, Int32, type RecordBatch, Schema, Utf8 } from "apache-arrow";
import { int32Column, makeRecordBatch, utf8Column } from "../../src/core/record-batch.ts";
import { encodeIpc } from "../../src/io/parquet/ipc.ts";
import { readJobs } from "../../src/worker/arrow-in.ts";

const root = path.join(import.meta.dirname, "..", "..");
export const PROGRAM = path.join(root, "bin", "pipeline.js");

export interface ListedSplit {
  readonly split: number;
  readonly location: string;
  readonly num_records: number;
  readonly digest: string;
}

const SPLITS = new Schema([new Field("split", new Int32()), new Field("location", new Utf8()), new Field("num_records", new Int32()), new Field("digest", new Utf8())]);

/** A stream with metadata; `end: false` leaves out what ends it. */
export function stream(schema: Schema, batches: readonly RecordBatch[], metadata: Record<string, string>, end = true): Uint8Array {
  const all = new Map([["vig_pipeline.protocol", "1"], ...Object.entries(metadata)]);
  const bytes = encodeIpc(new Schema(schema.fields, all), batches);
  return end ? bytes : bytes.subarray(0, -8);
}

export function splitsStream(splits: readonly ListedSplit[], end = true): Uint8Array {
  const batch = makeRecordBatch(SPLITS, {
    split: int32Column(Int32Array.from(splits, ({ split }) => split)),
    location: utf8Column(splits.map(({ location }) => location)),
    num_records: int32Column(Int32Array.from(splits, ({ num_records }) => num_records)),
    digest: utf8Column(splits.map(({ digest }) => digest)),
  });
  return stream(SPLITS, [batch], { "vig_pipeline.mode": "score" }, end);
}

export type Row = Readonly<Record<string, unknown>>;

export interface Answer {
  readonly metadata: ReadonlyMap<string, string>;
  readonly rows: readonly Row[];
}

export class Worker {
  readonly child: ChildProcess;
  stderr = "";
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
  #answers: ReturnType<typeof readJobs> | undefined;

  constructor(folder: string, more: readonly string[] = []) {
    this.child = spawn(process.execPath, [PROGRAM, "worker", "job.yaml", "--stdio", "--log-format", "json", ...more], { cwd: folder, stdio: ["pipe", "pipe", "pipe"] });
    this.child.stdin!.on("error", () => undefined); // of workers that are gone
    this.child.stderr!.on("data", (bytes: Buffer) => (this.stderr += bytes.toString()));
    // All that it said is there then; stdout may be left unread.
    this.ended = Promise.all([once(this.child, "exit"), once(this.child.stderr!, "close")]).then(([[code, signal]]) => ({ code: code as number | null, signal: signal as NodeJS.Signals | null }));
  }

  send(bytes: Uint8Array): void {
    this.child.stdin!.write(bytes);
  }

  async answer(): Promise<Answer> {
    this.#answers ??= readJobs(this.child.stdout!);
    const { value: job } = await this.#answers.next();
    if (!job) throw new Error(`no answer: ${this.stderr}`);
    const rows: Row[] = [];
    for await (const batch of job.batches) for (const row of batch) rows.push(plain(row.toJSON()) as Row);
    return { metadata: job.schema.metadata, rows };
  }

  async says(words: string): Promise<void> {
    while (!this.stderr.includes(words)) await once(this.child.stderr!, "data");
  }
}

/** Arrow's vectors and structs as arrays and objects. */
export function plain(value: unknown): unknown {
  if (value === null || typeof value !== "object") return value;
  if (Symbol.iterator in value && !(value instanceof Map)) {
    const items = Array.from(value as Iterable<unknown>);
    const isStruct = items.length > 0 && Array.isArray(items[0]) && "toJSON" in value && !Array.isArray((value as { toJSON(): unknown }).toJSON());
    return isStruct ? plain((value as { toJSON(): unknown }).toJSON()) : items.map(plain);
  }
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
}
