/**
 * A seeded stream of uniform numbers: xoshiro128** (Blackman and Vigna, 2018), its 128 bits of state filled from
 * the seed by four steps of SplitMix64 (upper 32 bits). The same seed gives the same stream on every machine.
 */
export class RandomStream {
  private a: number;
  private b: number;
  private c: number;
  private d: number;

  /** `seed`: a whole number from 0 to 2^53 - 1. `stream`: tells apart streams of one seed. Throws RangeError otherwise. */
  constructor(seed: number, stream = 0) {
    if (!Number.isSafeInteger(seed) || seed < 0) throw new RangeError(`seed ${seed} is not a whole number from 0 to 2^53 - 1`);
    const next = splitMix64(BigInt.asUintN(64, BigInt(seed) + (BigInt(stream) << 56n)));
    [this.a, this.b, this.c, this.d] = [next(), next(), next(), next()];
  }

  /** Uniform over the 32-bit unsigned integers. */
  uint32(): number {
    const scaled = Math.imul(this.b, 5);
    const result = Math.imul((scaled << 7) | (scaled >>> 25), 9) >>> 0;
    const shifted = this.b << 9;
    this.c ^= this.a;
    this.d ^= this.b;
    this.b ^= this.c;
    this.a ^= this.d;
    this.c ^= shifted;
    this.d = (this.d << 11) | (this.d >>> 21);
    return result;
  }

  /** Uniform over the multiples of 2^-53 in [0, 1). */
  uniform(): number {
    const high = this.uint32() >>> 5;
    const low = this.uint32() >>> 6;
    return (high * 2 ** 26 + low) * 2 ** -53;
  }
}

function splitMix64(state: bigint): () => number {
  return () => {
    state = BigInt.asUintN(64, state + 0x9e3779b97f4a7c15n);
    let z = state;
    z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
    z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn);
    return Number((z ^ (z >> 31n)) >> 32n);
  };
}
