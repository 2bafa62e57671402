import { RandomStream } from "./random-stream.ts";

/**
 * A uniform random sample of at most `capacity` rows of a stream whose length is not known before: algorithm R (Vitter,
 * 1985). All rows, in their order, where they are no more than that.
 * Memory: 8 bytes * width * capacity, taken as it fills.
 */
export class Reservoir {
  private readonly random: RandomStream;
  private values: Float64Array;
  private seen = 0;

  /** `width`: numbers in a row. */
  constructor(
    private readonly width: number,
    private readonly capacity: number,
    seed: number,
  ) {
    this.random = new RandomStream(seed);
    this.values = new Float64Array(width * Math.min(capacity, 1_024));
  }

  /** Copies the row. */
  add(row: ArrayLike<number>): void {
    const place = this.seen < this.capacity ? this.seen : Math.floor(this.random.uniform() * (this.seen + 1));
    this.seen++;
    if (place >= this.capacity) return;
    if ((place + 1) * this.width > this.values.length) this.grow();
    for (let i = 0; i < this.width; i++) this.values[place * this.width + i] = row[i]!;
  }

  private grow(): void {
    const larger = new Float64Array(Math.min(2 * this.values.length, this.width * this.capacity));
    larger.set(this.values);
    this.values = larger;
  }

  /** Rows that went by. */
  get num_seen(): number {
    return this.seen;
  }

  /** One column of the sample. */
  column(index: number): Float64Array {
    return Float64Array.from({ length: Math.min(this.seen, this.capacity) }, (_, i) => this.values[i * this.width + index]!);
  }
}
