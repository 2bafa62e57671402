import cliProgress from "cli-progress";
import type { Phase, ProgressEvent, RunObserver } from "../core/progress.ts";
import { type Colors, printable } from "./colors.ts";
import { formatBytes, formatClock, formatCount, formatShort } from "./format-numbers.ts";
import { residentBytes } from "./process-memory.ts";
import { ProgressMeter, type ProgressState } from "./progress-meter.ts";
import type { OutputStream } from "./shell.ts";
import { widthOf } from "./shell.ts";

const PHASE_LABELS: Readonly<Record<Phase, string>> = {
  scan: "reading the input",
  load: "loading the model",
  score: "scoring",
  publish: "writing scores",
  select: "selecting",
};

const REDRAWS_PER_SECOND = 5;
const MEMORY_MS = 1000;
const SHORTEST_BAR = 10;
const LONGEST_BAR = 30;
const MIN_WIDTH_WITH_BAR = 50;

/** One line on a terminal: phase, bar, rates, time left, rejects, memory; what does not fit is left out from the right. */
export class ProgressBar implements RunObserver {
  readonly #stream: NodeJS.WriteStream;
  readonly #colors: Colors;
  readonly #meter = new ProgressMeter();
  readonly #bar: cliProgress.SingleBar;
  #isShown = false;
  #memory = { time: -Infinity, bytes: 0 };

  constructor(stream: OutputStream, colors: Colors) {
    this.#stream = stream as NodeJS.WriteStream;
    this.#colors = colors;
    this.#bar = new cliProgress.SingleBar({
      stream: this.#stream,
      format: () => this.#line(),
      hideCursor: true,
      clearOnComplete: true,
      fps: REDRAWS_PER_SECOND,
      gracefulExit: false,
      linewrap: true,
    });
  }

  report(event: ProgressEvent): void {
    this.#meter.add(event);
    if (event.event === "phase_started") this.#show();
    if (event.event === "warning") this.print(`${this.#colors.yellow("warning")} ${printable(event.message)}`);
  }

  /** A line above the bar. */
  print(line: string): void {
    const wasShown = this.#isShown;
    this.close();
    this.#stream.write(`${line}\n`);
    if (wasShown) this.#show();
  }

  /** Takes the bar off the screen. */
  close(): void {
    if (!this.#isShown) return;
    this.#isShown = false;
    this.#bar.stop();
  }

  #show(): void {
    if (this.#isShown) return;
    this.#isShown = true;
    this.#bar.start(1, 0);
  }

  #line(): string {
    const now = performance.now();
    if (now - this.#memory.time > MEMORY_MS) this.#memory = { time: now, bytes: residentBytes() };
    return renderProgress(this.#meter.state(), this.#memory.bytes, widthOf(this.#stream) - 1);
  }
}

/** At most `width` columns. */
export function renderProgress(state: ProgressState, memoryBytes: number, width: number): string {
  const label = state.phase === undefined ? "" : PHASE_LABELS[state.phase];
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
