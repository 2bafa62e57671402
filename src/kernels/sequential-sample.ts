import { RandomStream } from "./random-stream.ts";

/**
 * Draws exactly `size` of `population` items without replacement, every subset equally likely, while the items go
 * by once in order: selection sampling (Knuth, The Art of Computer Programming 2, section 3.4.2, algorithm S).
 *
 * Memory: a few numbers. Which items are drawn depends on seed, population, size and position alone.
 */
export class SequentialSample {
  private readonly random: RandomStream;
  private remaining: number;
  private wanted: number;

  /** Throws RangeError where `size` is more than there is. */
  constructor(population: number, size: number, seed: number, stream = 0) {
    if (!(size >= 0 && size <= population)) throw new RangeError(`can't draw ${size} of ${population}`);
    this.random = new RandomStream(seed, stream);
    this.remaining = population;
    this.wanted = size;
  }

  /** Whether the next item is drawn. Throws RangeError behind the last item. */
  next(): boolean {
    if (this.remaining === 0) throw new RangeError("more items than the population");
    const drawn = this.remaining * this.random.uniform() < this.wanted;
    this.remaining--;
    if (drawn) this.wanted--;
    return drawn;
  }

  /** Items that have not gone by yet. */
  get numRemaining(): number {
    return this.remaining;
  }
}
