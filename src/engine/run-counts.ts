import type { SplitRecord, SplitStore } from "../core/output.ts";
import type { RunSummary } from "../core/plan.ts";
import type { RunObserver } from "../core/progress.ts";
import type { RejectCode } from "../core/rejects.ts";

/** What happened to the records of all these splits. Goes through them once and keeps none. */
export function sumCounts(records: Iterable<SplitRecord>): RunSummary["counts"] {
  const rejects_by_code: Partial<Record<RejectCode, number>> = {};
  const sums = { num_read: 0, num_scored: 0, num_text_only: 0, num_rejected: 0, num_tokens: 0, num_truncated_tokens: 0, num_unknown_tokens: 0 };
  for (const record of records) {
    for (const [code, count] of Object.entries(record.rejects_by_code) as [RejectCode, number][]) {
      rejects_by_code[code] = (rejects_by_code[code] ?? 0) + count;
      sums.num_rejected += count;
    }
    sums.num_read += record.num_records;
    sums.num_scored += record.num_scored;
    sums.num_text_only += record.num_text_only;
    sums.num_tokens += record.num_tokens;
    sums.num_truncated_tokens += record.num_truncated_tokens;
    sums.num_unknown_tokens += record.num_unknown_tokens;
  }
  return { ...sums, rejects_by_code };
}

export function warnOfTokens(counts: RunSummary["counts"], observer: RunObserver): void {
  const share = (count: number) => `${count} of ${counts.num_tokens} answer tokens (${((100 * count) / counts.num_tokens).toFixed(1)}%)`;
  if (counts.num_unknown_tokens > 0) {
    const message = `${share(counts.num_unknown_tokens)} are unknown to the model's tokenizer; their VIG means little`;
    observer.report({ event: "warning", code: "unknown_tokens", message });
  }
  if (counts.num_truncated_tokens > 0) {
    const message = `max_length cut off ${counts.num_truncated_tokens} answer tokens, beside the ${counts.num_tokens} that were scored`;
    observer.report({ event: "warning", code: "truncated_tokens", message });
  }
}

export function warnOfDamage(damaged: readonly string[], observer: RunObserver): void {
  for (const file of damaged) {
    observer.report({ event: "warning", code: "part_damaged", message: `${file} is not as it was written: what it held is scored again` });
  }
}

/** Unfolded one at a time, each time they are gone through: together their histograms would be the largest thing in memory. */
export function recordsOf(output: SplitStore, digests: readonly string[]): Iterable<SplitRecord> {
  return {
    *[Symbol.iterator]() {
      for (const digest of digests) yield output.committed().get(digest)!;
    },
  };
}
