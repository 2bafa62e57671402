/** Histograms of VIGs. */

/** Equal bins from `start`, one of whose edges is 0. Nats. */
export interface Bins {
  readonly start: number;
  readonly width: number;
  readonly count: number;
}

/** What fell into bins; values beyond either end are counted apart. */
export interface Distribution {
  readonly start: number;
  readonly width: number;
  readonly counts: readonly number[];
  readonly num_below: number;
  readonly num_above: number;
}

/** Bins of the histograms. */
const NUM_BINS = 96;

/** Round bin edges that hold all but the outermost values, and zero. */
export function chooseBins(low: number, high: number): Bins {
  const [from, to] = [Math.min(low, 0), Math.max(high, 0)];
  const rough = (to - from || 1) / NUM_BINS;
  const magnitude = 10 ** Math.floor(Math.log10(rough));
  const width = [1, 2, 2.5, 5, 10].map((step) => step * magnitude).find((step) => step >= rough)!;
  const first = Math.floor(from / width);
  const last = Math.floor(to / width);
  return { start: first * width, width, count: last - first + 1 };
}

/** Counts by bin as values go by. */
export class Binning {
  readonly counts: Float64Array;
  #below = 0;
  #above = 0;
  readonly #start: number;
  readonly #width: number;

  constructor(bins: Bins) {
    this.#start = bins.start;
    this.#width = bins.width;
    this.counts = new Float64Array(bins.count);
  }

  add(value: number): void {
    const bin = Math.floor((value - this.#start) / this.#width);
    if (bin < 0) this.#below++;
    else if (bin >= this.counts.length) this.#above++;
    else this.counts[bin]!++;
  }

  result(): Distribution {
    return { start: this.#start, width: this.#width, counts: [...this.counts], num_below: this.#below, num_above: this.#above };
  }
}
