import { basename, join } from "node:path";
import { InternalError } from "../../core/errors.ts";
import { digestOfFile, makeFolder, move, namesIn, remove, syncFolder } from "./durable-file.ts";
import type { PartEntry } from "./journal.ts";
import { isPartFileName, partFileName, type PartLayout, samePartSplits } from "./part-layout.ts";
import type { Compression } from "../parquet/parquet-writer.ts";

/**
 * The journalled parts that are there, wherever they lie: waiting in the work folder, or published under some
 * number. They are known by their content's digest, never by their place, so a crash between two renames loses
 * nothing and needs no undoing.
 */
export class PartFiles {
  /** Published parts whose content the journal does not know: the next publication removes them. */
  readonly damaged: string[] = [];
  readonly #waiting: string;
  readonly #published: string;
  readonly #signal: AbortSignal | undefined;
  readonly #parts = new Map<string, { readonly entry: PartEntry; path: string }>();

  private constructor(waiting: string, published: string, signal?: AbortSignal) {
    this.#waiting = waiting;
    this.#published = published;
    this.#signal = signal;
  }

  /** Reads every part file and keeps those whose content the journal knows. Unknown ones that wait are removed. */
  static async open(waiting: string, published: string, entries: ReadonlyMap<string, PartEntry>, signal?: AbortSignal): Promise<PartFiles> {
    const files = new PartFiles(waiting, published, signal);
    await makeFolder(waiting);
    for (const name of (await namesIn(published)).filter(isPartFileName)) {
      const path = join(published, name);
      if (!(await files.#take(path, entries))) files.damaged.push(path);
    }
    for (const name of await namesIn(waiting)) {
      const path = join(waiting, name);
      if (!name.endsWith(".part") || !(await files.#take(path, entries))) await remove(path);
    }
    return files;
  }

  get entries(): PartEntry[] {
    return [...this.#parts.values()].map((part) => part.entry);
  }

  pathOf(entry: PartEntry): string {
    const part = this.#parts.get(entry.digest);
    if (!part) throw new InternalError(`no part has the digest ${entry.digest}`);
    return part.path;
  }

  find(layout: PartLayout, compression: Compression): PartEntry | undefined {
    return this.entries.find((entry) => entry.compression === compression && samePartSplits(entry.splits, layout.splits));
  }

  /** Takes a finished temporary file in. It is durable then; journalling the entry is the caller's. */
  async add(entry: PartEntry, temporary: string): Promise<void> {
    const path = join(this.#waiting, `${entry.digest}.part`);
    await move(temporary, path);
    await syncFolder(this.#waiting);
    this.#parts.set(entry.digest, { entry, path });
  }

  /** Whether `scores/` holds exactly these parts in this order. */
  async arePublished(parts: readonly PartEntry[]): Promise<boolean> {
    const names = (await namesIn(this.#published)).filter(isPartFileName);
    return names.length === parts.length && parts.every((part, i) => this.pathOf(part) === join(this.#published, partFileName(i)));
  }

  /** Makes `scores/` hold exactly these parts in this order; what is in none of them is removed. */
  async publish(parts: readonly PartEntry[]): Promise<void> {
    await makeFolder(this.#published);
    const places = new Map(parts.map((part, i) => [part.digest, join(this.#published, partFileName(i))]));
    // First everything that is in a wrong place out of the way, then into place: no rename overwrites a part that is needed.
    for (const part of this.#parts.values()) {
      const place = places.get(part.entry.digest);
      if (place !== undefined && part.path !== place && part.path.startsWith(this.#published)) {
        await this.#moveTo(part, join(this.#waiting, `${part.entry.digest}.part`));
      }
    }
    await syncFolder(this.#waiting);
    for (const [digest, place] of places) {
      const part = this.#parts.get(digest)!;
      if (part.path !== place) await this.#moveTo(part, place);
    }
    await syncFolder(this.#published);
    await this.#removeOthers(places);
  }

  async #removeOthers(places: ReadonlyMap<string, string>): Promise<void> {
    const kept = new Set([...places.values()].map((path) => basename(path)));
    for (const name of await namesIn(this.#published)) {
      if (isPartFileName(name) && !kept.has(name)) await remove(join(this.#published, name));
    }
    for (const [digest, part] of this.#parts) {
      if (places.has(digest)) continue;
      if (part.path.startsWith(this.#waiting)) await remove(part.path);
      this.#parts.delete(digest);
    }
    await syncFolder(this.#published);
  }

  async #moveTo(part: { path: string }, path: string): Promise<void> {
    await move(part.path, path);
    part.path = path;
  }

  async #take(path: string, entries: ReadonlyMap<string, PartEntry>): Promise<boolean> {
    const file = await digestOfFile(path, this.#signal);
    const entry = file && entries.get(file.digest);
    if (!entry || this.#parts.has(entry.digest)) return false;
    this.#parts.set(entry.digest, { entry, path });
    return true;
  }
}
