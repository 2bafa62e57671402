import pino from "pino";
import type { ProgressEvent, RunObserver } from "../core/progress.ts";
import { ProgressMeter } from "./progress-meter.ts";
import { residentBytes } from "./process-memory.ts";
import type { OutputStream } from "./shell.ts";

/** While splits take long, a line says that the run is alive and how far it is. */
const HEARTBEAT_MS = 30_000;

/** One JSON object a line: time, level, run id, job, event, and the event's own fields (docs/operations.md). */
export class JsonLog implements RunObserver {
  readonly #log: pino.Logger;
  readonly #meter = new ProgressMeter();
  #heartbeat: NodeJS.Timeout | undefined;

  constructor(stream: OutputStream, bindings: Readonly<Record<string, unknown>>, quiet: boolean) {
    const options: pino.LoggerOptions = {
      base: bindings,
      level: quiet ? "warn" : "info",
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    };
    this.#log = pino(options, { write: (line: string) => void stream.write(line) });
  }

  report(event: ProgressEvent): void {
    this.#meter.add(event);
    const { event: name, ...fields } = event;
    switch (event.event) {
      case "phase_started":
        this.#log.info({ event: name, ...fields }, `${event.phase} started`);
        this.#beat();
        break;
      case "phase_finished":
        this.#log.info({ event: name, ...rounded(fields) }, `${event.phase} finished`);
        break;
      case "split_committed":
        this.#log.info({ event: name, ...rounded(fields) }, `split ${event.split} committed`);
        this.#beat();
        break;
      case "warning":
        this.#log.warn({ event: name, code: event.code }, event.message);
        break;
      case "batch_scored":
        break;
    }
  }

  info(fields: Readonly<Record<string, unknown>>, message: string): void {
    this.#log.info(fields, message);
  }

  error(fields: Readonly<Record<string, unknown>>, message: string): void {
    this.#log.error(fields, message);
  }

  close(): void {
    clearInterval(this.#heartbeat);
  }

  #beat(): void {
    clearInterval(this.#heartbeat);
    this.#heartbeat = setInterval(() => {
      this.#log.info({ event: "progress", ...rounded({ ...this.#meter.state(), resident_bytes: residentBytes() }) }, "in progress");
    }, HEARTBEAT_MS);
    this.#heartbeat.unref();
  }
}

/** Durations and rates to three decimals: nobody reads more, and lines stay short. */
function rounded(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const entries = Object.entries(fields).map(([key, value]) => [key, typeof value === "number" ? Math.round(value * 1000) / 1000 : value]);
  return Object.fromEntries(entries) as Record<string, unknown>;
}
