/** How many samples there are, of which source, and where tau lies for every share that could be kept. */
import type { Float64, RecordBatch, Utf8 } from "apache-arrow";
import { columnData, isNull, utf8Value } from "../core/record-batch.ts";
import { KthLargestSearch, LeadingDigitHistogram } from "../kernels/radix-quantile.ts";
import { topPercentRank } from "../kernels/top-percent.ts";
import type { RunThreshold } from "./run-manifest.ts";

/** 0.5, 1, ... 100 percent: the stops of the page's slider. */
const STEP_PERCENT = 0.5;
/** Distinct sources counted apart while looking for the largest; whatever comes later is counted as one. */
const MAX_SOURCES_SEEN = 4_096;
/** Sources that the page shows. */
const MAX_SOURCES = 24;
/** 32 MB: up to so many values the quantiles take two readings. */
const MAX_COLLECTED = 4 << 20;

/** A place where the page's slider can stand. */
export interface Stop {
  /** Share that is asked for; null where tau was given. */
  readonly top_percent: number | null;
  /** Nats. */
  readonly tau: number;
}

/** The first reading: how many, of which source, and the leading digits of their VIGs. Columns: vig, source. */
export class Census {
  readonly digits = new LeadingDigitHistogram();
  readonly #samples = new Map<string, number>();
  num_text_only = 0;

  observe(batch: RecordBatch): void {
    const vig = columnData<Float64>(batch, "vig");
    const source = columnData<Utf8>(batch, "source");
    for (let row = 0; row < batch.numRows; row++) {
      const name = utf8Value(source, row);
      const count = this.#samples.get(name);
      if (count !== undefined || this.#samples.size < MAX_SOURCES_SEEN) this.#samples.set(name, (count ?? 0) + 1);
      if (isNull(vig, row)) this.num_text_only++;
      else this.digits.add(vig.values[row]!);
    }
  }

  get num_vig(): number {
    return this.digits.total;
  }

  /** The largest sources; ties in the order in which they came. */
  sources(): string[] {
    return [...this.#samples].sort(([, a], [, b]) => b - a).slice(0, MAX_SOURCES).map(([name]) => name);
  }
}

/** Finds tau for every stop of the slider, the largest VIG, and the quantiles that the chart's range needs. */
export class QuantileSearch {
  readonly #search: KthLargestSearch;
  readonly #percents: readonly number[];
  readonly #given: readonly number[];
  readonly num_vig: number;

  constructor(census: Census, thresholds: readonly RunThreshold[]) {
    this.num_vig = census.num_vig;
    const asked = thresholds.flatMap(({ top_percent }) => (top_percent !== null && top_percent > 0 ? [top_percent] : []));
    const grid = Array.from({ length: 100 / STEP_PERCENT }, (_, i) => (i + 1) * STEP_PERCENT);
    this.#percents = this.num_vig === 0 ? [] : [...new Set([...grid, ...asked])].sort((a, b) => a - b);
    this.#given = thresholds.flatMap(({ top_percent, tau }) => (top_percent === null && tau !== null ? [tau] : []));
    this.#search = new KthLargestSearch(
      census.digits,
      this.#percents.map((percent) => topPercentRank(percent, this.num_vig)),
      { maxCollected: MAX_COLLECTED },
    );
  }

  get done(): boolean {
    return this.#search.done;
  }

  /** Columns: vig. */
  observe(batch: RecordBatch): void {
    const vig = columnData<Float64>(batch, "vig");
    for (let row = 0; row < batch.numRows; row++) if (!isNull(vig, row)) this.#search.add(vig.values[row]!);
  }

  endPass(): void {
    this.#search.endPass();
  }

  /** Highest tau first; taus that were given stand among those of the grid. */
  stops(): Stop[] {
    const values = this.#search.values();
    const stops = this.#percents.map((top_percent, i): Stop => ({ top_percent, tau: values[i]! }));
    for (const tau of this.#given) if (Number.isFinite(tau)) stops.push({ top_percent: null, tau });
    return stops.sort((a, b) => b.tau - a.tau || (a.top_percent ?? 0) - (b.top_percent ?? 0));
  }
}
