import { type FileHandle, open, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { StageError } from "../../core/errors.ts";
import type { SplitRecord } from "../../core/output.ts";
import { naming } from "../file-error.ts";
import { crashPoint } from "./crash-point.ts";
import type { Compression } from "../parquet/parquet-writer.ts";
import { sha256, syncFolder } from "./durable-file.ts";

/** A durable file as the journal knows it. */
export interface FileEntry {
  /** sha256, hex. */
  readonly digest: string;
  readonly num_bytes: number;
}

/** A split whose scores and rejects are durable. */
export interface SplitEntry {
  readonly kind: "split";
  readonly scores_hash: string;
  readonly record: SplitRecord;
  readonly num_rows: number;
  /** Arrow bytes of its rows, by content: where parts end is decided from it. */
  readonly num_arrow_bytes: number;
  /** null: no row, no file. */
  readonly scores: FileEntry | null;
  /** null: no reject, no file. */
  readonly rejects: FileEntry | null;
}

/** A split as a part holds it: its digest, the digest of its staged scores, and its number of rows. */
export type PartSplit = readonly [split_digest: string, scores_digest: string, num_rows: number];

/** A Parquet part that is durable, wherever it lies: it is known by its content. */
export interface PartEntry extends FileEntry {
  readonly kind: "part";
  readonly scores_hash: string;
  readonly compression: Compression;
  readonly splits: readonly PartSplit[];
}

/** The split is to be scored again. */
export interface ForgetEntry {
  readonly kind: "forget";
  readonly scores_hash: string;
  readonly split_digest: string;
}

export type JournalEntry = SplitEntry | PartEntry | ForgetEntry;

/**
 * An append-only file of JSON lines, each with a checksum of its own and fsynced before `append` settles.
 * A torn last line (the crash came before the fsync) is cut off when the journal is opened; a damaged line further
 * up is left out, so that what it spoke of is done again.
 */
export class Journal {
  readonly path: string;
  readonly #file: FileHandle;
  #num_bytes: number;
  #last: Promise<void> = Promise.resolve();
  #broken: Error | undefined;

  private constructor(path: string, file: FileHandle, num_bytes: number) {
    this.path = path;
    this.#file = file;
    this.#num_bytes = num_bytes;
  }

  /** Opens or creates the journal; gives the entries that are whole, in order. */
  static open(path: string): Promise<{ readonly journal: Journal; readonly entries: JournalEntry[] }> {
    return naming("open", path, async () => {
      const file = await open(path, "a+");
      const content = await readFile(path);
      const whole = content.lastIndexOf(0x0a) + 1;
      if (whole < content.length) await file.truncate(whole);
      await file.sync();
      await syncFolder(dirname(path));
      const entries = content.subarray(0, whole).toString("utf8").split("\n").flatMap(readLine);
      return { journal: new Journal(path, file, whole), entries };
    });
  }

  /** The entries of a journal that another process may be writing. None where there is no such file. */
  static async read(path: string): Promise<JournalEntry[]> {
    return naming("read", path, async () => {
      try {
        const content = await readFile(path);
        return content.subarray(0, content.lastIndexOf(0x0a) + 1).toString("utf8").split("\n").flatMap(readLine);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
        throw error;
      }
    });
  }

  /** Settles when the entries are durable. Calls may overlap: entries are written one behind the other. */
  append(...entries: readonly JournalEntry[]): Promise<void> {
    const appended = this.#last.then(() => this.#write(entries));
    this.#last = appended.catch(() => undefined);
    return appended;
  }

  get num_bytes(): number {
    return this.#num_bytes;
  }

  async close(): Promise<void> {
    await this.#last;
    await this.#file.close();
  }

  async #write(entries: readonly JournalEntry[]): Promise<void> {
    if (this.#broken) throw this.#broken;
    const line = Buffer.from(entries.map(formatLine).join(""));
    try {
      await naming("append to", this.path, async () => {
        await crashPoint("append", this.path, () => this.#file.appendFile(line.subarray(0, line.length >> 1)));
        await this.#file.appendFile(line);
        await crashPoint("sync", this.path);
        await this.#file.sync();
      });
      this.#num_bytes += line.length;
    } catch (error) {
      await this.#cutBack(error as Error);
      throw error;
    }
  }

  /** After a failed append half a line may stand at the end, and whether it is durable is unknown: nothing may follow. */
  async #cutBack(cause: Error): Promise<void> {
    this.#broken = new StageError(`${this.path}: an earlier append failed`, { cause });
    await this.#file.truncate(this.#num_bytes).catch(() => undefined); // else the next opening cuts it off
  }
}

function formatLine(entry: JournalEntry): string {
  const text = JSON.stringify(entry);
  return `{"check":"${sha256(text).slice(0, 16)}","entry":${text}}\n`;
}

function readLine(line: string): JournalEntry[] {
  try {
    const { check, entry } = JSON.parse(line) as { check: string; entry: JournalEntry };
    return sha256(JSON.stringify(entry)).startsWith(check) && check.length === 16 ? [entry] : [];
  } catch {
    return [];
  }
}
