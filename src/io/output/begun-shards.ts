import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { PlanError } from "../../core/errors.ts";
import type { BegunShard, ShardReport } from "../../core/output.ts";
import { type Shard, shardName } from "../../core/shard.ts";
import { namesIn, remove, syncFolder } from "./durable-file.ts";
import { Journal, type JournalEntry } from "./journal.ts";
import type { FolderLock } from "./lock.ts";
import { assertSamePlan, readScoresPlan, type ScoresPlan } from "./scores-plan.ts";

/** Under the work folder: a folder for each shard, with its plan, journal, report and locks. Staged splits lie with everybody's. */
const SHARDS = "shards";
const JOURNAL = "journal.jsonl";
const REPORT = "report.json";

export function shardFolder(work: string, { index, count }: Shard): string {
  return join(work, SHARDS, `${index}-of-${count}`);
}

export function shardJournal(work: string, shard: Shard): string {
  return join(shardFolder(work, shard), JOURNAL);
}

export function shardReport(work: string, shard: Shard): string {
  return join(shardFolder(work, shard), REPORT);
}

/** The shards that have a folder, by number. */
export async function begunShards(work: string): Promise<BegunShard[]> {
  const shards: BegunShard[] = [];
  for (const name of await namesIn(join(work, SHARDS))) {
    const match = /^(\d+)-of-(\d+)$/.exec(name);
    if (!match) continue;
    const shard = { index: Number(match[1]), count: Number(match[2]) };
    const report = await readReport(shardReport(work, shard));
    shards.push({ ...shard, ...(report && { report }) });
  }
  return shards.sort((a, b) => a.count - b.count || a.index - b.index);
}

/** The whole folder's holder makes sure that no shard runs; those that start from now on see that it is held. */
export async function assertNoShardRuns(path: string, work: string, shards: readonly Shard[], lock: FolderLock): Promise<void> {
  for (const shard of shards) await lock.assertFree(shardFolder(work, shard), `shard ${shardName(shard)} of ${path}`);
}

/** Whether there is a shard at all. Throws PlanError naming the one that was scored by another plan, and the difference. */
export async function assertShardsAgree(path: string, work: string, shards: readonly Shard[], wanted: ScoresPlan): Promise<boolean> {
  let isAny = false;
  for (const shard of shards) {
    const stored = await readScoresPlan(shardFolder(work, shard));
    if (!stored) continue;
    isAny = true;
    assertSamePlan(`shard ${shardName(shard)} of ${path}`, stored, wanted, `run that shard again with this configuration, with --fresh --shard ${shardName(shard)}, or merge with the other`);
  }
  return isAny;
}

/** Throws PlanError where shards of another count have been begun: their splits are not this one's. */
export async function assertSameCount(path: string, work: string, { count, index }: Shard): Promise<void> {
  const other = (await begunShards(work)).find((shard) => shard.count !== count);
  if (!other) return;
  throw new PlanError(`shard ${index}/${count}: ${path} is being made by ${other.count} shards, of which ${shardName(other)} has been begun`, {
    remedy: `use --shard ${Math.min(index, other.count - 1)}/${other.count}; or merge first, or remove ${join(work, SHARDS)} to score those splits again`,
  });
}

/**
 * Takes what the shards have committed into the folder's own journal. The shards' folders stay, empty, to say how many
 * there are. A crash in between is harmless: the same entries are taken in once more.
 */
export async function takeIn(work: string, shards: readonly Shard[], journal: Journal): Promise<JournalEntry[]> {
  const taken: JournalEntry[] = [];
  for (const shard of shards) {
    const file = shardJournal(work, shard);
    const entries = await Journal.read(file);
    if (entries.length > 0) await journal.append(...entries);
    await remove(file);
    await syncFolder(shardFolder(work, shard));
    taken.push(...entries);
  }
  return taken;
}

/** Once all is merged. A shard that is just starting sees that the folder is held, and leaves by itself. */
export async function removeShards(work: string): Promise<void> {
  await remove(join(work, SHARDS)).catch(() => undefined);
}

async function readReport(path: string): Promise<ShardReport | undefined> {
  try {
    return JSON.parse(await readFile(path, "utf8")) as ShardReport;
  } catch {
    return undefined; // written by rename; without it the manifest says less
  }
}
