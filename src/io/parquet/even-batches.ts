import type { RecordBatch, Schema } from "apache-arrow";
import { concatRows } from "../../core/record-batch.ts";
import { bytesBefore, rowsThatFit } from "./logical-bytes.ts";

/** Rows and bytes of the batches that are handed to the encoder. */
export const EVEN_BATCH_ROWS = 2_000;
export const EVEN_BATCH_BYTES = 16 * 2 ** 20;

/**
 * Cuts a stream of rows into batches whose bounds depend on the rows alone. The encoder ends pages at batch ends,
 * so without this the bytes of a file would depend on how its rows happened to arrive.
 *
 * **Memory bound**: one even batch and the batch last pushed.
 */
export class EvenBatches {
  readonly #schema: Schema;
  #pending: RecordBatch[] = [];
  #rows = 0;
  #bytes = 0;

  constructor(schema: Schema) {
    this.#schema = schema;
  }

  /** Takes the rows; gives the batches that became full. */
  *push(batch: RecordBatch): Generator<RecordBatch, void, void> {
    for (let start = 0; start < batch.numRows; ) {
      const room = Math.min(EVEN_BATCH_ROWS - this.#rows, batch.numRows - start);
      const fitting = this.#rowsWithinBytes(batch, start);
      const count = Math.min(room, fitting);
      if (count > 0) this.#add(batch, start, count);
      start += count;
      if (this.#rows === EVEN_BATCH_ROWS || count === fitting && start < batch.numRows) yield* this.flush();
    }
  }

  /** Gives the rows that are left, if any. */
  *flush(): Generator<RecordBatch, void, void> {
    if (this.#rows === 0) return;
    const [first] = this.#pending;
    const aligned = this.#pending.length === 1 && first!.data.offset === 0;
    const full = aligned ? first! : concatRows(this.#schema, this.#pending);
    this.#pending = [];
    this.#rows = 0;
    this.#bytes = 0;
    yield full;
  }

  /** Rows from `start` that fit behind the pending ones; at least one where nothing is pending. */
  #rowsWithinBytes(batch: RecordBatch, start: number): number {
    const left = EVEN_BATCH_BYTES - this.#bytes;
    const count = rowsThatFit(batch, start, left);
    const first_fits = bytesBefore(batch.data, start + 1) - bytesBefore(batch.data, start) <= left;
    return first_fits || this.#rows === 0 ? count : 0;
  }

  #add(batch: RecordBatch, start: number, count: number): void {
    const whole = start === 0 && count === batch.numRows;
    this.#pending.push(whole ? batch : batch.slice(start, start + count));
    this.#rows += count;
    this.#bytes += bytesBefore(batch.data, start + count) - bytesBefore(batch.data, start);
  }
}
