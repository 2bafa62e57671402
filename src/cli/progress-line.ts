import type { Phase } from "../core/progress.ts";
import { formatBytes, formatClock, formatCount, formatShort } from "./format-numbers.ts";
import type { ProgressState } from "./progress-meter.ts";

const PHASE_LABELS: Readonly<Record<Phase, string>> = {
  scan: "reading the input",
  check: "checking images",
  load: "loading the model",
  score: "scoring",
  publish: "writing scores",
  select: "selecting",
};

const SHORTEST_BAR = 10;
const LONGEST_BAR = 30;
const MIN_WIDTH_WITH_BAR = 50;

/** At most `width` columns. */
export function renderProgress(state: ProgressState, memoryBytes: number, width: number): string {
  const label = state.phase === undefined ? "finishing" : PHASE_LABELS[state.phase];
  const { num_records: total, num_records_done: done } = state;
  const fields = [label];
  if (total !== undefined) fields.push(`${formatCount(done)}/${formatCount(total)}`);
  else if (done > 0) fields.push(formatCount(done));
  if (state.eta_seconds !== undefined) fields.push(`ETA ${formatClock(state.eta_seconds)}`);
  if (state.samples_per_second !== undefined) fields.push(`${formatShort(state.samples_per_second)} samples/s`);
  if (state.tokens_per_second !== undefined) fields.push(`${formatShort(state.tokens_per_second)} tokens/s`);
  if (state.phase === "score") fields.push(`${formatCount(state.num_rejects)} rejected`);
  fields.push(formatBytes(memoryBytes));

  const hasBar = total !== undefined && total > 0 && width >= MIN_WIDTH_WITH_BAR;
  const budget = hasBar ? width - SHORTEST_BAR - 2 : width;
  const shown: string[] = [];
  for (const field of fields) {
    const used = shown.reduce((sum, text) => sum + text.length + 2, 0);
    if (used + field.length > budget) break;
    shown.push(field);
  }
  const line = shown.join("  ");
  if (!hasBar) return line.slice(0, width);
  return [label, drawBar(done / total, Math.min(LONGEST_BAR, width - line.length - 2)), ...shown.slice(1)].join("  ");
}

function drawBar(fraction: number, width: number): string {
  const filled = Math.round(Math.min(1, Math.max(0, fraction)) * width);
  return "█".repeat(filled) + "░".repeat(width - filled);
}
