import type { RecordBatch } from "apache-arrow";
import { InternalError } from "../../core/errors.ts";
import type { ParquetThread } from "../parquet/parquet-thread.ts";
import { ParquetReader } from "../parquet/read-parquet.ts";

/**
 * Rows of one input file, asked for split by split and mostly in order: the stream stays open between splits, so
 * that a row group is decoded once and not once a split. Calls are served one behind the other.
 */
export class ParquetRows {
  readonly #path: string;
  readonly #columns: readonly string[];
  readonly #thread: ParquetThread;
  #reader: ParquetReader | undefined;
  #stream: AsyncGenerator<RecordBatch, void, void> | undefined;
  /** Row at which the stream stands, and the row behind its row group. */
  #row = 0;
  #group_end = 0;
  #last: Promise<unknown> = Promise.resolve();

  constructor(path: string, columns: readonly string[], thread: ParquetThread) {
    this.#path = path;
    this.#columns = columns;
    this.#thread = thread;
  }

  /** The batches of rows [start, end), which lie in one row group. */
  read(start: number, end: number): Promise<RecordBatch[]> {
    const reading = this.#last.then(() => this.#read(start, end));
    this.#last = reading.catch(() => this.#close());
    return reading;
  }

  /** Behind what is being read. */
  async close(): Promise<void> {
    await (this.#last = this.#last.then(() => this.#close()));
  }

  async #close(): Promise<void> {
    await this.#stream?.return();
    await this.#reader?.close();
    this.#stream = this.#reader = undefined;
  }

  async #read(start: number, end: number): Promise<RecordBatch[]> {
    if (!this.#stream || this.#row !== start || start === this.#group_end) await this.#restart(start, end);
    const batches: RecordBatch[] = [];
    while (this.#row < end) {
      const next = await this.#stream!.next();
      if (next.done) throw new InternalError(`${this.#path}: no rows behind ${this.#row}`);
      this.#row += next.value.numRows;
      batches.push(next.value);
    }
    if (this.#row !== end) throw new InternalError(`${this.#path}: a batch goes beyond row ${end}`);
    return batches;
  }

  async #restart(start: number, end: number): Promise<void> {
    await this.#stream?.return();
    this.#reader ??= await ParquetReader.open(this.#path, this.#thread);
    let group = 0;
    let first = 0;
    while (first + this.#reader.row_groups[group]!.num_rows <= start) first += this.#reader.row_groups[group++]!.num_rows;
    this.#stream = this.#reader.batches({ columns: this.#columns, row_groups: [group], row_offset: start - first, batch_rows: end - start });
    this.#row = start;
    this.#group_end = first + this.#reader.row_groups[group]!.num_rows;
  }
}
