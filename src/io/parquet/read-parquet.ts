import { stat } from "node:fs/promises";
import type { RecordBatch, Schema } from "apache-arrow";
import { PlanError, StageError } from "../../core/errors.ts";
import { asFileError } from "../file-error.ts";
import { decodeIpc } from "./ipc.ts";
import { renameInSchema, renameListChildren } from "./list-names.ts";
import { ParquetThread, ParquetThreadError, sharedReadingThread } from "./parquet-thread.ts";
import type { FileMetadata } from "./protocol.ts";

/** Rows of a batch unless the caller says otherwise: a few MB of token columns. */
const DEFAULT_BATCH_ROWS = 4_096;

export interface ReadOptions {
  /** Top-level columns, in the order wanted; left out: all of them. */
  readonly columns?: readonly string[];
  /** In place of `columns`: leaf columns (`image.path`); structs come with the children named only. In the file's order. */
  readonly leaf_columns?: readonly string[];
  /** Indices of row groups, in the order wanted; left out: all of them. */
  readonly row_groups?: readonly number[];
  /** Rows of the row groups chosen that are passed over. */
  readonly row_offset?: number;
  /** No batch has more rows than this, and none spans two row groups. */
  readonly batch_rows?: number;
  readonly signal?: AbortSignal;
}

/**
 * An open Parquet file. Rows come as Arrow record batches, row group by row group, and of the file only the
 * columns and row groups asked for are read.
 *
 * **Memory bound**: the encoded pages of the columns asked for in one row group, and one batch.
 * **Throws** StageError naming the file where it is damaged; PlanError naming the column where one is missing.
 */
export class ParquetReader {
  readonly path: string;
  readonly schema: Schema;
  readonly num_rows: number;
  readonly row_groups: FileMetadata["row_groups"];
  /** Dotted paths of the columns that hold values; none where the file has no row group. */
  readonly leaf_columns: readonly string[];
  readonly created_by: string | undefined;
  /** Footer key-value metadata, the Arrow schema left out. */
  readonly key_value: Readonly<Record<string, string>>;
  readonly #thread: ParquetThread;
  readonly #handle: number;

  private constructor(path: string, thread: ParquetThread, handle: number, metadata: FileMetadata) {
    this.path = path;
    this.schema = renameInSchema(decodeIpc(metadata.schema_ipc).schema, "item");
    this.num_rows = metadata.num_rows;
    this.row_groups = metadata.row_groups;
    this.leaf_columns = metadata.leaf_columns;
    this.created_by = metadata.created_by;
    this.key_value = Object.fromEntries(Object.entries(metadata.key_value).filter(([key]) => key !== "ARROW:schema"));
    this.#thread = thread;
    this.#handle = handle;
  }

  static async open(path: string, thread: ParquetThread = sharedReadingThread): Promise<ParquetReader> {
    const handle = thread.newHandle();
    const metadata = await naming(path, "open", () => thread.request("open_reader", { handle, path }));
    return new ParquetReader(path, thread, handle, metadata);
  }

  async *batches(options: ReadOptions = {}): AsyncGenerator<RecordBatch, void, void> {
    const { columns, leaf_columns, row_groups, row_offset, signal, batch_rows = DEFAULT_BATCH_ROWS } = options;
    // The decoder would panic on an unknown name.
    for (const column of columns ?? []) this.#mustHave(column, this.schema.names.map(String));
    for (const column of leaf_columns ?? []) this.#mustHave(column, this.leaf_columns);
    const handle = this.#thread.newHandle();
    const chosen_columns = columns ?? leaf_columns;
    const chosen = {
      batch_rows,
      ...(chosen_columns && { columns: chosen_columns }),
      ...(row_groups && { row_groups }),
      ...(row_offset && { row_offset }),
    };
    await naming(this.path, "read", () => this.#thread.request("open_stream", { handle, reader: this.#handle, options: chosen }));
    try {
      for (let row = 0; ; ) {
        signal?.throwIfAborted();
        const ipc = await naming(this.path, `read behind row ${row}`, () => this.#thread.request("next", { handle }));
        if (!ipc) return;
        for (const batch of decodeIpc(ipc).batches) {
          row += batch.numRows;
          yield inOrder(renameListChildren(batch, "item"), columns);
        }
      }
    } finally {
      await this.#closeHandle(handle);
    }
  }

  async close(): Promise<void> {
    await this.#closeHandle(this.#handle);
  }

  #mustHave(column: string, names: readonly string[]): void {
    if (names.includes(column)) return;
    throw new PlanError(`${this.path} has no column ${column}; it has ${names.join(", ")}`, {
      remedy: "name the columns as the file has them",
    });
  }

  async #closeHandle(handle: number): Promise<void> {
    // After a panic the thread, and with it the handle, is gone: there is nothing left to close.
    await this.#thread.request("close", { handle }).catch(() => undefined);
  }
}

/** All rows of a file in batches; see ParquetReader.batches. */
export async function* readParquet(path: string, options: ReadOptions & { readonly thread?: ParquetThread } = {}): AsyncGenerator<RecordBatch, void, void> {
  const reader = await ParquetReader.open(path, options.thread);
  try {
    yield* reader.batches(options);
  } finally {
    await reader.close();
  }
}

/** The decoder gives columns in the file's order. */
function inOrder(batch: RecordBatch, columns: readonly string[] | undefined): RecordBatch {
  return columns ? batch.selectAt(columns.map((name) => batch.schema.names.indexOf(name))) : batch;
}

async function naming<T>(path: string, doing: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof ParquetThreadError)) throw error;
    if (error.code) throw asFileError(error, doing, path);
    const { size } = await stat(path);
    throw new StageError(`${path}: can't ${doing}: ${error.message}; the file ends at byte ${size}`, {
      cause: error,
      remedy: "the file is truncated, damaged or not Parquet: restore it",
    });
  }
}
