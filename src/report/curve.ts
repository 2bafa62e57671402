/**
 * What every threshold would keep: exact counts at a grid of thresholds, overall and for each source.
 *
 * The thresholds are exact quantiles (src/kernels/radix-quantile.ts). A token is active at tau in a kept sample when both
 * its own VIG and its sample's are at or above tau, so it counts for all tau up to the smaller of the two: one histogram
 * over the grid, summed from the top, gives the active tokens at all of them in one reading.
 */
import type { Float64, List, RecordBatch, Utf8 } from "apache-arrow";
import { columnData, isNull, utf8Value } from "../core/record-batch.ts";
import { Binning, type Bins, type Distribution } from "./distribution.ts";
import type { Granularity } from "./run-manifest.ts";
import type { Stop } from "./stops.ts";

export interface CurvePoint extends Stop {
  /** Samples with a VIG at or above tau. */
  readonly num_kept: number;
  /** Answer tokens of samples with a VIG that keep their loss. */
  readonly num_active: number;
}

export interface SourceCurve {
  /** null: all sources that are not shown apart. */
  readonly name: string | null;
  readonly num_samples: number;
  readonly num_tokens: number;
  readonly num_text_only: number;
  readonly mean_vig: number;
  /** Samples whose VIG is below 0. */
  readonly num_negative: number;
  /** At the points of the curve. */
  readonly num_kept: readonly number[];
  readonly num_active: readonly number[];
  /** Share of the source's samples in each bin of the distribution, 0 to 1. */
  readonly density: readonly number[];
}

class SourceTally {
  num_samples = 0;
  num_tokens = 0;
  num_text_only = 0;
  num_negative = 0;
  sum_vig = 0;
  readonly kept: Float64Array;
  readonly active: Float64Array;
  readonly bins: Binning;

  constructor(numStops: number, bins: Bins) {
    this.kept = new Float64Array(numStops + 1);
    this.active = new Float64Array(numStops + 1);
    this.bins = new Binning(bins);
  }
}

/** The last reading: everything is counted at every stop. Columns: vig, source, token_vig. */
export class CurveCount {
  readonly #stops: readonly Stop[];
  /** Ascending, for the search of a value's place. */
  readonly #ascending: Float64Array;
  readonly #granularity: Granularity;
  readonly #bySource = new Map<string, SourceTally>();
  readonly #others: SourceTally;
  readonly #tokenBins: Binning;

  constructor(options: {
    readonly stops: readonly Stop[];
    readonly granularity: Granularity;
    readonly sources: readonly string[];
    readonly bins: Bins;
    readonly tokenBins: Bins;
  }) {
    this.#stops = options.stops;
    this.#ascending = Float64Array.from(options.stops, ({ tau }) => tau).reverse();
    this.#granularity = options.granularity;
    const fresh = (): SourceTally => new SourceTally(options.stops.length, options.bins);
    for (const source of options.sources) this.#bySource.set(source, fresh());
    this.#others = fresh();
    this.#tokenBins = new Binning(options.tokenBins);
  }

  observe(batch: RecordBatch): void {
    const vig = columnData<Float64>(batch, "vig");
    const source = columnData<Utf8>(batch, "source");
    const tokens = columnData<List>(batch, "token_vig");
    const tokenVig = tokens.children[0]!.values as Float32Array;
    for (let row = 0; row < batch.numRows; row++) {
      const tally = this.#bySource.get(utf8Value(source, row)) ?? this.#others;
      if (isNull(vig, row)) tally.num_text_only++;
      else this.#addSample(tally, vig.values[row]!, tokenVig, tokens.valueOffsets[row], tokens.valueOffsets[row + 1]);
    }
  }

  #addSample(tally: SourceTally, vig: number, tokenVig: Float32Array, start: number, end: number): void {
    tally.num_samples++;
    tally.num_tokens += end - start;
    tally.sum_vig += vig;
    if (vig < 0) tally.num_negative++;
    tally.bins.add(vig);
    const place = this.#place(vig);
    tally.kept[place]!++;
    for (let t = start; t < end; t++) this.#tokenBins.add(tokenVig[t]!);
    switch (this.#granularity) {
      case "sample":
        tally.active[place]! += end - start;
        break;
      case "token":
        for (let t = start; t < end; t++) tally.active[this.#place(tokenVig[t]!)]!++;
        break;
      case "sample_and_token":
      case "random":
        // As many as random draws.
        for (let t = start; t < end; t++) tally.active[this.#place(Math.min(vig, tokenVig[t]!))]!++;
        break;
    }
  }

  /** The first stop (highest tau first) that the value reaches; their number where it reaches none. */
  #place(value: number): number {
    let low = 0;
    let high = this.#ascending.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#ascending[middle]! <= value) low = middle + 1;
      else high = middle;
    }
    return this.#ascending.length - low;
  }

  /** In the order of the stops: highest tau first. */
  curve(): CurvePoint[] {
    const tallies = [...this.#bySource.values(), this.#others];
    const kept = sumFromTop(tallies.map((tally) => tally.kept));
    const active = sumFromTop(tallies.map((tally) => tally.active));
    return this.#stops.map((stop, i) => ({ ...stop, num_kept: kept[i]!, num_active: active[i]! }));
  }

  /** Sources by mean VIG, highest first; those without a VIG last. */
  sources(): SourceCurve[] {
    const all: [string | null, SourceTally][] = [...this.#bySource, [null, this.#others]];
    return all
      .filter(([, tally]) => tally.num_samples + tally.num_text_only > 0)
      .map(([name, tally]) => toSourceCurve(name, tally))
      .sort((a, b) => (b.num_samples > 0 ? b.mean_vig : -Infinity) - (a.num_samples > 0 ? a.mean_vig : -Infinity) || 0);
  }

  distribution(): Distribution {
    const parts = [...this.#bySource.values(), this.#others].map((tally) => tally.bins.result());
    return parts.reduce((sum, part) => ({
      ...sum,
      counts: sum.counts.map((count, i) => count + part.counts[i]!),
      num_below: sum.num_below + part.num_below,
      num_above: sum.num_above + part.num_above,
    }));
  }

  tokenDistribution(): Distribution {
    return this.#tokenBins.result();
  }
}

function toSourceCurve(name: string | null, tally: SourceTally): SourceCurve {
  const { num_samples, num_tokens, num_text_only, num_negative } = tally;
  return {
    name,
    num_samples,
    num_tokens,
    num_text_only,
    num_negative,
    mean_vig: num_samples === 0 ? 0 : tally.sum_vig / num_samples,
    num_kept: sumFromTop([tally.kept]),
    num_active: sumFromTop([tally.active]),
    density: [...tally.bins.counts].map((count) => (num_samples === 0 ? 0 : count / num_samples)),
  };
}

/** At each stop, what has its place there or before. */
function sumFromTop(tallies: readonly Float64Array[]): number[] {
  const sums: number[] = [];
  let sum = 0;
  for (let i = 0; i < tallies[0]!.length - 1; i++) {
    for (const tally of tallies) sum += tally[i]!;
    sums.push(sum);
  }
  return sums;
}
