import { rmdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { RecordBatch } from "apache-arrow";
import type { ShardFolder, ShardReport, SplitRecord } from "../../core/output.ts";
import { type Shard, shardName } from "../../core/shard.ts";
import { assertSameCount, shardFolder, shardJournal, shardReport } from "./begun-shards.ts";
import { CommittedSplits } from "./committed-splits.ts";
import { makeFolder, namesIn, remove, writeAndSync } from "./durable-file.ts";
import { Journal, type JournalEntry } from "./journal.ts";
import { FolderLock } from "./lock.ts";
import type { OutputFolderOptions } from "./output-folder.ts";
import { agreeOnPlan, assertSamePlan, readScoresPlan, writeScoresPlan } from "./scores-plan.ts";
import { StagedSplits } from "./staged-splits.ts";

/**
 * One shard of an output folder, under its own lock and with its own journal; what it stages lies where the whole
 * folder's next holder looks for it (docs/adr/0008-shards.md). Splits that the folder's journal has are done.
 * Throws LockedError where this shard or the whole folder is held, PlanError where plans or numbers of shards differ.
 */
export async function openShardFolder(shard: Shard, options: OutputFolderOptions): Promise<ShardFolder> {
  const path = resolve(options.path);
  const work = join(path, "_work");
  const own = shardFolder(work, shard);
  await makeFolder(own);
  const lock = await FolderLock.acquire(own, `shard ${shardName(shard)} of ${path}`);
  try {
    await lock.assertFree(work, path);
    await assertSameCount(path, work, shard);
    if (options.fresh) for (const name of await namesIn(own)) if (!name.startsWith("lock-")) await remove(join(own, name));
    await agree(shard, path, work, options);
    const merged = options.fresh ? [] : await Journal.read(join(work, "journal.jsonl"));
    const { journal, entries } = await Journal.open(shardJournal(work, shard));
    try {
      const staged = await StagedSplits.open(join(work, "splits"), options.signal);
      const damaged: string[] = [];
      const splits = replay([...merged, ...entries], options.scores_hash);
      for (const entry of replay(entries, options.scores_hash).journalEntries()) {
        const { split_digest } = entry.record;
        const files = [["scores", entry.scores], ["rejects", entry.rejects]] as const;
        for (const [what, file] of files) {
          const broken = file && (await staged.findBroken(split_digest, what, file));
          if (!broken) continue;
          splits.delete(split_digest);
          if (broken.is_there) damaged.push(broken.path);
        }
      }
      const folder = new LockedShardFolder({ path, work, shard, options, lock, journal, splits, staged, damaged });
      if (options.retry_rejects) await folder.forgetRejects();
      return folder;
    } catch (error) {
      await journal.close();
      throw error;
    }
  } catch (error) {
    await lock.release();
    await leaveIfEmpty(own);
    throw error;
  }
}

/** With the shard's own plan, or before its first run with the whole folder's. */
async function agree(shard: Shard, path: string, work: string, options: OutputFolderOptions): Promise<void> {
  const wanted = { scores_hash: options.scores_hash, plan: options.scores_plan };
  const own = shardFolder(work, shard);
  const stored = await readScoresPlan(own);
  if (stored) return assertSamePlan(`shard ${shardName(shard)} of ${path}`, stored, wanted);
  if (!options.fresh) await agreeOnPlan(path, work, wanted, { writes: false });
  await writeScoresPlan(own, wanted);
}

function replay(entries: readonly JournalEntry[], scores_hash: string): CommittedSplits {
  const splits = new CommittedSplits();
  for (const entry of entries) {
    if (entry.scores_hash !== scores_hash) continue;
    if (entry.kind === "split") splits.add(entry);
    else if (entry.kind === "forget") splits.delete(entry.split_digest);
  }
  return splits;
}

/** Removes the folder of a shard that has nothing to tell. */
async function leaveIfEmpty(folder: string): Promise<void> {
  await rmdir(folder).catch(() => undefined); // something is in it
}

interface Parts {
  readonly path: string;
  readonly work: string;
  readonly shard: Shard;
  readonly options: OutputFolderOptions;
  readonly lock: FolderLock;
  readonly journal: Journal;
  readonly splits: CommittedSplits;
  readonly staged: StagedSplits;
  readonly damaged: readonly string[];
}

class LockedShardFolder implements ShardFolder {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  get path(): string {
    return this.#parts.path;
  }

  get damaged(): readonly string[] {
    return this.#parts.damaged;
  }

  committed(): ReadonlyMap<string, SplitRecord> {
    return this.#parts.splits;
  }

  async forgetRejects(): Promise<void> {
    const { splits, journal, options: { scores_hash } } = this.#parts;
    for (const { rejects, record: { split_digest } } of [...splits.journalEntries()]) {
      if (!rejects) continue;
      await journal.append({ kind: "forget", scores_hash, split_digest });
      splits.delete(split_digest);
    }
  }

  async commitSplit(record: SplitRecord, scores: RecordBatch, rejects: RecordBatch): Promise<void> {
    const { lock, staged, journal, splits, options: { scores_hash } } = this.#parts;
    await lock.assertHeld();
    const entry = await staged.stage(scores_hash, record, scores, rejects);
    await journal.append(entry);
    splits.add(entry);
  }

  /** Parts hold splits of all shards: the merge makes them. */
  writeFullParts(split_digests: readonly string[]): Promise<number> {
    return Promise.resolve(split_digests.length);
  }

  async finish(report: ShardReport): Promise<void> {
    const { work, shard } = this.#parts;
    await writeAndSync(shardReport(work, shard), `${JSON.stringify(report, null, 2)}\n`);
  }

  async close(): Promise<void> {
    const { work, shard, journal, lock } = this.#parts;
    const own = shardFolder(work, shard);
    await journal.close();
    const isIdle = journal.num_bytes === 0 && !(await namesIn(own)).includes("report.json");
    if (isIdle) for (const name of ["plan.json", "journal.jsonl"]) await remove(join(own, name));
    await lock.release();
    await leaveIfEmpty(own);
  }
}
