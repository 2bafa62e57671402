import { randomBytes } from "node:crypto";
import { readFile, stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { LockedError, StageError } from "../../core/errors.ts";
import { namesIn, remove, TEMPORARY_SUFFIX, writeDurably } from "./durable-file.ts";
import { isRunning, type ProcessIdentity, thisProcess } from "./process-identity.ts";

const HEARTBEAT_MS = 30_000;
/** A holder that can't be seen from here (another machine or container) counts as gone after this long a silence. */
const SILENCE_MS = 20 * HEARTBEAT_MS;
const ATTEMPTS = 20;

interface Owner extends ProcessIdentity {
  /** Milliseconds since 1970, for the message. */
  readonly since: number;
}

/**
 * One process at a time in a folder. Every contender first writes a file of its own and then looks for others', so
 * of two at least one sees the other and steps back; nobody ever takes over a file of somebody else, so there is
 * no moment at which two both believe they did. A second file marks the one that holds the folder. Files of
 * processes that have ended are ignored, and removed by the next holder.
 */
export class FolderLock {
  readonly #folder: string;
  readonly #name: string;
  readonly #heartbeat: NodeJS.Timeout;

  private constructor(folder: string, name: string) {
    this.#folder = folder;
    this.#name = name;
    this.#heartbeat = setInterval(() => void touch(join(folder, name)), HEARTBEAT_MS).unref();
  }

  /** Throws LockedError with pid, host and age where a process that runs holds the folder, which messages call `what`. */
  static async acquire(folder: string, what = folder): Promise<FolderLock> {
    const owner: Owner = { ...thisProcess(), since: Date.now() };
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const name = `lock-${owner.pid}-${randomBytes(6).toString("hex")}`;
      let isHeld = false;
      try {
        isHeld = await contend(folder, name, owner, what);
        if (isHeld) return new FolderLock(folder, name);
      } finally {
        // Also where a full disk ends it: this process may live on, and its file would keep everybody out.
        if (!isHeld) await removeLock(folder, name);
      }
      // Somebody contends as well: one of us will be first next time, the more surely the further apart we come, also on a slow disk.
      await sleep(20 + Math.random() * 180 * (attempt + 1));
    }
    throw new LockedError(`${what}: other processes keep contending for this folder`, { remedy: "start one run at a time" });
  }

  /** Throws StageError where somebody has removed the lock, for then another run may be writing. */
  async assertHeld(): Promise<void> {
    try {
      await stat(join(this.#folder, `${this.#name}.held`));
    } catch (error) {
      throw new StageError(`${this.#folder}: this run's lock was removed while it ran`, {
        cause: error,
        remedy: "make sure that no other run writes there, then run again: it continues",
      });
    }
  }

  /**
   * Throws LockedError where a process that runs holds or wants another folder, of the same file system, that must be
   * free as long as this one is held. Of two that each hold one and look at the other's, at least one steps back.
   */
  async assertFree(other: string, what: string): Promise<void> {
    const { running } = await othersThan(other, this.#name, await touchedAt(join(this.#folder, this.#name)));
    if (running[0]) throw lockedBy(other, what, running[0]);
  }

  async release(): Promise<void> {
    clearInterval(this.#heartbeat);
    await removeLock(this.#folder, this.#name);
  }
}

/** Whether the folder is this process's now. Throws LockedError where another holds it. */
async function contend(folder: string, name: string, owner: Owner, what: string): Promise<boolean> {
  await writeDurably(join(folder, name), JSON.stringify(owner));
  const { running, ended } = await othersThan(folder, name, await touchedAt(join(folder, name)));
  const holder = running.find((other) => other.holds);
  if (holder) throw lockedBy(folder, what, holder);
  if (running.length > 0) return false;
  await writeDurably(join(folder, `${name}.held`), "");
  for (const other of ended) await removeLock(folder, other);
  await removeUnfinished(folder);
  return true;
}

interface Seen {
  readonly name: string;
  readonly owner: Owner;
  readonly holds: boolean;
}

/** By the file system's clock, which the heartbeats are in too. */
async function touchedAt(path: string): Promise<number> {
  return (await stat(path)).mtimeMs;
}

async function othersThan(folder: string, own: string, now: number): Promise<{ running: Seen[]; ended: string[] }> {
  const names = await namesIn(folder);
  const running: Seen[] = [];
  const ended: string[] = [];
  for (const name of names) {
    if (!/^lock-\d+-[0-9a-f]+$/.test(name) || name === own) continue;
    const owner = await readOwner(join(folder, name));
    if (!owner) continue; // gone since it was listed
    if (await isHeldStill(join(folder, name), owner, now)) running.push({ name, owner, holds: names.includes(`${name}.held`) });
    else ended.push(name);
  }
  return { running, ended };
}

async function isHeldStill(path: string, owner: Owner, now: number): Promise<boolean> {
  const running = isRunning(owner);
  if (running !== "unknown") return running === "yes";
  const touched = await stat(path).catch(() => undefined);
  return touched !== undefined && now - touched.mtimeMs < SILENCE_MS;
}

async function readOwner(path: string): Promise<Owner | undefined> {
  try {
    return JSON.parse(await readFile(path, "utf8")) as Owner;
  } catch {
    return undefined; // locks appear whole, by rename: what can't be read has just been removed
  }
}

/** Temporary files that a crash left; young ones may be of a process that is about to contend. */
async function removeUnfinished(folder: string): Promise<void> {
  for (const name of await namesIn(folder)) {
    if (!name.startsWith("lock-") || !name.endsWith(TEMPORARY_SUFFIX)) continue;
    const stats = await stat(join(folder, name)).catch(() => undefined);
    if (stats && Date.now() - stats.mtimeMs > SILENCE_MS) await remove(join(folder, name));
  }
}

async function removeLock(folder: string, name: string): Promise<void> {
  for (const file of [`${name}.held`, name]) {
    await remove(join(folder, file + TEMPORARY_SUFFIX));
    await remove(join(folder, file));
  }
}

async function touch(path: string): Promise<void> {
  const now = new Date();
  await utimes(path, now, now).catch(() => undefined); // assertHeld reports a lock that is gone
}

function lockedBy(folder: string, what: string, { name, owner }: Seen): LockedError {
  const minutes = Math.max(0, Math.round((Date.now() - owner.since) / 60_000));
  const age = minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return new LockedError(`${what} is held by process ${owner.pid} on ${owner.host}, since ${age}`, {
    remedy: `wait until it ends or stop it; if it is surely gone, remove ${join(folder, name)}`,
  });
}
