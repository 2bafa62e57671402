/**
 * Files that survive a crash whole or not at all. What comes back from here has been fsynced; a folder's entries
 * are made durable by `syncFolder`, which callers do once after several renames.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { naming } from "../file-error.ts";
import { crashPoint } from "./crash-point.ts";

/** Ends the name of everything that is not finished yet; such files may be removed at any time by the lock's holder. */
export const TEMPORARY_SUFFIX = ".tmp";

export function makeFolder(path: string): Promise<unknown> {
  return naming("create", path, () => mkdir(path, { recursive: true }).catch((error: unknown) => explainMissing(path, error)));
}

/** On a read-only file system a recursive mkdir says that the path does not exist; a plain one says why. */
async function explainMissing(path: string, error: unknown): Promise<unknown> {
  if ((error as NodeJS.ErrnoException).code !== "ENOENT" || dirname(path) === path) throw error;
  await mkdir(dirname(path)).catch((reason: NodeJS.ErrnoException) => reason.code !== "EEXIST" && explainMissing(dirname(path), reason));
  return mkdir(path);
}

/** Writes and fsyncs a file under a temporary name, then renames it. */
export async function writeDurably(path: string, content: Uint8Array | string): Promise<void> {
  const temporary = path + TEMPORARY_SUFFIX;
  await naming("write", temporary, async () => {
    await crashPoint("write", temporary);
    const file = await open(temporary, "w");
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
  });
  await move(temporary, path);
}

/** The same, and the folder's entry is durable too. */
export async function writeAndSync(path: string, content: Uint8Array | string): Promise<void> {
  await writeDurably(path, content);
  await syncFolder(dirname(path));
}

export function move(from: string, to: string): Promise<void> {
  return naming("rename", from, async () => {
    await crashPoint("rename", from);
    await rename(from, to);
  });
}

/** Removes a file or folder; nothing happens where there is none. */
export function remove(path: string): Promise<void> {
  return naming("remove", path, async () => {
    await crashPoint("remove", path);
    await rm(path, { recursive: true, force: true });
  });
}

export async function syncFolder(path: string): Promise<void> {
  await naming("sync", path, async () => {
    await crashPoint("sync", path);
    const folder = await open(path, "r");
    try {
      await folder.sync();
    } catch (error) {
      // Some file systems and platforms can't fsync a folder; their renames are as durable as they get.
      if (!["EINVAL", "EPERM", "EISDIR", "ENOTSUP"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
    } finally {
      await folder.close();
    }
  });
}

/** Names in a folder, sorted; none where the folder does not exist. */
export async function namesIn(path: string): Promise<string[]> {
  return naming("list", path, async () => {
    try {
      return (await readdir(path)).sort();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
      throw error;
    }
  });
}

export function sha256(content: Uint8Array | string): string {
  return createHash("sha256").update(content).digest("hex");
}

/** sha256 (hex) and size of a file, or undefined where there is none. Throws the signal's reason once it aborts. */
export async function digestOfFile(path: string, signal?: AbortSignal): Promise<{ readonly digest: string; readonly num_bytes: number } | undefined> {
  const hash = createHash("sha256");
  let num_bytes = 0;
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20 }) as AsyncIterable<Buffer>) {
      signal?.throwIfAborted();
      hash.update(chunk);
      num_bytes += chunk.length;
    }
  } catch (error) {
    signal?.throwIfAborted();
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    return naming("read", path, () => Promise.reject(error as Error));
  }
  return { digest: hash.digest("hex"), num_bytes };
}
