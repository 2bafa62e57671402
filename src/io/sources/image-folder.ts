import { closeSync, constants, fstatSync, open, read } from "node:fs";
import { realpath, stat } from "node:fs/promises";
import { join, sep } from "node:path";
import { promisify } from "node:util";
import type { ImageReject } from "../../core/stage.ts";
import { PlanError } from "../../core/errors.ts";
import { asFileError } from "../file-error.ts";

const [openFile, readFile] = [promisify(open), promisify(read)];

/** What the system says where a path leads to nothing. */
const MISSING = new Set(["ENOENT", "ENOTDIR", "ELOOP", "ENAMETOOLONG"]);

/**
 * Reads image files inside one folder and nowhere else: keys with `..`, absolute ones, URLs, and links that lead
 * out are rejected. Only regular files are read, and none beyond the limit.
 */
export class ImageFolder {
  readonly #root: string;
  readonly #max_image_bytes: number;
  #real_root: Promise<string> | undefined;

  constructor(root: string, max_image_bytes: number) {
    this.#root = root;
    this.#max_image_bytes = max_image_bytes;
  }

  /** Rejects: image_path_outside_root, image_not_found, image_too_large. Throws PlanError where the folder itself is missing. */
  async read(key: string): Promise<Uint8Array | ImageReject> {
    const problem = keyProblem(key);
    if (problem) return { code: "image_path_outside_root", message: `${excerpt(key)} ${problem}` };
    const root = await (this.#real_root ??= this.#findRoot());
    try {
      const path = await realpath(join(root, key));
      if (!path.startsWith(root.endsWith(sep) ? root : root + sep)) return { code: "image_path_outside_root", message: `${excerpt(key)} is a link that leaves image_root` };
      return await this.#readFile(path, key);
    } catch (error) {
      if (MISSING.has((error as NodeJS.ErrnoException).code ?? "")) return { code: "image_not_found", message: `no file ${excerpt(key)} in image_root` };
      throw asFileError(error, "read", join(root, key));
    }
  }

  async #readFile(path: string, key: string): Promise<Uint8Array | ImageReject> {
    // Not blocking: opening a named pipe must not wait for a writer. Not following: the path is resolved already.
    const file = await openFile(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0));
    // What the system knows of an open file costs less than a way to libuv's threads and back.
    try {
      const stats = fstatSync(file);
      if (!stats.isFile()) return { code: "image_not_found", message: `${excerpt(key)} is not a file` };
      if (stats.size > this.#max_image_bytes) return tooLarge(key, stats.size, this.#max_image_bytes);
      return await readWhole(file, stats.size);
    } finally {
      closeSync(file);
    }
  }

  async #findRoot(): Promise<string> {
    const remedy = "correct source.image_root";
    try {
      const root = await realpath(this.#root);
      if ((await stat(root)).isDirectory()) return root;
    } catch (error) {
      throw new PlanError(`image_root ${this.#root} can't be opened: ${(error as Error).message}`, { cause: error, remedy });
    }
    throw new PlanError(`image_root ${this.#root} is a file, not a folder`, { remedy });
  }
}

/** The file's first `size` bytes; fewer where it has become shorter. */
async function readWhole(file: number, size: number): Promise<Uint8Array> {
  const bytes = Buffer.allocUnsafeSlow(size);
  let end = 0;
  while (end < size) {
    const { bytesRead } = await readFile(file, bytes, end, size - end, null);
    if (bytesRead === 0) break;
    end += bytesRead;
  }
  return bytes.subarray(0, end);
}

/** Why a key may not be looked up at all; undefined: it may. */
export function keyProblem(key: string): string | undefined {
  if (key === "" || key.includes("\0")) return "is no path";
  if (/^[a-z][a-z0-9+.-]*:/i.test(key)) return "is a URL or a drive path";
  if (/^[/\\]/.test(key)) return "is an absolute path";
  if (key.split(/[/\\]/).includes("..")) return "has .. in it";
  return undefined;
}

export function tooLarge(key: string, size: number, limit: number): ImageReject {
  return { code: "image_too_large", message: `${excerpt(key)} has ${size} bytes, more than max_image_bytes (${limit})` };
}

/** A key as a message may show it. */
export function excerpt(key: string): string {
  return JSON.stringify(key.length > 120 ? `${key.slice(0, 117)}...` : key);
}
