import type { List, RecordBatch, Utf8 } from "apache-arrow";
import { answerWords } from "../core/answer-words.ts";
import { columnData, isNull, utf8ListValue } from "../core/record-batch.ts";
import type { RunSummary, WordVig } from "../core/plan.ts";

/** About so many tokens are looked at, evenly over the data: enough for means, and a second or two at any size. */
const MAX_TOKENS = 4_000_000;
/** Distinct words held; beyond it the rarest are forgotten. */
const MAX_WORDS = 50_000;
const MIN_OCCURRENCES = 10;
const NUM_WORDS = 10;

interface Tally {
  count: number;
  sum: number;
}

/**
 * The words whose tokens gain most and least from the image, for the run summary.
 *
 * A word is a run of letters and digits of the answer's text, in lower case; its VIG is the mean of the VIGs of the
 * tokens that hold a part of it. Where the data has more than four million answer tokens, every n-th sample is looked at.
 * Memory bound: 50,000 words; when there are more, those seen least are forgotten, so rare words may be undercounted
 * (they would be below the 10 occurrences that a word needs to be shown).
 */
export class WordVigs {
  readonly columns: readonly string[] = ["token_text", "token_vig"];
  readonly #words = new Map<string, Tally>();
  readonly #stride: number;
  #row = 0;

  /** `numTokens`: answer tokens of the whole data; every sample is looked at where it is unknown. */
  constructor(numTokens = 0) {
    this.#stride = Math.max(1, Math.ceil(numTokens / MAX_TOKENS));
  }

  get numWords(): number {
    return this.#words.size;
  }

  observe(scores: RecordBatch): void {
    const texts = columnData<List<Utf8>>(scores, "token_text");
    const vigs = columnData<List>(scores, "token_vig");
    const vigValues = vigs.children[0]!.values as Float32Array;
    for (let row = 0; row < scores.numRows; row++) {
      const looked = this.#row++ % this.#stride === 0;
      if (!looked || isNull(vigs, row)) continue;
      const tokenVigs = vigValues.subarray(vigs.valueOffsets[row], vigs.valueOffsets[row + 1]);
      for (const { text, vig } of answerWords(utf8ListValue(texts, row), tokenVigs).words) this.#add(text.toLowerCase(), vig);
    }
  }

  /** Highest first and lowest first; a word is in one list only. Ties by alphabet. */
  extremes(): RunSummary["words"] {
    const frequent = [...this.#words].filter(([, { count }]) => count >= MIN_OCCURRENCES);
    const words = frequent.map(([word, { count, sum }]): WordVig => ({ word, mean_vig: sum / count, count }));
    words.sort((a, b) => b.mean_vig - a.mean_vig || (a.word < b.word ? -1 : 1));
    const half = Math.min(NUM_WORDS, words.length / 2);
    return { highest: words.slice(0, Math.ceil(half)), lowest: words.slice(words.length - Math.floor(half)).reverse() };
  }

  #add(word: string, vig: number): void {
    const tally = this.#words.get(word);
    if (tally) {
      tally.count++;
      tally.sum += vig;
    } else {
      if (this.#words.size === MAX_WORDS) this.#forgetRarest();
      this.#words.set(word, { count: 1, sum: vig });
    }
  }

  /** Makes room for a quarter. */
  #forgetRarest(): void {
    const counts = [...this.#words.values()].map(({ count }) => count).sort((a, b) => a - b);
    const limit = counts[MAX_WORDS / 4]!;
    for (const [word, { count }] of this.#words) if (count <= limit) this.#words.delete(word);
  }
}
