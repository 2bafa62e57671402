import { openAsBlob } from "node:fs";
import { ParquetFile, type RecordBatch, type RowGroupMetaData } from "parquet-wasm";
import type { FileMetadata, StreamOptions } from "./protocol.ts";

/** An open Parquet file on the Parquet thread. Only the bytes of the columns and row groups asked for are read. */
export class FileDecoder {
  readonly #file: ParquetFile;

  private constructor(file: ParquetFile) {
    this.#file = file;
  }

  static async open(path: string): Promise<FileDecoder> {
    return new FileDecoder(await ParquetFile.fromFile(await openAsBlob(path)));
  }

  metadata(): FileMetadata {
    const metadata = this.#file.metadata();
    const file = metadata.fileMetadata();
    const leaf_columns = metadata.numRowGroups() === 0 ? [] : leafColumns(metadata.rowGroup(0));
    const row_groups = metadata.rowGroups().map((group) => {
      const read = { num_rows: group.numRows(), compressed_bytes: group.compressedSize(), uncompressed_bytes: group.totalByteSize() };
      group.free();
      return read;
    });
    const read = {
      num_rows: file.numRows(),
      row_groups,
      leaf_columns,
      created_by: file.createdBy(),
      key_value: Object.fromEntries(file.keyValueMetadata() as Map<string, string>),
      schema_ipc: this.#file.schema().intoIPCStream(),
    };
    file.free();
    metadata.free();
    return read;
  }

  async stream(options: StreamOptions): Promise<BatchStream> {
    const stream = (await this.#file.stream({
      batchSize: options.batch_rows,
      ...(options.columns && { columns: [...options.columns] }),
      ...(options.row_groups && { rowGroups: [...options.row_groups] }),
      ...(options.row_offset && { offset: options.row_offset }),
    })) as ReadableStream<RecordBatch>;
    return new BatchStream(stream);
  }

  close(): void {
    this.#file.free();
  }
}

function leafColumns(group: RowGroupMetaData): string[] {
  const columns = group.columns();
  const paths = columns.map((column) => column.columnPath().join("."));
  for (const column of columns) column.free();
  group.free();
  return paths;
}

/** Batches of one reading, each as the bytes of an Arrow IPC stream. A batch never spans two row groups. */
export class BatchStream {
  readonly #reader: ReadableStreamDefaultReader<RecordBatch>;

  constructor(stream: ReadableStream<RecordBatch>) {
    this.#reader = stream.getReader();
  }

  async next(): Promise<Uint8Array | null> {
    const { value } = await this.#reader.read();
    return value ? value.intoIPCStream() : null;
  }

  async close(): Promise<void> {
    await this.#reader.cancel().catch(() => undefined); // the stream's own error has been reported by next()
  }
}
