import cliProgress from "cli-progress";
import type { ProgressEvent, RunObserver } from "../core/progress.ts";
import { type Colors, printable } from "./colors.ts";
import { residentBytes } from "./process-memory.ts";
import { renderProgress } from "./progress-line.ts";
import { ProgressMeter } from "./progress-meter.ts";
import type { OutputStream } from "./shell.ts";
import { widthOf } from "./shell.ts";

const REDRAWS_PER_SECOND = 5;
const MEMORY_MS = 1000;

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
