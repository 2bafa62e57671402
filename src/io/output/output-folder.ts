import { readFile } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import type { RecordBatch, Schema } from "apache-arrow";
import { rejectsSchema } from "../../core/columns.ts";
import { InternalError, StageError } from "../../core/errors.ts";
import type { BegunShard, DatasetOptions, DatasetWriter, OutputFolder, RowCopyWriter, SplitRecord } from "../../core/output.ts";
import { int32Column, projectColumns, withColumns } from "../../core/record-batch.ts";
import { naming } from "../file-error.ts";
import type { Compression } from "../parquet/parquet-writer.ts";
import { readParquet } from "../parquet/read-parquet.ts";
import { assertNoShardRuns, assertShardsAgree, begunShards, removeShards, takeIn } from "./begun-shards.ts";
import { CommittedSplits } from "./committed-splits.ts";
import { FolderDatasetWriter } from "./dataset-writer.ts";
import { makeFolder, namesIn, remove, syncFolder, TEMPORARY_SUFFIX, writeAndSync } from "./durable-file.ts";
import { Journal, type PartEntry, type PartSplit, type SplitEntry } from "./journal.ts";
import { FolderLock } from "./lock.ts";
import { PartFiles } from "./part-files.ts";
import { layoutParts, type PartLayout } from "./part-layout.ts";
import { datasetsOf, describeDataset, filesOf, findDifferent, type PublishedFiles } from "./published-files.ts";
import { recover, type Recovered } from "./recover.ts";
import { FolderRowCopyWriter } from "./row-copy-writer.ts";
import { agreeOnPlan, readScoresPlan, SPARK } from "./scores-plan.ts";
import { PartRows } from "./split-rows.ts";
import { StagedSplits } from "./staged-splits.ts";
import { writePart } from "./write-part.ts";

export interface OutputFolderOptions {
  /** Made if need be. */
  readonly path: string;
  /** sha256 (hex) of `scores_plan`. */
  readonly scores_hash: string;
  /** Everything that changes a stored score; kept beside the journal so that a difference can be named. */
  readonly scores_plan: Readonly<Record<string, unknown>>;
  /** Columns of scores/. */
  readonly scores_schema: Schema;
  readonly compression: Compression;
  /** Removes what an earlier plan left. */
  readonly fresh: boolean;
  /** Splits with rejects are forgotten, and so scored again. */
  readonly retry_rejects: boolean;
  /** Aborts the reading of all that the folder holds, and the writing of parts. */
  readonly signal?: AbortSignal;
}

const WORK = "_work";
const SUCCESS = "_SUCCESS";
const MANIFEST = "manifest.json";
const DATASET_NAME = /^(selection|rejects)(@[0-9A-Za-z._-]+)?$/;

/**
 * The output folder, under its lock and recovered from whatever an earlier run left
 * (docs/adr/0005-commit-protocol.md). Throws LockedError where another run holds it, PlanError where its scores were made by another plan,
 * where it holds scores of unknown origin or of Spark, or where it can't be written.
 */
export async function openOutputFolder(options: OutputFolderOptions): Promise<OutputFolder> {
  const path = resolve(options.path);
  const work = join(path, WORK);
  await makeFolder(work);
  const lock = await FolderLock.acquire(work);
  try {
    const wanted = { scores_hash: options.scores_hash, plan: options.scores_plan };
    await assertNoShardRuns(path, work, await begunShards(work), lock);
    if (options.fresh) await wipe(path, ["splits", "shards", SPARK]);
    const shards = await begunShards(work);
    // Shards can have been begun under another plan than the folder's only by --fresh: they replace what it holds.
    const replaced = (await assertShardsAgree(path, work, shards, wanted)) && (await readScoresPlan(work))?.scores_hash !== wanted.scores_hash;
    if (replaced) await wipe(path, []);
    await agreeOnPlan(path, work, wanted, { writes: true });
    await sweep(path, work);
    const { journal, entries } = await Journal.open(join(work, "journal.jsonl"));
    try {
      entries.push(...(await takeIn(work, shards, journal)));
      const recovered = await recover(path, work, entries, options.scores_hash, options.signal);
      const folder = new LockedOutputFolder(path, options, { lock, journal, recovered, shards });
      if (options.retry_rejects) await folder.forgetRejects();
      return folder;
    } catch (error) {
      await journal.close();
      throw error;
    }
  } catch (error) {
    await lock.release();
    throw error;
  }
}

/** Removes what a crash left half written. The locks' files are the lock's to sweep. */
async function sweep(path: string, work: string): Promise<void> {
  await remove(join(work, "datasets"));
  const left = (await namesIn(work)).filter((name) => name.endsWith(TEMPORARY_SUFFIX) && !name.startsWith("lock-")).map((name) => join(work, name));
  for (const name of [SUCCESS, MANIFEST, "report.html"]) left.push(join(path, name + TEMPORARY_SUFFIX));
  for (const file of left) await remove(file);
}

/** Only what this tool writes is removed; `_SUCCESS` first and the plan last, so that a crash in between is seen. */
async function wipe(path: string, scored: readonly string[]): Promise<void> {
  await remove(join(path, SUCCESS));
  await syncFolder(path);
  await remove(join(path, MANIFEST));
  await remove(join(path, "report.html"));
  for (const name of await namesIn(path)) if (name === "scores" || DATASET_NAME.test(name)) await remove(join(path, name));
  for (const name of ["journal.jsonl", ...scored, "parts", "datasets", "plan.json"]) await remove(join(path, WORK, name));
  await syncFolder(path);
}

interface Opened {
  readonly lock: FolderLock;
  readonly journal: Journal;
  readonly recovered: Recovered;
  readonly shards: readonly BegunShard[];
}

class LockedOutputFolder implements OutputFolder {
  readonly path: string;
  readonly damaged: readonly string[];
  readonly shards: readonly BegunShard[];
  readonly #options: OutputFolderOptions;
  readonly #lock: FolderLock;
  readonly #journal: Journal;
  readonly #splits: CommittedSplits;
  readonly #lost: readonly string[];
  readonly #staged: StagedSplits;
  readonly #parts: PartFiles;
  /** Publications run one behind the other. */
  #publishing: Promise<void> = Promise.resolve();
  #num_datasets = 0;
  /** Data sets written since the folder was opened. */
  readonly #written = new Set<string>();

  constructor(path: string, options: OutputFolderOptions, { lock, journal, recovered, shards }: Opened) {
    this.path = path;
    this.shards = shards;
    this.#options = options;
    this.#lock = lock;
    this.#journal = journal;
    this.damaged = recovered.damaged;
    this.#splits = recovered.splits;
    this.#lost = recovered.lost;
    this.#staged = recovered.staged;
    this.#parts = recovered.parts;
  }

  committed(): ReadonlyMap<string, SplitRecord> {
    return this.#splits;
  }

  async forgetRejects(): Promise<void> {
    const rejecting = [...this.#splits.journalEntries()].filter((entry) => entry.rejects);
    await this.forget(rejecting.map(({ record }) => record.split_digest));
  }

  forgetLost(): Promise<void> {
    return this.forget(this.#lost);
  }

  async forget(split_digests: readonly string[]): Promise<void> {
    const { scores_hash } = this.#options;
    await this.#lock.assertHeld();
    if (split_digests.length > 0) await this.#journal.append(...split_digests.map((split_digest) => ({ kind: "forget" as const, scores_hash, split_digest })));
    for (const split_digest of split_digests) this.#splits.delete(split_digest);
  }

  async commitSplit(record: SplitRecord, scores: RecordBatch, rejects: RecordBatch): Promise<void> {
    await this.#lock.assertHeld();
    const entry = await this.#staged.stage(this.#options.scores_hash, record, scores, rejects);
    await this.#journal.append(entry);
    this.#splits.add(entry);
  }

  writeFullParts(split_digests: readonly string[]): Promise<number> {
    return this.#inTurn(() => this.#writeFullParts(split_digests));
  }

  publishScores(split_digests: readonly string[]): Promise<void> {
    return this.#inTurn(() => this.#publishScores(split_digests));
  }

  async *readScores(columns: readonly string[], signal: AbortSignal): AsyncIterable<RecordBatch> {
    for (const path of await this.#publishedParts()) yield* readParquet(path, { columns, signal });
  }

  async openDataset(name: string, options: DatasetOptions): Promise<DatasetWriter> {
    if (!DATASET_NAME.test(name)) throw new InternalError(`no data set may be called ${name}`);
    await this.#lock.assertHeld();
    return this.#openDataset(name, options);
  }

  async openRowCopy(name: string, options: DatasetOptions): Promise<RowCopyWriter | null> {
    if (!DATASET_NAME.test(name)) throw new InternalError(`no data set may be called ${name}`);
    await this.#lock.assertHeld();
    this.#written.add(name);
    const temporary = join(this.path, WORK, "datasets", `${name}-${this.#num_datasets++}`);
    return FolderRowCopyWriter.open(temporary, join(this.path, name), options, await this.#publishedParts());
  }

  async keepSelections(names: readonly string[]): Promise<void> {
    const others = (await namesIn(this.path)).filter((name) => DATASET_NAME.test(name) && name.startsWith("selection") && !names.includes(name));
    if (others.length === 0) return;
    await this.#lock.assertHeld();
    for (const name of others) await remove(join(this.path, name));
    await syncFolder(this.path);
  }

  async isComplete(): Promise<boolean> {
    return (await namesIn(this.path)).includes(SUCCESS);
  }

  async readManifest(): Promise<Readonly<Record<string, unknown>> | undefined> {
    const path = join(this.path, MANIFEST);
    if (!(await namesIn(this.path)).includes(MANIFEST)) return undefined;
    const text = await naming("read", path, () => readFile(path, "utf8"));
    try {
      return JSON.parse(text) as Record<string, unknown>;
    } catch {
      return undefined; // written by rename, so damaged from outside: it is made again
    }
  }

  async invalidate(): Promise<void> {
    if (!(await this.isComplete())) return;
    await remove(join(this.path, SUCCESS));
    await syncFolder(this.path);
  }

  async findDamage(): Promise<readonly string[]> {
    const files = (await this.readManifest())?.["files"] as PublishedFiles | undefined;
    if (!files) return []; // an earlier version's
    const different: string[] = [];
    for (const dataset of datasetsOf(files)) if (dataset !== "scores") different.push(...(await findDifferent(this.path, dataset, files, this.#options.signal)));
    return different;
  }

  async finish(manifest: Readonly<Record<string, unknown>>, success: boolean): Promise<void> {
    await this.#lock.assertHeld();
    const files = await this.#publishedFiles();
    await this.invalidate();
    await writeAndSync(join(this.path, MANIFEST), `${JSON.stringify({ ...manifest, files }, null, 2)}\n`);
    if (success) await writeAndSync(join(this.path, SUCCESS), "");
  }

  async dropShards(): Promise<void> {
    if (this.shards.length > 0) await removeShards(join(this.path, WORK));
  }

  async close(): Promise<void> {
    await this.#publishing;
    try {
      await this.#journal.close();
    } finally {
      await this.#lock.release();
    }
  }

  /** What was not written by this run keeps the digests it had: damage since then stays visible. */
  async #publishedFiles(): Promise<PublishedFiles> {
    const before = ((await this.readManifest())?.["files"] ?? {}) as PublishedFiles;
    const scores = this.#parts.entries.map((part) => [relative(this.path, this.#parts.pathOf(part)), part] as const).filter(([path]) => path.startsWith("scores"));
    const files: Record<string, PublishedFiles[string]> = {};
    for (const [path, { digest, num_bytes }] of scores.sort()) files[path.replaceAll("\\", "/")] = { sha256: digest, num_bytes };
    for (const dataset of (await namesIn(this.path)).filter((name) => DATASET_NAME.test(name))) {
      const known = this.#written.has(dataset) ? {} : filesOf(before, dataset);
      Object.assign(files, Object.keys(known).length > 0 ? known : await describeDataset(this.path, dataset, this.#options.signal));
    }
    return files;
  }

  /** Paths of the parts in `scores/`, each as the journal knows it. */
  async #publishedParts(): Promise<string[]> {
    const folder = join(this.path, "scores");
    const parts = (await namesIn(folder)).filter((name) => name.endsWith(".parquet")).map((name) => join(folder, name));
    const known = new Set(this.#parts.entries.map((entry) => this.#parts.pathOf(entry)));
    const other = parts.find((part) => !known.has(part));
    if (other === undefined) return parts;
    throw new StageError(`${other} is damaged, or no run of this folder wrote it`, { remedy: "run `pipeline run` with the same file: it does again what the part held" });
  }

  #inTurn<T>(act: () => Promise<T>): Promise<T> {
    const done = this.#publishing.then(act);
    this.#publishing = done.then(() => undefined, () => undefined);
    return done;
  }

  async #writeFullParts(split_digests: readonly string[]): Promise<number> {
    await this.#lock.assertHeld();
    const full = layoutParts(split_digests.map((digest) => this.#committedSplit(digest))).filter((part) => part.is_full);
    await this.#writeParts(full);
    // A split without rows is in no part; where it comes before the next part's first it is looked at again.
    const last = full.at(-1)?.splits.at(-1)?.[0];
    return last === undefined ? 0 : split_digests.indexOf(last) + 1;
  }

  async #writeParts(layout: readonly PartLayout[]): Promise<PartEntry[]> {
    const parts: PartEntry[] = [];
    for (const part of layout) parts.push(this.#parts.find(part, this.#options.compression) ?? (await this.#writePart(part)));
    return parts;
  }

  async #publishScores(split_digests: readonly string[]): Promise<void> {
    await this.#lock.assertHeld();
    const splits = split_digests.map((digest) => this.#committedSplit(digest));
    const parts = await this.#writeParts(layoutParts(splits));
    if (!(await this.#parts.arePublished(parts))) {
      await this.invalidate();
      await this.#parts.publish(parts);
      await this.#dropLost(parts);
    }
    await this.#publishRejects(splits);
  }

  #committedSplit(digest: string): SplitEntry {
    const entry = this.#splits.entry(digest);
    if (!entry) throw new InternalError(`the split ${digest} is to be published and was not committed`);
    return entry;
  }

  /** Writes and journals one part, then removes the staged files that it replaces. */
  async #writePart(layout: PartLayout): Promise<PartEntry> {
    const { compression, scores_hash, scores_schema: schema, signal } = this.#options;
    signal?.throwIfAborted();
    const temporary = join(this.path, WORK, "parts", "writing.tmp");
    const { digest, num_bytes } = await writePart(temporary, { schema, compression, metadata: {} }, this.#rowsOf(layout.splits), signal);
    const entry: PartEntry = { kind: "part", scores_hash, digest, num_bytes, compression, splits: layout.splits };
    await this.#parts.add(entry, temporary);
    await this.#journal.append(entry);
    for (const [split_digest] of layout.splits) {
      const staged = this.#splits.entry(split_digest)?.scores;
      if (staged) await this.#staged.removeScores(split_digest, staged);
    }
    return entry;
  }

  /** The rows of the splits in order, from the parts that hold them or else from where they were staged. */
  async *#rowsOf(splits: readonly PartSplit[]): AsyncGenerator<RecordBatch, void, void> {
    const holders = new Map<string, PartEntry>();
    for (const part of this.#parts.entries) for (const [split, scores] of part.splits) holders.set(split + scores, part);
    const open = new Map<PartEntry, PartRows>();
    try {
      for (const split of splits) {
        const holder = holders.get(split[0] + split[1]);
        if (!holder) {
          yield* await this.#staged.readScores(this.#committedSplit(split[0]));
          continue;
        }
        if (!open.has(holder)) open.set(holder, new PartRows(this.#parts.pathOf(holder), holder));
        yield* open.get(holder)!.read(split);
      }
    } finally {
      for (const rows of open.values()) await rows.close();
    }
  }

  /** Splits of an earlier publication that are not in this one went with the parts that held them. */
  async #dropLost(parts: readonly PartEntry[]): Promise<void> {
    const published = new Set(parts.flatMap((part) => part.splits.map(([split, scores]) => split + scores)));
    for (const { record, scores } of [...this.#splits.journalEntries()]) {
      const split = record.split_digest;
      if (!scores || published.has(split + scores.digest)) continue;
      if (!(await this.#staged.isWhole(split, "scores", scores))) this.#splits.delete(split);
    }
  }

  /** Rejects are few: written anew each time, with the split's place in this input. */
  async #publishRejects(splits: readonly SplitEntry[]): Promise<void> {
    const writer = await this.#openDataset("rejects", { schema: rejectsSchema, compression: this.#options.compression, metadata: {} });
    try {
      for (const [index, entry] of splits.entries()) {
        for (const batch of await this.#staged.readRejects(entry)) await writer.write(atSplit(batch, index));
      }
      await writer.publish();
    } finally {
      await writer.discard();
    }
  }

  #openDataset(name: string, options: DatasetOptions): Promise<FolderDatasetWriter> {
    this.#written.add(name);
    const temporary = join(this.path, WORK, "datasets", `${name}-${this.#num_datasets++}`);
    return FolderDatasetWriter.open(temporary, join(this.path, name), options);
  }
}

function atSplit(rejects: RecordBatch, index: number): RecordBatch {
  const field = rejectsSchema.fields.find(({ name }) => name === "split")!;
  const columns = { split: int32Column(new Int32Array(rejects.numRows).fill(index)) };
  return projectColumns(withColumns(rejects, [field], columns), rejectsSchema);
}

