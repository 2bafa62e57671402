const CHUNK_BYTES = 2 ** 20;

/** What a window needs of a file. */
export interface ByteReader {
  read(buffer: Buffer, offset: number, length: number, position: number): Promise<{ readonly bytesRead: number }>;
}

/**
 * A stretch of a file in memory. Positions are the file's; a scanner says with `keep_from` what it still needs and
 * asks for more behind it.
 */
export class ByteWindow {
  /** Bytes before it may be dropped. */
  keep_from: number;
  /** Whether the window reaches to the end of the range. */
  at_end = false;
  #buffer: Buffer = Buffer.alloc(0);
  #start: number;
  readonly #file: ByteReader;
  readonly #range_end: number;

  readonly #chunk_bytes: number;

  /** Reads [range_start, range_end) of the file, `chunk_bytes` at a time where that is less than the usual. */
  constructor(file: ByteReader, range_start: number, range_end: number, chunk_bytes = CHUNK_BYTES) {
    this.#file = file;
    this.#chunk_bytes = Math.min(chunk_bytes, CHUNK_BYTES);
    this.#start = this.keep_from = range_start;
    this.#range_end = range_end;
  }

  /** A window onto bytes that are all there. */
  static of(bytes: Uint8Array): ByteWindow {
    const window = new ByteWindow(undefined as never, 0, bytes.length);
    window.#buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    window.at_end = true;
    return window;
  }

  /** Position behind the last byte that is in memory. */
  get end(): number {
    return this.#start + this.#buffer.length;
  }

  byte(position: number): number {
    return this.#buffer[position - this.#start]!;
  }

  /** A view, good until the next `more`. */
  bytes(start: number, end: number): Buffer {
    return this.#buffer.subarray(start - this.#start, end - this.#start);
  }

  indexOf(byte: number, from: number): number {
    const index = this.#buffer.indexOf(byte, from - this.#start);
    return index < 0 ? -1 : this.#start + index;
  }

  /** Drops what is not needed and reads on: as much again as is kept, so that a long record is not read over and over. */
  async more(): Promise<void> {
    const kept = this.bytes(this.keep_from, this.end);
    const wanted = Math.min(Math.max(this.#chunk_bytes, kept.length), this.#range_end - this.end);
    const next = Buffer.allocUnsafe(kept.length + wanted);
    kept.copy(next);
    const { bytesRead } = await this.#file.read(next, kept.length, wanted, this.end);
    this.at_end = this.end + bytesRead >= this.#range_end || bytesRead === 0;
    this.#buffer = next.subarray(0, kept.length + bytesRead);
    this.#start = this.keep_from;
  }
}
