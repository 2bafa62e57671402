import { join } from "node:path";
import { CommittedSplits } from "./committed-splits.ts";
import type { JournalEntry, PartEntry, SplitEntry } from "./journal.ts";
import { PartFiles } from "./part-files.ts";
import { type BrokenFile, StagedSplits } from "./staged-splits.ts";

/** What an earlier run left and what of it is whole. */
export interface Recovered {
  readonly splits: CommittedSplits;
  readonly staged: StagedSplits;
  readonly parts: PartFiles;
  /** Paths of files that are there and not as the journal says. */
  readonly damaged: readonly string[];
  /** Splits that the journal has and the disk has not. */
  readonly lost: readonly string[];
}

/**
 * Replays the journal and holds it against the files. A split counts as committed where its scores are whole,
 * staged or inside a whole part, and its rejects are whole too; any other is forgotten and done again. Files that
 * the journal does not know are removed (in scores/ the next publication does it: they hold nothing we need).
 */
export async function recover(path: string, work: string, entries: readonly JournalEntry[], scores_hash: string, signal?: AbortSignal): Promise<Recovered> {
  const splits = new CommittedSplits();
  const known_parts = new Map<string, PartEntry>();
  for (const entry of entries) {
    if (entry.scores_hash !== scores_hash) continue;
    if (entry.kind === "split") splits.add(entry);
    else if (entry.kind === "forget") splits.delete(entry.split_digest);
    else known_parts.set(entry.digest, entry);
  }
  const staged = await StagedSplits.open(join(work, "splits"), signal);
  const parts = await PartFiles.open(join(work, "parts"), join(path, "scores"), known_parts, signal);
  const in_parts = new Set(parts.entries.flatMap((part) => part.splits.map(([split, scores]) => split + scores)));
  const damaged = [...parts.damaged];
  const lost: string[] = [];
  const isPublished = (entry: SplitEntry) => entry.scores !== null && in_parts.has(entry.record.split_digest + entry.scores.digest);
  for (const entry of [...splits.journalEntries()]) {
    const broken = await brokenFile(entry, staged, isPublished(entry));
    if (broken === undefined) continue;
    splits.delete(entry.record.split_digest);
    lost.push(entry.record.split_digest);
    if (broken.is_there) damaged.push(broken.path);
  }
  await staged.sweep(splits.journalEntries(), isPublished);
  return { splits, staged, parts, damaged, lost };
}

/** The first of the split's files that is missing (a part that is gone had it) or damaged; undefined: it is whole. */
async function brokenFile(entry: SplitEntry, staged: StagedSplits, is_published: boolean): Promise<BrokenFile | undefined> {
  const { split_digest } = entry.record;
  if (entry.rejects) {
    const broken = await staged.findBroken(split_digest, "rejects", entry.rejects);
    if (broken) return broken;
  }
  return entry.scores && !is_published ? staged.findBroken(split_digest, "scores", entry.scores) : undefined;
}
