import { join } from "node:path";
import { makeFolder, move, remove, syncFolder, TEMPORARY_SUFFIX } from "./durable-file.ts";
import { partFileName } from "./part-layout.ts";

/**
 * The folder of a data set that is being written: parts lie among the temporary ones and are swapped in whole by rename.
 * Inside the temporary folder no name ends in `.parquet`: readers' globs must not find half a data set.
 */
export class DatasetFolder {
  readonly #temporary: string;
  readonly #target: string;
  #num_parts = 0;
  #published = false;

  private constructor(temporary: string, target: string) {
    this.#temporary = temporary;
    this.#target = target;
  }

  /** `temporary` and `target` are on one file system. */
  static async open(temporary: string, target: string): Promise<DatasetFolder> {
    await remove(temporary);
    await makeFolder(temporary);
    return new DatasetFolder(temporary, target);
  }

  get num_parts(): number {
    return this.#num_parts;
  }

  /** Where the part that is being written lies. */
  get part_path(): string {
    return join(this.#temporary, partFileName(this.#num_parts) + TEMPORARY_SUFFIX);
  }

  /** The part at part_path is whole and durable. */
  finishPart(): void {
    this.#num_parts++;
  }

  async publish(): Promise<readonly string[]> {
    const parts = Array.from({ length: this.#num_parts }, (_, i) => partFileName(i));
    for (const name of parts) await move(join(this.#temporary, name + TEMPORARY_SUFFIX), join(this.#temporary, name));
    await syncFolder(this.#temporary);
    await this.#swapIn();
    this.#published = true;
    return parts;
  }

  async discard(): Promise<void> {
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
}
