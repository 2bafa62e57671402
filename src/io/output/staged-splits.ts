import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { RecordBatch } from "apache-arrow";
import type { SplitRecord } from "../../core/output.ts";
import { naming } from "../file-error.ts";
import { decodeIpc, encodeIpc } from "../parquet/ipc.ts";
import { logicalBytes } from "../parquet/logical-bytes.ts";
import { digestOfFile, makeFolder, namesIn, remove, sha256, syncFolder, writeDurably } from "./durable-file.ts";
import type { FileEntry, SplitEntry } from "./journal.ts";

export interface BrokenFile {
  readonly path: string;
  /** Damaged, not missing. */
  readonly is_there: boolean;
}

/**
 * Committed splits, each as an Arrow IPC file for its scores and one for its rejects, until a part holds them.
 * A file's name has the digest of its content, so a split that is scored again never overwrites its first version
 * before the journal knows of the second.
 */
export class StagedSplits {
  readonly #folder: string;
  readonly #signal: AbortSignal | undefined;

  private constructor(folder: string, signal?: AbortSignal) {
    this.#folder = folder;
    this.#signal = signal;
  }

  static async open(folder: string, signal?: AbortSignal): Promise<StagedSplits> {
    await makeFolder(folder);
    return new StagedSplits(folder, signal);
  }

  /** Makes the split's rows durable; the caller journals the entry, which commits it. */
  async stage(scores_hash: string, record: SplitRecord, scores: RecordBatch, rejects: RecordBatch): Promise<SplitEntry> {
    const entry: SplitEntry = {
      kind: "split",
      scores_hash,
      record,
      num_rows: scores.numRows,
      num_arrow_bytes: logicalBytes(scores),
      scores: await this.#write(record.split_digest, "scores", scores),
      rejects: await this.#write(record.split_digest, "rejects", rejects),
    };
    await syncFolder(this.#folder);
    return entry;
  }

  readScores(entry: SplitEntry): Promise<RecordBatch[]> {
    return this.#read(this.#path(entry.record.split_digest, "scores", entry.scores!));
  }

  async readRejects(entry: SplitEntry): Promise<RecordBatch[]> {
    return entry.rejects ? this.#read(this.#path(entry.record.split_digest, "rejects", entry.rejects)) : [];
  }

  async removeScores(split_digest: string, scores: FileEntry): Promise<void> {
    await remove(this.#path(split_digest, "scores", scores));
  }

  /** Whether the file is there with the content that the journal says. */
  async isWhole(split_digest: string, what: "scores" | "rejects", file: FileEntry): Promise<boolean> {
    return (await this.findBroken(split_digest, what, file)) === undefined;
  }

  /** The file, where it is not there with the content that the journal says. */
  async findBroken(split_digest: string, what: "scores" | "rejects", file: FileEntry): Promise<BrokenFile | undefined> {
    const path = this.#path(split_digest, what, file);
    const found = await digestOfFile(path, this.#signal);
    return found?.digest === file.digest ? undefined : { path, is_there: found !== undefined };
  }

  /** Removes every file that belongs to none of the entries, or whose scores `isPublished`. */
  async sweep(entries: Iterable<SplitEntry>, isPublished: (entry: SplitEntry) => boolean): Promise<void> {
    const known = new Set<string>();
    for (const entry of entries) {
      if (entry.scores && !isPublished(entry)) known.add(fileName(entry.record.split_digest, "scores", entry.scores));
      if (entry.rejects) known.add(fileName(entry.record.split_digest, "rejects", entry.rejects));
    }
    for (const name of await namesIn(this.#folder)) if (!known.has(name)) await remove(join(this.#folder, name));
  }

  async #write(split_digest: string, what: "scores" | "rejects", batch: RecordBatch): Promise<FileEntry | null> {
    if (batch.numRows === 0) return null;
    const content = encodeIpc(batch.schema, [batch]);
    const file = { digest: sha256(content), num_bytes: content.length };
    await writeDurably(this.#path(split_digest, what, file), content);
    return file;
  }

  #read(path: string): Promise<RecordBatch[]> {
    return naming("read", path, async () => decodeIpc(await readFile(path)).batches);
  }

  #path(split_digest: string, what: "scores" | "rejects", file: FileEntry): string {
    return join(this.#folder, fileName(split_digest, what, file));
  }
}

function fileName(split_digest: string, what: "scores" | "rejects", file: FileEntry): string {
  return `${split_digest.slice(0, 32)}-${file.digest.slice(0, 16)}.${what}.arrow`;
}

