import { open, type FileHandle } from "node:fs/promises";
import { asFileError } from "../file-error.ts";
import { appendRowGroup, endOfFile, type NamedChunk, START_OF_FILE } from "../parquet/select-file.ts";
import type { ThriftStruct } from "../parquet/select-thrift.ts";

/** A part being written: bytes in order, the footer last. */
export class PartFile {
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #template: ThriftStruct;
  readonly #groups: ThriftStruct[] = [];
  numRows = 0;
  numBytes = START_OF_FILE.length;

  private constructor(path: string, file: FileHandle, template: ThriftStruct) {
    this.#path = path;
    this.#file = file;
    this.#template = template;
  }

  static async open(path: string, template: ThriftStruct): Promise<PartFile> {
    try {
      const file = await open(path, "w");
      await file.write(START_OF_FILE);
      return new PartFile(path, file, template);
    } catch (error) {
      throw asFileError(error, "write", path);
    }
  }

  async append(numRows: number, chunks: readonly NamedChunk[]): Promise<void> {
    this.#groups.push(appendRowGroup(this.numBytes, this.#groups.length, numRows, chunks));
    for (const { chunk } of chunks) await this.#write(chunk.bytes);
    this.numRows += numRows;
  }

  async finish(): Promise<void> {
    await this.#write(endOfFile(this.#template, this.numRows, this.#groups));
    await this.#file.sync();
    await this.#file.close();
  }

  async abandon(): Promise<void> {
    await this.#file.close();
  }

  async #write(bytes: Uint8Array): Promise<void> {
    try {
      for (let at = 0; at < bytes.length; ) at += (await this.#file.write(bytes, at)).bytesWritten;
    } catch (error) {
      throw asFileError(error, "write", this.#path);
    }
    this.numBytes += bytes.length;
  }
}
