import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { PlanError } from "../../core/errors.ts";
import { makeFolder, move, namesIn, remove, syncFolder, TEMPORARY_SUFFIX, writeDurably } from "../output/durable-file.ts";

/** Says what made the folder. Readers of data sets skip names that begin with a dot. */
const DESCRIPTION = ".vig-export.json";

/**
 * A folder that appears whole or not at all, in place of an earlier export. Only folders that are empty or that an
 * export made are replaced. Throws PlanError for any other.
 */
export class ExportFolder {
  readonly path: string;
  /** Where its files are written until `publish`. */
  readonly temporary: string;

  private constructor(path: string) {
    this.path = path;
    this.temporary = path + TEMPORARY_SUFFIX;
  }

  static async create(target: string): Promise<ExportFolder> {
    const path = resolve(target);
    const names = await namesIn(path);
    if (names.length > 0 && !names.includes(DESCRIPTION)) {
      throw new PlanError(`${target} holds files that no export made`, { remedy: "choose another folder with --out, or empty it" });
    }
    const folder = new ExportFolder(path);
    await remove(folder.temporary);
    await makeFolder(folder.temporary);
    return folder;
  }

  async publish(description: Readonly<Record<string, unknown>>): Promise<void> {
    await writeDurably(join(this.temporary, DESCRIPTION), `${JSON.stringify(description, null, 2)}\n`);
    await syncFolder(this.temporary);
    const old = `${this.temporary}.old`;
    await remove(old);
    if (existsSync(this.path)) await move(this.path, old);
    await move(this.temporary, this.path);
    await syncFolder(dirname(this.path));
    await remove(old);
  }

  /** Removes what was written. Safe after publish. */
  async discard(): Promise<void> {
    await remove(this.temporary);
  }
}
