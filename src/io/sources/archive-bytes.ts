import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { createGunzip } from "node:zlib";
import { asFileError } from "../file-error.ts";

/** Stretches of an archive's bytes, unpacked where it is compressed. */
export interface ArchiveBytes {
  /** Bytes [start, end) as a stream; one stretch is read to its end before the next is asked for. */
  read(start: number, end: number): AsyncIterable<Uint8Array>;
}

/** By content, whatever the file is called. */
export async function openArchive(path: string): Promise<ArchiveBytes> {
  const head = Buffer.alloc(2);
  try {
    const file = await open(path);
    try {
      await file.read(head, 0, 2, 0);
    } finally {
      await file.close();
    }
  } catch (error) {
    throw asFileError(error, "read", path);
  }
  return head[0] === 0x1f && head[1] === 0x8b ? new GzipBytes(path) : new PlainBytes(path);
}

class PlainBytes implements ArchiveBytes {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  read(start: number, end: number): AsyncIterable<Uint8Array> {
    if (start >= end) return nothing();
    return createReadStream(this.#path, { start, end: end - 1, highWaterMark: 2 ** 18 });
  }
}

/**
 * A gzip stream can only be unpacked from its beginning, so it stays open between stretches: going forward, as
 * splits are mostly read, unpacks the file once; going back starts again.
 */
class GzipBytes implements ArchiveBytes {
  readonly #path: string;
  #unpacked: AsyncIterator<Buffer> | undefined;
  #position = 0;
  #rest: Uint8Array = new Uint8Array(0);

  constructor(path: string) {
    this.#path = path;
  }

  async *read(start: number, end: number): AsyncGenerator<Uint8Array, void, void> {
    if (!this.#unpacked || start < this.#position) await this.#restart();
    let is_done = false;
    try {
      while (this.#position < end) {
        const bytes = await this.#next();
        if (!bytes) break;
        const [from, to] = [Math.max(0, start - this.#position), Math.min(bytes.length, end - this.#position)];
        this.#position += to;
        this.#rest = bytes.subarray(to);
        if (from < to) yield bytes.subarray(from, to);
      }
      is_done = true;
    } finally {
      if (!is_done) await this.#close(); // left in the middle of a stretch
    }
  }

  async #next(): Promise<Uint8Array | undefined> {
    if (this.#rest.length > 0) return this.#rest;
    const next = await this.#unpacked!.next();
    return next.done ? undefined : next.value;
  }

  async #restart(): Promise<void> {
    await this.#close();
    const packed = createReadStream(this.#path, { highWaterMark: 2 ** 18 });
    const gunzip = createGunzip({ chunkSize: 2 ** 18 });
    packed.on("error", (error) => gunzip.destroy(error));
    gunzip.on("close", () => packed.destroy());
    this.#unpacked = (packed.pipe(gunzip) as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
  }

  async #close(): Promise<void> {
    await this.#unpacked?.return?.();
    this.#unpacked = undefined;
    this.#position = 0;
    this.#rest = new Uint8Array(0);
  }
}

async function* nothing(): AsyncGenerator<Uint8Array, void, void> {
  // A stretch without bytes.
}
