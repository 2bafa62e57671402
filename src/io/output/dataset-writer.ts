import type { RecordBatch } from "apache-arrow";
import type { DatasetOptions, DatasetWriter } from "../../core/output.ts";
import { rowsToReach } from "../parquet/logical-bytes.ts";
import { ParquetWriter } from "../parquet/parquet-writer.ts";
import { DatasetFolder } from "./dataset-folder.ts";
import { PART_ARROW_BYTES, PART_ROWS } from "./part-limits.ts";

/**
 * A Parquet data set written from record batches.
 * A part ends with the row that brings it to PART_ROWS or to PART_ARROW_BYTES, so parts depend on the rows alone.
 */
export class FolderDatasetWriter implements DatasetWriter {
  readonly #folder: DatasetFolder;
  readonly #options: DatasetOptions;
  #part: ParquetWriter | undefined;
  #num_rows = 0;

  private constructor(folder: DatasetFolder, options: DatasetOptions) {
    this.#folder = folder;
    this.#options = options;
  }

  /** `temporary` and `target` are on one file system. */
  static async open(temporary: string, target: string, options: DatasetOptions): Promise<FolderDatasetWriter> {
    return new FolderDatasetWriter(await DatasetFolder.open(temporary, target), options);
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
    if (this.#folder.num_parts === 0) this.#part ??= await this.#openPart(); // readers want a schema, also of no rows
    if (this.#part) await this.#finishPart();
    return { num_rows: this.#num_rows, parts: await this.#folder.publish() };
  }

  async discard(): Promise<void> {
    await this.#part?.abandon();
    this.#part = undefined;
    await this.#folder.discard();
  }

  #openPart(): Promise<ParquetWriter> {
    return ParquetWriter.open(this.#folder.part_path, this.#options);
  }

  async #finishPart(): Promise<void> {
    await this.#part!.finish();
    this.#part = undefined;
    this.#folder.finishPart();
  }
}

/** Rows from `start` that still go into the part. */
function rowsUntilFull(part: ParquetWriter, batch: RecordBatch, start: number): number {
  return Math.min(PART_ROWS - part.num_rows, rowsToReach(batch, start, PART_ARROW_BYTES - part.num_arrow_bytes));
}
