import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, readFile, realpath, rename, stat, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";

/** The folder of what can be made again: digests, cut graphs. VIG_CACHE_DIR, else the user's cache folder. */
export function cacheFolder(): string {
  const own = process.env["VIG_CACHE_DIR"];
  if (own) return own;
  const base = process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache");
  return join(base, "vig-pipeline");
}

/** Writes a cache file by rename; a cache that can't be written is no error. */
export async function writeCacheFile(path: string, content: string | Uint8Array): Promise<boolean> {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    await mkdir(join(path, ".."), { recursive: true });
    await writeFile(temporary, content);
    await rename(temporary, path);
    return true;
  } catch {
    return false;
  }
}

/** Below this a file is read again every time: cheaper than trusting a time stamp. */
const CACHED_FROM_BYTES = 8 << 20;

/**
 * sha256 (hex) of a file's content.
 * Memory: a stream's buffer. Digests of large files are cached by real path, size and modification time.
 */
export async function fileDigest(path: string): Promise<string> {
  const real = await realpath(path);
  const { size, mtimeMs } = await stat(real);
  if (size < CACHED_FROM_BYTES) return createHash("sha256").update(await readFile(real)).digest("hex");
  const key = createHash("sha256").update(`${real}\0${size}\0${mtimeMs}`).digest("hex");
  const cached = join(cacheFolder(), "digests", key);
  const known = await readFile(cached, "utf8").catch(() => "");
  if (/^[0-9a-f]{64}$/.test(known)) return known;
  const hash = createHash("sha256");
  for await (const bytes of createReadStream(real, { highWaterMark: 1 << 20 })) hash.update(bytes as Uint8Array);
  const digest = hash.digest("hex");
  await writeCacheFile(cached, digest);
  return digest;
}
