/**
 * Strings that were seen, as 64-bit hashes: 16 bytes each at most, however long they are. Two different ids share a
 * hash with a probability of 3e-6 among ten million; the later one would be rejected as a duplicate, which its
 * message shows.
 */
export class IdSet {
  #high = new Uint32Array(1 << 12);
  #low = new Uint32Array(1 << 12);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** False where it was in already. */
  add(id: string): boolean {
    if (this.#size * 2 >= this.#high.length) this.#grow();
    const high = hash(id, 0x9e3779b9);
    const low = hash(id, 0x85ebca6b) || 1; // 0 in both marks a free slot
    if (!this.#insert(high, low)) return false;
    this.#size++;
    return true;
  }

  #insert(high: number, low: number): boolean {
    const mask = this.#high.length - 1;
    for (let slot = (high ^ low) & mask; ; slot = (slot + 1) & mask) {
      if (this.#low[slot] === 0) {
        this.#high[slot] = high;
        this.#low[slot] = low;
        return true;
      }
      if (this.#high[slot] === high && this.#low[slot] === low) return false;
    }
  }

  #grow(): void {
    const [high, low] = [this.#high, this.#low];
    this.#high = new Uint32Array(high.length * 2);
    this.#low = new Uint32Array(low.length * 2);
    for (let slot = 0; slot < high.length; slot++) if (low[slot] !== 0) this.#insert(high[slot]!, low[slot]!);
  }
}

/** MurmurHash3 (Appleby, x86 32-bit variant) over UTF-16 code units taken two at a time. */
function hash(text: string, seed: number): number {
  let h = seed;
  for (let i = 0; i < text.length; i += 2) {
    let k = text.charCodeAt(i) | ((i + 1 < text.length ? text.charCodeAt(i + 1) : 0) << 16);
    k = Math.imul(k, 0xcc9e2d51);
    k = (k << 15) | (k >>> 17);
    h ^= Math.imul(k, 0x1b873593);
    h = (h << 13) | (h >>> 19);
    h = (Math.imul(h, 5) + 0xe6546b64) | 0;
  }
  h ^= text.length;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
