import type { RecordBatch } from "apache-arrow";
import { InternalError } from "../../core/errors.ts";
import { ParquetReader } from "../parquet/read-parquet.ts";
import type { PartEntry, PartSplit } from "./journal.ts";

/** Rows of a batch read back from a part. */
const BATCH_ROWS = 2_000;

/**
 * Reads splits' rows back from a part, one split behind the other; going forward reads the file once, going back
 * starts again. Used where splits move to another part: rows appended to the last part, files inserted in the
 * middle of the input.
 */
export class PartRows {
  readonly #path: string;
  readonly #starts = new Map<string, number>();
  #reader: ParquetReader | undefined;
  #stream: AsyncGenerator<RecordBatch, void, void> | undefined;
  /** Row of the file at which the stream stands, and what was read beyond it. */
  #row = 0;
  #rest: RecordBatch | undefined;

  constructor(path: string, entry: PartEntry) {
    this.#path = path;
    let start = 0;
    for (const [split_digest, , num_rows] of entry.splits) {
      this.#starts.set(split_digest, start);
      start += num_rows;
    }
  }

  async *read([split_digest, , num_rows]: PartSplit): AsyncGenerator<RecordBatch, void, void> {
    const start = this.#starts.get(split_digest);
    if (start === undefined) throw new InternalError(`${this.#path} does not hold the split ${split_digest}`);
    if (!this.#stream || start < this.#row) await this.#restart();
    while (this.#row < start) await this.#take(start - this.#row);
    for (let left = num_rows; left > 0; ) {
      const batch = await this.#take(left);
      left -= batch.numRows;
      yield batch;
    }
  }

  async close(): Promise<void> {
    await this.#stream?.return();
    await this.#reader?.close();
    this.#stream = this.#reader = this.#rest = undefined;
    this.#row = 0;
  }

  async #restart(): Promise<void> {
    await this.close();
    this.#reader = await ParquetReader.open(this.#path);
    this.#stream = this.#reader.batches({ batch_rows: BATCH_ROWS });
  }

  /** At most `num_rows` of the next rows. */
  async #take(num_rows: number): Promise<RecordBatch> {
    const batch = this.#rest ?? (await this.#next());
    const count = Math.min(num_rows, batch.numRows);
    this.#rest = count < batch.numRows ? batch.slice(count) : undefined;
    this.#row += count;
    return count < batch.numRows ? batch.slice(0, count) : batch;
  }

  async #next(): Promise<RecordBatch> {
    const next = await this.#stream!.next();
    if (next.done) throw new InternalError(`${this.#path} has fewer rows than the journal says`);
    return next.value;
  }
}
