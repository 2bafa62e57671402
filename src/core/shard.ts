import type { Split } from "./source.ts";

/** One of several runs that share a job: each scores its own splits, `pipeline merge` does the rest. */
export interface Shard {
  /** From 0. */
  readonly index: number;
  readonly count: number;
}

/** "3/16", as it is given on the command line. */
export function shardName({ index, count }: Shard): string {
  return `${index}/${count}`;
}

/**
 * Splits are dealt out one by one, so that a part of the input that is slow to score is everybody's, and rows that
 * are appended change no shard's earlier splits (docs/adr/0008-shards.md).
 */
export function shardOfSplit(split: Pick<Split, "index">, count: number): number {
  return split.index % count;
}
