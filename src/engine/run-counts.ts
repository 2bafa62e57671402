import type { SplitRecord } from "../core/output.ts";
import type { RunSummary } from "../core/plan.ts";
import type { RunObserver } from "../core/progress.ts";

/** What happened to the records of all these splits. */
export function sumCounts(records: readonly SplitRecord[]): RunSummary["counts"] {
  const rejects_by_code: Partial<Record<keyof SplitRecord["rejects_by_code"], number>> = {};
  for (const record of records) {
    for (const [code, count] of Object.entries(record.rejects_by_code) as [keyof SplitRecord["rejects_by_code"], number][]) {
      rejects_by_code[code] = (rejects_by_code[code] ?? 0) + count;
    }
  }
  const sum = (read: (record: SplitRecord) => number) => records.reduce((total, record) => total + read(record), 0);
  return {
    num_read: sum((record) => record.num_records),
    num_scored: sum((record) => record.num_scored),
    num_text_only: sum((record) => record.num_text_only),
    num_rejected: Object.values(rejects_by_code).reduce((total, count) => total + count, 0),
    rejects_by_code,
    num_tokens: sum((record) => record.num_tokens),
    num_truncated_tokens: sum((record) => record.num_truncated_tokens),
    num_unknown_tokens: sum((record) => record.num_unknown_tokens),
  };
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
