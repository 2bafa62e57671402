import type { Sequence } from "./contract.ts";

/** Bytes of logits that one decoder run may make; a batch with more is run in parts. */
const MAX_LOGIT_BYTES = 768 << 20;

/** Runs of sequences [start, end) whose logits, `rowsOf` rows of the vocabulary each, stay under the limit. */
export function* logitParts(sequences: readonly Sequence[], vocabulary: number, rowsOf: (sequence: Sequence) => number): Generator<[number, number]> {
  const maxRows = MAX_LOGIT_BYTES / (4 * vocabulary);
  let start = 0;
  let rows = 0;
  for (let i = 0; i < sequences.length; i++) {
    const own = rowsOf(sequences[i]!);
    if (i > start && rows + own > maxRows) {
      yield [start, i];
      [start, rows] = [i, 0];
    }
    rows += own;
  }
  if (start < sequences.length) yield [start, sequences.length];
}
