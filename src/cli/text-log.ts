import type { ProgressEvent, RunObserver } from "../core/progress.ts";
import { type Colors, printable } from "./colors.ts";
import { formatDuration } from "./format-numbers.ts";
import { residentBytes } from "./process-memory.ts";
import { renderProgress } from "./progress-line.ts";
import { ProgressMeter } from "./progress-meter.ts";
import type { OutputStream } from "./shell.ts";

const EVERY_MS = 10_000;

/** Plain lines for a person who reads a file or a pager: a phase's end, and progress now and then. */
export class TextLog implements RunObserver {
  readonly #stream: OutputStream;
  readonly #colors: Colors;
  readonly #quiet: boolean;
  readonly #meter = new ProgressMeter();
  #lastLine = performance.now();

  constructor(stream: OutputStream, colors: Colors, quiet: boolean) {
    this.#stream = stream;
    this.#colors = colors;
    this.#quiet = quiet;
  }

  report(event: ProgressEvent): void {
    this.#meter.add(event);
    if (event.event === "warning") this.#stream.write(`${this.#colors.yellow("warning")} ${printable(event.message)}\n`);
    if (this.#quiet) return;
    if (event.event === "phase_finished") this.#stream.write(`${event.phase}: ${formatDuration(event.duration_ms)}\n`);
    if (event.event === "split_committed" && performance.now() - this.#lastLine > EVERY_MS) {
      this.#lastLine = performance.now();
      this.#stream.write(`${renderProgress(this.#meter.state(), residentBytes(), 120)}\n`);
    }
  }

  close(): void {
    // Holds nothing.
  }
}
