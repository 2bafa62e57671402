import { type FileHandle, open } from "node:fs/promises";
import { naming } from "../file-error.ts";

const BUFFER_BYTES = 2 ** 20;

/** A text file written piece by piece, in UTF-8. Memory bound: one buffer and one piece. */
export class TextFileWriter {
  readonly #path: string;
  readonly #file: FileHandle;
  #pieces: string[] = [];
  #length = 0;

  private constructor(path: string, file: FileHandle) {
    this.#path = path;
    this.#file = file;
  }

  static async create(path: string): Promise<TextFileWriter> {
    return new TextFileWriter(path, await naming("write", path, () => open(path, "w")));
  }

  async write(text: string): Promise<void> {
    this.#pieces.push(text);
    this.#length += text.length;
    if (this.#length >= BUFFER_BYTES) await this.#flush();
  }

  /** Writes the rest, fsyncs and closes. */
  async finish(): Promise<void> {
    await this.#flush();
    await naming("write", this.#path, () => this.#file.sync());
    await this.#file.close();
  }

  /** Closes the file as it is. Safe after finish. */
  async abandon(): Promise<void> {
    await this.#file.close().catch(() => undefined);
  }

  async #flush(): Promise<void> {
    const bytes = Buffer.from(this.#pieces.join(""), "utf8");
    this.#pieces = [];
    this.#length = 0;
    // writeFile writes on from where the handle stands, and all of it.
    await naming("write", this.#path, () => this.#file.writeFile(bytes));
  }
}
