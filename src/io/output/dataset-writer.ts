import { join } from "node:path";
import type { RecordBatch } from "apache-arrow";
import type { DatasetOptions, DatasetWriter } from "../../core/output.ts";
import { rowsToReach } from "../parquet/logical-bytes.ts";
import { ParquetWriter } from "../parquet/parquet-writer.ts";
import { makeFolder, move, remove, syncFolder, TEMPORARY_SUFFIX } from "./durable-file.ts";
import { partFileName } from "./part-layout.ts";
import { PART_ARROW_BYTES, PART_ROWS } from "./part-limits.ts";

/**
 * A Parquet data set written into a folder of its own among the temporary ones and swapped in whole by rename.
 * A part ends with the row that brings it to PART_ROWS or to PART_ARROW_BYTES, so parts depend on the rows alone.
 * Inside the temporary folder no name ends in `.parquet`: readers' globs must not find half a data set.
 */
export class FolderDatasetWriter implements DatasetWriter {
  readonly #temporary: string;
  readonly #target: string;
  readonly #options: DatasetOptions;
  #part: ParquetWriter | undefined;
  #num_parts = 0;
  #num_rows = 0;
  #published = false;

  private constructor(temporary: string, target: string, options: DatasetOptions) {
    this.#temporary = temporary;
    this.#target = target;
    this.#options = options;
  }

  /** `temporary` and `target` are on one file system. */
  static async open(temporary: string, target: string, options: DatasetOptions): Promise<FolderDatasetWriter> {
    await remove(temporary);
    await makeFolder(temporary);
    return new FolderDatasetWriter(temporary, target, options);
  }

  async write(batch: RecordBatch): Promise<void> {
    for (let start = 0; start < batch.numRows; ) {
      const part = (this.#part ??= await this.#openPart());
      const count = rowsUntilFull(part, batch, start);
      await part.write(start === 0 && count === batch.numRows ? batch : batch.slice(start, start + count));
      start += count;
      this.#num_rows += count;
      if (part.num_rows >= PART_ROWS || part.num_arrow_bytes >= PART_ARROW_BYTES) await this.#finishPart();
    }
  }

  async publish(): Promise<{ readonly num_rows: number; readonly parts: readonly string[] }> {
    if (this.#num_parts === 0) this.#part ??= await this.#openPart(); // readers want a schema, also of no rows
    if (this.#part) await this.#finishPart();
    const parts = Array.from({ length: this.#num_parts }, (_, i) => partFileName(i));
    for (const name of parts) await move(join(this.#temporary, name + TEMPORARY_SUFFIX), join(this.#temporary, name));
    await syncFolder(this.#temporary);
    await this.#swapIn();
    this.#published = true;
    return { num_rows: this.#num_rows, parts };
  }

  async discard(): Promise<void> {
    await this.#part?.abandon();
    this.#part = undefined;
    if (!this.#published) await remove(this.#temporary);
  }

  /** A crash between the renames leaves no data set under the name: the next run, which finds no `_SUCCESS`, writes it again. */
  async #swapIn(): Promise<void> {
    const old = `${this.#temporary}.old`;
    await remove(old);
    await move(this.#target, old).catch((error: Error) => {
      if ((error.cause as NodeJS.ErrnoException | undefined)?.code !== "ENOENT") throw error;
    });
    await move(this.#temporary, this.#target);
    await syncFolder(join(this.#target, ".."));
    await remove(old);
  }

  #openPart(): Promise<ParquetWriter> {
    return ParquetWriter.open(join(this.#temporary, partFileName(this.#num_parts) + TEMPORARY_SUFFIX), this.#options);
  }

  async #finishPart(): Promise<void> {
    await this.#part!.finish();
    this.#part = undefined;
    this.#num_parts++;
  }
}

/** Rows from `start` that still go into the part. */
function rowsUntilFull(part: ParquetWriter, batch: RecordBatch, start: number): number {
  return Math.min(PART_ROWS - part.num_rows, rowsToReach(batch, start, PART_ARROW_BYTES - part.num_arrow_bytes));
}
