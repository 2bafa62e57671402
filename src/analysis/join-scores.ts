/** The same samples in several runs' scores, side by side. */
import type { Float64, List, RecordBatch, Utf8 } from "apache-arrow";
import { columnData, isNull, numericListValue, utf8ListValue, utf8Value } from "../core/record-batch.ts";
import { PlanError } from "../core/errors.ts";
import type { ScoresFolder } from "../report/scores-folder.ts";

export interface ScoredRow {
  /** null: text-only. */
  readonly vig: number | null;
  readonly token_vig: Float32Array | null;
  readonly token_id: Int32Array;
  readonly images: readonly string[];
}

export interface Unmatched {
  /** Samples of each folder that are not in all the others, as far as was looked. */
  readonly num_unmatched: readonly number[];
}

/** Rows that wait for their partners, of all folders together. */
const MAX_WAITING = 65_536;
const COLUMNS = ["sample_id", "vig", "token_vig", "token_id", "images"];

/**
 * Calls `visit` with every sample that is in all folders, matched by sample_id. Runs of the same data have the same order,
 * with a few rows missing where they were rejected, so that a partner is near: a row waits for it until 65,536 others do.
 * Throws PlanError where fewer than half of a folder's samples are found in the others.
 */
export async function joinScores(folders: readonly ScoresFolder[], visit: (rows: readonly ScoredRow[]) => void, signal: AbortSignal): Promise<Unmatched> {
  const waiting = new Map<string, (ScoredRow | undefined)[]>();
  const num_unmatched = folders.map(() => 0);
  let num_joined = 0;
  const leave = (rows: readonly (ScoredRow | undefined)[]): void => rows.forEach((row, place) => row && num_unmatched[place]!++);
  const arrive = (place: number, id: string, row: ScoredRow): void => {
    const rows = waiting.get(id) ?? Array<ScoredRow | undefined>(folders.length).fill(undefined);
    rows[place] = row;
    if (rows.every((one) => one !== undefined)) {
      waiting.delete(id);
      num_joined++;
      return visit(rows);
    }
    waiting.set(id, rows);
    if (waiting.size <= MAX_WAITING) return;
    const [oldest, left] = waiting.entries().next().value!;
    waiting.delete(oldest);
    leave(left);
  };
  await readInStep(folders, arrive, signal);
  const example = waiting.keys().next().value;
  for (const rows of waiting.values()) leave(rows);
  const smallest = Math.min(...folders.map((folder) => folder.num_rows));
  if (num_joined * 2 < smallest || smallest === 0) {
    const paths = folders.map((folder) => folder.path).join(" and ");
    throw new PlanError(`${paths} are not scores of the same samples: ${num_joined} sample_ids of ${smallest} were found in all of them${example === undefined ? "" : `; ${JSON.stringify(example)} was not`}`, {
      remedy: "compare runs of the same input, in the same order",
    });
  }
  return { num_unmatched };
}

/** Reads on in the folder that is furthest behind. */
async function readInStep(folders: readonly ScoresFolder[], arrive: (place: number, id: string, row: ScoredRow) => void, signal: AbortSignal): Promise<void> {
  const readers = folders.map((folder, place) => ({ place, num_read: 0, batches: folder.scores(COLUMNS, signal) }));
  const open = new Set(readers);
  try {
    while (open.size > 0) {
      const behind = [...open].reduce((a, b) => (b.num_read < a.num_read ? b : a));
      const next = await behind.batches.next();
      if (next.done) {
        open.delete(behind);
        continue;
      }
      const { batch } = next.value;
      behind.num_read += batch.numRows;
      eachRow(batch, (id, row) => arrive(behind.place, id, row));
    }
  } finally {
    for (const { batches } of open) await batches.return();
  }
}

/** Rows own their arrays: they outlive the batch. */
function eachRow(batch: RecordBatch, visit: (id: string, row: ScoredRow) => void): void {
  const ids = columnData<Utf8>(batch, "sample_id");
  const vigs = columnData<Float64>(batch, "vig");
  const [token_vigs, token_ids, images] = ["token_vig", "token_id", "images"].map((name) => columnData<List>(batch, name)) as [never, never, never];
  for (let row = 0; row < batch.numRows; row++) {
    visit(utf8Value(ids, row), {
      vig: isNull(vigs, row) ? null : vigs.values[row]!,
      token_vig: numericListValue<Float32Array>(token_vigs, row)?.slice() ?? null,
      token_id: numericListValue<Int32Array>(token_ids, row)!.slice(),
      images: utf8ListValue(images, row),
    });
  }
}
