/**
 * Fuzzing with a seed and a time limit. Inputs are mutations of sound ones; each must be taken or refused as the parser's
 * contract says, within a few seconds. The n-th input depends on seed and n alone, so a finding can be made again:
 *
 *     VIG_FUZZ_SEED=1 VIG_FUZZ_MS=12000 npm run test:fuzz
 *     VIG_FUZZ_ONLY=812 npm run test:fuzz -- images        the 812th input of one target
 */
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

export const SEED = Number(process.env["VIG_FUZZ_SEED"] ?? 1);
export const TARGET_MS = Number(process.env["VIG_FUZZ_MS"] ?? 12_000);
const ONLY = process.env["VIG_FUZZ_ONLY"] === undefined ? undefined : Number(process.env["VIG_FUZZ_ONLY"]);
/** One input may take so long, on a busy machine. */
const INPUT_MS = 20_000;
const MAX_BYTES = 256 * 1024;

export interface FuzzTarget {
  readonly name: string;
  /** Sound inputs. */
  readonly corpus: readonly Buffer[];
  /** Pieces that mean something to the parser. */
  readonly dictionary: readonly (string | Buffer)[];
  /** Throws where the parser broke its contract. */
  readonly check: (input: Buffer) => unknown;
}

export type Random = () => number;

/** mulberry32, [0, 1). */
export function randomOf(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Gives the number of inputs tried. Throws with the input's number and its file at the first finding. */
export async function fuzz({ name, corpus, dictionary, check }: FuzzTarget): Promise<number> {
  const end = performance.now() + TARGET_MS;
  for (let n = ONLY ?? 0; ; n++) {
    const input = inputOf(n, { corpus, dictionary });
    try {
      await within(INPUT_MS, check(input));
    } catch (cause) {
      const file = path.join(mkdtempSync(path.join(tmpdir(), "vig-fuzz-")), name);
      writeFileSync(file, input);
      throw new Error(`${name}: input ${n} of seed ${SEED} (kept in ${file}): ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    }
    if (n !== ONLY && performance.now() < end) continue;
    console.log(`${name}: ${n + 1} inputs of seed ${SEED}`);
    return n + 1;
  }
}

/** The n-th input of a target: first its corpus, then mutations of it. */
export function inputOf(n: number, { corpus, dictionary }: Pick<FuzzTarget, "corpus" | "dictionary">): Buffer {
  return n < corpus.length ? corpus[n]! : mutate(corpus, dictionary, randomOf(Math.imul(SEED, 0x9e3779b1) ^ Math.imul(n, 0x85ebca6b)));
}

async function within(milliseconds: number, work: unknown): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error(`took more than ${milliseconds} ms`)), milliseconds)));
  await Promise.race([work, limit]).finally(() => clearTimeout(timer));
}

function mutate(corpus: readonly Buffer[], dictionary: readonly (string | Buffer)[], random: Random): Buffer {
  const below = (limit: number): number => Math.floor(random() * limit);
  const pick = <T>(from: readonly T[]): T => from[below(from.length)]!;
  let bytes = Buffer.from(pick(corpus));
  for (let count = 1 + below(6); count > 0; count--) {
    const at = below(bytes.length + 1);
    const length = 1 + Math.floor(random() ** 3 * (bytes.length - at));
    const rest = (from: number): Buffer => bytes.subarray(from);
    switch (below(8)) {
      case 0: // a bit
        if (at < bytes.length) bytes[at]! ^= 1 << below(8);
        break;
      case 1: // a byte, with a liking for the extremes
        if (at < bytes.length) bytes[at] = pick([0, 1, 0x7f, 0x80, 0xff, below(256)]);
        break;
      case 2: // out
        bytes = Buffer.concat([bytes.subarray(0, at), rest(at + length)]);
        break;
      case 3: // once more
        bytes = Buffer.concat([bytes.subarray(0, at + length), rest(at)]);
        break;
      case 4: // a word in
        bytes = Buffer.concat([bytes.subarray(0, at), Buffer.from(pick(dictionary)), rest(at)]);
        break;
      case 5: // a word over
        bytes = Buffer.concat([bytes.subarray(0, at), Buffer.from(pick(dictionary)), rest(at + length)]);
        break;
      case 6: // the end of another
        bytes = Buffer.concat([bytes.subarray(0, at), pick(corpus).subarray(at)]);
        break;
      case 7: // cut
        if (random() < 0.3) bytes = Buffer.from(bytes.subarray(0, at));
        break;
    }
    if (bytes.length > MAX_BYTES) bytes = Buffer.from(bytes.subarray(0, MAX_BYTES));
  }
  return bytes;
}
