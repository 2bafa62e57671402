/** What is said between the main thread and the Parquet thread. Bytes travel by transfer, not by copy. */

/** How a part is written. Everything that decides its bytes is here or in the batches. */
export interface WriteOptions {
  readonly compression: "zstd" | "snappy" | "none";
  /** Footer key-value metadata. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Top-level columns that get minimum and maximum for each row group. */
  readonly statistics_columns: readonly string[];
  readonly created_by: string;
  readonly max_row_group_rows: number;
  readonly max_row_group_bytes: number;
}

export interface RowGroupMetadata {
  readonly num_rows: number;
  readonly compressed_bytes: number;
  readonly uncompressed_bytes: number;
}

export interface FileMetadata {
  readonly num_rows: number;
  readonly row_groups: readonly RowGroupMetadata[];
  /** Dotted paths of the columns that hold values: `image.bytes`, `messages.list.element.role`. */
  readonly leaf_columns: readonly string[];
  readonly created_by: string | undefined;
  readonly key_value: Readonly<Record<string, string>>;
  /** Bytes of an Arrow IPC stream with the schema and no batch. */
  readonly schema_ipc: Uint8Array;
}

export interface WrittenFile {
  readonly num_bytes: number;
  /** sha256, hex. */
  readonly digest: string;
}

export interface StreamOptions {
  readonly columns?: readonly string[];
  readonly row_groups?: readonly number[];
  /** Rows of these row groups that are passed over. */
  readonly row_offset?: number;
  readonly batch_rows: number;
}

/** Each operation with its arguments and its answer. `handle` numbers are given by the main thread. */
export interface Operations {
  open_writer: { ask: { handle: number; path: string; options: WriteOptions }; answer: null };
  /** One IPC stream with one batch; answered when the encoder has taken it, which is the back-pressure. */
  write: { ask: { handle: number; ipc: Uint8Array }; answer: null };
  /** Writes the footer, fsyncs, closes. */
  finish_writer: { ask: { handle: number }; answer: WrittenFile };
  open_reader: { ask: { handle: number; path: string }; answer: FileMetadata };
  open_stream: { ask: { handle: number; reader: number; options: StreamOptions }; answer: null };
  /** An IPC stream with one batch, or null at the end. */
  next: { ask: { handle: number }; answer: Uint8Array | null };
  /** Closes a writer (finished or not), a reader or a stream. */
  close: { ask: { handle: number }; answer: null };
}

export type OperationName = keyof Operations;

export interface Request<K extends OperationName = OperationName> {
  readonly id: number;
  readonly operation: K;
  readonly ask: Operations[K]["ask"];
}

/** An error flattened for the way between threads; `code` is the system's (ENOSPC) where there is one. */
export interface ThreadError {
  readonly message: string;
  readonly code?: string;
}

export type Response = { readonly id: number; readonly answer: unknown } | { readonly id: number; readonly error: ThreadError };
