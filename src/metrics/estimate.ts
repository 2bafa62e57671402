/** What every metric reports: values with 95% intervals, so that nobody reads noise as a difference. */

/** A value and its 95% interval; null where there is nothing to compute it from. */
export interface Estimate {
  readonly value: number | null;
  readonly low: number | null;
  readonly high: number | null;
}

/** One line of a metric's table: all rows, or the rows of one kind. */
export interface MetricGroup {
  readonly name: string;
  readonly num_rows: number;
  readonly measures: Readonly<Record<string, Estimate>>;
}

export interface MetricResult {
  readonly groups: readonly MetricGroup[];
  /** What a reader of the numbers must know. */
  readonly notes: readonly string[];
}

/** Takes rows one by one; memory is bounded by the number of kinds of rows. */
export interface MetricTally {
  /** Returns what is wrong with the row, which is then not counted. */
  add(row: Readonly<Record<string, unknown>>): string | undefined;
  result(): MetricResult;
}

/** The normal distribution's 97.5% quantile. */
const Z = 1.959963984540054;

const NOTHING: Estimate = { value: null, low: null, high: null };

/**
 * A share and its Wilson score interval (Wilson, 1927), which stays within 0 to 1 and has a width at 0 and 1 too.
 * `of` need not be whole: an effective number of rows.
 */
export function share(value: number, of: number): Estimate {
  if (!(of > 0)) return NOTHING;
  const center = (value + Z ** 2 / (2 * of)) / (1 + Z ** 2 / of);
  const half = (Z / (1 + Z ** 2 / of)) * Math.sqrt((value * (1 - value)) / of + Z ** 2 / (4 * of ** 2));
  return { value, low: Math.max(0, Math.min(value, center - half)), high: Math.min(1, Math.max(value, center + half)) };
}

export function proportion(count: number, of: number): Estimate {
  return of === 0 ? NOTHING : share(count / of, of);
}

/** Every number mapped by a function that grows. */
export function mapEstimate({ value, low, high }: Estimate, grow: (value: number) => number): Estimate {
  const map = (number: number | null): number | null => (number === null ? null : grow(number));
  return { value: map(value), low: map(low), high: map(high) };
}

/**
 * The mean of estimates. Its interval is the mean of theirs: right however strongly they depend on each other, too wide
 * where they don't.
 */
export function meanOfEstimates(estimates: readonly Estimate[]): Estimate {
  const mean = (pick: (estimate: Estimate) => number | null): number | null => {
    const values = estimates.map(pick);
    return values.length === 0 || values.includes(null) ? null : (values as number[]).reduce((sum, value) => sum + value, 0) / values.length;
  };
  return { value: mean((one) => one.value), low: mean((one) => one.low), high: mean((one) => one.high) };
}

/** A mean, from sums alone. The interval is the normal one, by the standard error; none for a single row. */
export class MeanTally {
  count = 0;
  #mean = 0;
  #squares = 0;

  /** Welford's recurrence. */
  add(value: number): void {
    this.count++;
    const before = value - this.#mean;
    this.#mean += before / this.count;
    this.#squares += before * (value - this.#mean);
  }

  /** `min`, `max`: what a value can be. */
  estimate(min: number, max: number): Estimate {
    if (this.count === 0) return NOTHING;
    if (this.count === 1) return { value: this.#mean, low: null, high: null };
    const half = Z * Math.sqrt(this.#squares / (this.count - 1) / this.count);
    return { value: this.#mean, low: Math.max(min, this.#mean - half), high: Math.min(max, this.#mean + half) };
  }
}

/**
 * A ratio of two sums over clusters, such as hallucinated mentions over mentions, where one caption's mentions depend on
 * each other. Its variance is that of the ratio estimator (Cochran, Sampling Techniques, 1977, section 6.3); the interval
 * is Wilson's for as many independent units as have that variance.
 */
export class RatioTally {
  numerator = 0;
  denominator = 0;
  #clusters = 0;
  #nn = 0;
  #nd = 0;
  #dd = 0;

  add(numerator: number, denominator: number): void {
    this.#clusters++;
    this.numerator += numerator;
    this.denominator += denominator;
    this.#nn += numerator ** 2;
    this.#nd += numerator * denominator;
    this.#dd += denominator ** 2;
  }

  estimate(): Estimate {
    if (this.denominator === 0) return NOTHING;
    const ratio = this.numerator / this.denominator;
    const residuals = this.#nn - 2 * ratio * this.#nd + ratio ** 2 * this.#dd;
    const variance = this.#clusters > 1 ? (residuals * this.#clusters) / (this.#clusters - 1) / this.denominator ** 2 : 0;
    const effective = variance > 0 ? (ratio * (1 - ratio)) / variance : this.denominator;
    // A few alike clusters can look more certain than independent units; they are not.
    return share(ratio, Math.min(effective, this.denominator));
  }
}

/** The field's text, or in words what is wrong with it. */
export function textField(row: Readonly<Record<string, unknown>>, name: string): { readonly text: string } | { readonly problem: string } {
  const value = row[name];
  if (typeof value === "string") return { text: value };
  return { problem: value === undefined || value === null ? `no column ${name}` : `${name} is not text` };
}

/** The field's texts: a list, or one text; or in words what is wrong with it. */
export function textsField(row: Readonly<Record<string, unknown>>, name: string): { readonly texts: readonly string[] } | { readonly problem: string } {
  const value = row[name];
  if (typeof value === "string") return { texts: [value] };
  if (Array.isArray(value) && value.every((one) => typeof one === "string")) return { texts: value };
  return { problem: value === undefined || value === null ? `no column ${name}` : `${name} is not a list of texts` };
}

/** The optional field that rows are grouped by, as text; undefined where the row has none. */
export function groupField(row: Readonly<Record<string, unknown>>, name: string): string | undefined {
  const value = row[name];
  return typeof value === "string" || typeof value === "number" ? String(value) : undefined;
}
