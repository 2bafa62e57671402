import { availableParallelism } from "node:os";
import { type Data, DataType, type List, type RecordBatch } from "apache-arrow";
import { InternalError } from "../../core/errors.ts";
import type { DatasetOptions, RowCopyWriter, RowDecision } from "../../core/output.ts";
import { concatRows } from "../../core/record-batch.ts";
import { openThreadPool, type ThreadPool } from "../../core/thread-pool.ts";
import { STATISTICS_COLUMNS } from "../parquet/parquet-writer.ts";
import { CODEC, type Footer, type Leaf, readFooter, type StoredRowGroup } from "../parquet/select-footer.ts";
import type { NamedChunk } from "../parquet/select-file.ts";
import type { NewChunk } from "../parquet/select-pages.ts";
import type { AddedColumn, RowGroupTask, SourceRowGroup } from "../parquet/select-row-group.ts";
import { DatasetFolder } from "./dataset-folder.ts";
import { PART_ROWS } from "./part-limits.ts";
import { PartFile } from "./row-copy-part.ts";
import { Template } from "./row-copy-template.ts";

/** A row group is finished with the source row group that brings it to so many rows. */
const ROW_GROUP_ROWS = 10_000;
/** A part ends with the row group that brings it to so many bytes, or to PART_ROWS. */
const PART_BYTES = 48 * 2 ** 20;
const MAX_THREADS = 8;

/** Below so many rows, starting threads takes longer than decoding and encoding. */
const MIN_ROWS = 20_000;
const NUM_THREADS = Math.min(MAX_THREADS, availableParallelism());

type RowGroupThreads = ThreadPool<RowGroupTask, NewChunk[]>;

/** The threads of all writers that are open: they end with the last one. */
const shared: { threads: RowGroupThreads | undefined; numUsers: number } = { threads: undefined, numUsers: 0 };

function takeThreads(): RowGroupThreads {
  shared.numUsers++;
  return (shared.threads ??= openThreadPool(import.meta.url, "../parquet/select-thread.ts", NUM_THREADS));
}

async function releaseThreads(): Promise<void> {
  if (--shared.numUsers > 0) return;
  const { threads } = shared;
  shared.threads = undefined;
  await threads?.close();
}

/** A row group of the scores, with the decision about its rows. */
interface DecidedRowGroup {
  readonly source: SourceRowGroup;
  readonly numKept: number;
  readonly added: readonly RecordBatch[];
}

/**
 * A Parquet data set made of rows of other files by moving bytes, in threads, several row groups at once.
 * What it holds depends on the files and the decisions alone. Memory: for each thread two row groups.
 */
export class FolderRowCopyWriter implements RowCopyWriter {
  readonly #folder: DatasetFolder;
  readonly #template: Template;
  readonly #compression: RowGroupTask["compression"];
  readonly #rowGroups: IterableIterator<{ readonly path: string; readonly group: StoredRowGroup }>;
  readonly #threads = takeThreads();
  #current: RowGroupDecisions | undefined;
  #gathered: DecidedRowGroup[] = [];
  /** In order; each settles when its row group is on the disk. */
  readonly #underWay: Promise<void>[] = [];
  #part: PartFile | undefined;
  #numRows = 0;
  #discarded = false;

  private constructor(folder: DatasetFolder, template: Template, compression: RowGroupTask["compression"], files: ReadonlyMap<string, Footer>) {
    this.#folder = folder;
    this.#template = template;
    this.#compression = compression;
    this.#rowGroups = rowGroupsOf(files);
  }

  /**
   * `sources`: the files whose rows are decided about, in order. null where they have fewer than `minRows`, are not of this
   * project's writer, have a column of the schema otherwise, or are compressed otherwise.
   */
  static async open(temporary: string, target: string, options: DatasetOptions, sources: readonly string[], minRows = MIN_ROWS): Promise<FolderRowCopyWriter | null> {
    if (options.compression === "snappy" || sources.length === 0) return null;
    const files = new Map<string, Footer>();
    for (const path of sources) files.set(path, await readFooter(path));
    if (numRowsOf(files) < minRows) return null;
    const folder = await DatasetFolder.open(temporary, target);
    const template = await Template.make(folder.part_path, options, CODEC[options.compression], [...files.values()]);
    if (!template) {
      await folder.discard();
      return null;
    }
    return new FolderRowCopyWriter(folder, template, options.compression, files);
  }

  async write({ num_rows, rows, added }: RowDecision): Promise<void> {
    for (let start = 0, next = 0; start < num_rows; ) {
      const current = (this.#current ??= this.#nextRowGroup());
      const end = Math.min(num_rows, start + current.numMissing);
      let last = next;
      while (last < rows.length && rows[last]! < end) last++;
      current.add(end - start, start, rows.subarray(next, last), added.slice(next, last));
      if (current.numMissing === 0) await this.#finishRowGroup(current);
      start = end;
      next = last;
    }
  }

  async publish(): Promise<{ readonly num_rows: number; readonly parts: readonly string[] }> {
    if (this.#current || !this.#rowGroups.next().done) throw new InternalError("row copy: not all rows were decided about");
    if (this.#gathered.length > 0) await this.#submit();
    while (this.#underWay.length > 0) await this.#underWay.shift();
    if (this.#numRows === 0) await (await this.#openPart()).finish();
    else await this.#part?.finish();
    if (this.#part) this.#folder.finishPart();
    this.#part = undefined;
    return { num_rows: this.#numRows, parts: await this.#folder.publish() };
  }

  async discard(): Promise<void> {
    if (this.#discarded) return;
    this.#discarded = true;
    await Promise.allSettled(this.#underWay);
    await releaseThreads();
    await this.#part?.abandon();
    await this.#folder.discard();
  }

  #nextRowGroup(): RowGroupDecisions {
    const { value, done } = this.#rowGroups.next();
    if (done) throw new InternalError("row copy: more rows were decided about than there are");
    return new RowGroupDecisions(value.path, value.group, this.#template.copied);
  }

  async #finishRowGroup(current: RowGroupDecisions): Promise<void> {
    this.#current = undefined;
    const decided = current.toDecided();
    if (decided.numKept > 0) this.#gathered.push(decided);
    if (this.#gathered.reduce((sum, { numKept }) => sum + numKept, 0) >= ROW_GROUP_ROWS) await this.#submit();
  }

  /** Gives what is gathered to a thread. Waits while every thread has one to do and one to come. */
  async #submit(): Promise<void> {
    const gathered = this.#gathered;
    this.#gathered = [];
    const numRows = gathered.reduce((sum, { numKept }) => sum + numKept, 0);
    const added = concatRows(gathered[0]!.added[0]!.schema, gathered.flatMap((group) => group.added));
    const task: RowGroupTask = {
      compression: this.#compression,
      leaves: this.#template.copied.map((leaf) => ({ ...leaf, bounded: STATISTICS_COLUMNS.includes(leaf.path) })),
      sources: gathered.map(({ source }) => source),
      added: this.#template.added.map((name) => addedColumn(added, name)),
    };
    const made = this.#threads.run(task);
    const before = this.#underWay.at(-1) ?? Promise.resolve();
    const written = before.then(async () => this.#append(numRows, this.#template.name(await made)));
    written.catch(() => undefined); // reported by the write or publish that waits for it
    made.catch(() => undefined);
    this.#underWay.push(written);
    if (this.#underWay.length > NUM_THREADS + 1) await this.#underWay.shift();
  }

  async #append(numRows: number, chunks: readonly NamedChunk[]): Promise<void> {
    const part = (this.#part ??= await this.#openPart());
    await part.append(numRows, chunks);
    this.#numRows += numRows;
    if (part.numRows < PART_ROWS && part.numBytes < PART_BYTES) return;
    await part.finish();
    this.#part = undefined;
    this.#folder.finishPart();
  }

  async #openPart(): Promise<PartFile> {
    return (this.#part = await PartFile.open(this.#folder.part_path, this.#template.metadata));
  }
}

function numRowsOf(files: ReadonlyMap<string, Footer>): number {
  let numRows = 0;
  for (const { group } of rowGroupsOf(files)) numRows += group.numRows;
  return numRows;
}

function* rowGroupsOf(files: ReadonlyMap<string, Footer>) {
  for (const [path, { rowGroups }] of files) for (const group of rowGroups) yield { path, group };
}

/** The decisions about one row group's rows, as they come in. */
class RowGroupDecisions {
  readonly #path: string;
  readonly #group: StoredRowGroup;
  readonly #leaves: readonly Leaf[];
  readonly #keep: Uint8Array;
  readonly #added: RecordBatch[] = [];
  #numDecided = 0;
  #numKept = 0;

  constructor(path: string, group: StoredRowGroup, leaves: readonly Leaf[]) {
    this.#path = path;
    this.#group = group;
    this.#leaves = leaves;
    this.#keep = new Uint8Array(group.numRows);
  }

  get numMissing(): number {
    return this.#group.numRows - this.#numDecided;
  }

  /** `rows` count from `first`, which is the first of the `numRows` rows. */
  add(numRows: number, first: number, rows: Int32Array, added: RecordBatch): void {
    for (const row of rows) this.#keep[this.#numDecided + row - first] = 1;
    this.#numDecided += numRows;
    this.#numKept += rows.length;
    this.#added.push(added);
  }

  toDecided(): DecidedRowGroup {
    const chunks = this.#leaves.map(({ path }) => {
      const { start, length } = this.#group.chunks.get(path)!;
      return { start, length };
    });
    return { source: { path: this.#path, keep: this.#keep, chunks }, numKept: this.#numKept, added: this.#added };
  }
}

function addedColumn(batch: RecordBatch, name: string): AddedColumn {
  const data = batch.data.children[batch.schema.names.indexOf(name)]!;
  const { type } = data;
  if (DataType.isInt(type)) return { kind: "int32", values: data.values as Int32Array };
  if (DataType.isUtf8(type)) return { kind: "text", offsets: data.valueOffsets, bytes: data.values as Uint8Array };
  if (DataType.isList(type) && DataType.isBool(type.children[0]!.type)) {
    return { kind: "bool_list", offsets: data.valueOffsets, bits: (data as Data<List>).children[0]!.values as Uint8Array };
  }
  throw new InternalError(`row copy: column ${name} can't be added`);
}
