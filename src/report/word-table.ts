/** Which words need the image, and which parts of speech. */
import { createRequire } from "node:module";
import type { List, Utf8 } from "apache-arrow";
import winkNLP from "wink-nlp";
import { answerWords } from "../core/answer-words.ts";
import { columnData, isNull, utf8ListValue } from "../core/record-batch.ts";
import type { PlacedBatch } from "./scores-folder.ts";

/** About so many answer tokens are looked at, evenly over the data: a few seconds of tagging at any size. */
const MAX_TOKENS = 400_000;
/** Distinct words held; later ones are left out. */
const MAX_WORDS = 50_000;
/** Fewer occurrences mean little. Where few words have as many, three do. */
const MIN_OCCURRENCES = 10;
const FEW_OCCURRENCES = 3;
const FEW_WORDS = 12;
const NUM_WORDS = 16;
/** Text where fewer of the words are English function words is not tagged. */
const MIN_ENGLISH_SHARE = 0.12;
const ENGLISH = new Set("the a an is are was of and in on to it this that with at for by from there no yes not what be as".split(" "));

/** Universal part-of-speech tags, under the names that the page gives them. */
const PARTS_OF_SPEECH: Readonly<Record<string, string>> = {
  NOUN: "nouns",
  PROPN: "nouns",
  ADJ: "adjectives",
  VERB: "verbs",
  AUX: "auxiliaries",
  ADV: "adverbs",
  ADP: "prepositions",
  NUM: "numbers",
  DET: "determiners",
  PRON: "pronouns",
  CCONJ: "conjunctions",
  SCONJ: "conjunctions",
  PART: "particles",
  INTJ: "interjections",
};

export interface WordRow {
  readonly word: string;
  /** undefined where the text was not tagged. */
  readonly part_of_speech: string | undefined;
  readonly count: number;
  /** Nats: mean over occurrences. */
  readonly mean_vig: number;
}

export interface PartOfSpeechRow {
  readonly name: string;
  readonly count: number;
  readonly mean_vig: number;
  /** 95% interval of the mean, by its standard error. */
  readonly low: number;
  readonly high: number;
}

export interface WordTable {
  readonly highest: readonly WordRow[];
  readonly lowest: readonly WordRow[];
  readonly parts_of_speech: readonly PartOfSpeechRow[];
  readonly min_occurrences: number;
  /** Every n-th sample was looked at. */
  readonly stride: number;
  readonly num_words: number;
}

class Tally {
  count = 0;
  sum = 0;
  sumOfSquares = 0;
  readonly tags = new Map<string, number>();

  add(vig: number): void {
    this.count++;
    this.sum += vig;
    this.sumOfSquares += vig * vig;
  }

  /** The tag it has most often, ties to the first. */
  get tag(): string | undefined {
    return [...this.tags].sort(([, a], [, b]) => b - a)[0]?.[0];
  }
}

/** Columns: token_text, token_vig. */
export class WordTally {
  static readonly columns = ["token_text", "token_vig"] as const;
  readonly stride: number;
  readonly #words = new Map<string, Tally>();
  readonly #partsOfSpeech = new Map<string, Tally>();
  #numWords = 0;
  #numEnglish = 0;

  constructor(numTokens: number) {
    this.stride = Math.max(1, Math.ceil(numTokens / MAX_TOKENS));
  }

  observe({ start, batch }: PlacedBatch): void {
    const texts = columnData<List<Utf8>>(batch, "token_text");
    const vigs = columnData<List>(batch, "token_vig");
    const values = vigs.children[0]!.values as Float32Array;
    for (let row = 0; row < batch.numRows; row++) {
      if ((start + row) % this.stride !== 0 || isNull(vigs, row)) continue;
      this.#addAnswer(utf8ListValue(texts, row), values.subarray(vigs.valueOffsets[row], vigs.valueOffsets[row + 1]));
    }
  }

  #addAnswer(pieces: readonly string[], vigs: Float32Array): void {
    const { text, words } = answerWords(pieces, vigs);
    const lower = text.toLowerCase();
    // Lower-casing that moves the words would give them each other's tags.
    const tags = lower.length === text.length ? tagsByStart(lower) : new Map<number, string>();
    for (const { text: word, index, vig } of words) {
      const key = word.toLowerCase();
      this.#numWords++;
      if (ENGLISH.has(key)) this.#numEnglish++;
      const tally = this.#tallyOf(this.#words, key);
      tally?.add(vig);
      const tag = tags.get(index);
      if (tag === undefined) continue;
      tally?.tags.set(tag, (tally.tags.get(tag) ?? 0) + 1);
      this.#tallyOf(this.#partsOfSpeech, tag)?.add(vig);
    }
  }

  #tallyOf(tallies: Map<string, Tally>, key: string): Tally | undefined {
    let tally = tallies.get(key);
    if (!tally && tallies.size < MAX_WORDS) tallies.set(key, (tally = new Tally()));
    return tally;
  }

  result(): WordTable {
    const isEnglish = this.#numEnglish >= MIN_ENGLISH_SHARE * this.#numWords;
    const atLeast = (min: number) => [...this.#words].filter(([, { count }]) => count >= min);
    const min_occurrences = atLeast(MIN_OCCURRENCES).length < FEW_WORDS ? FEW_OCCURRENCES : MIN_OCCURRENCES;
    const words = atLeast(min_occurrences).map(([word, tally]): WordRow => ({
      word,
      part_of_speech: isEnglish ? tally.tag : undefined,
      count: tally.count,
      mean_vig: tally.sum / tally.count,
    }));
    words.sort((a, b) => b.mean_vig - a.mean_vig || (a.word < b.word ? -1 : 1));
    // Of a small vocabulary the middle third is in neither list.
    const length = Math.min(NUM_WORDS, Math.ceil(words.length / 3));
    return {
      highest: words.slice(0, length),
      lowest: words.slice(Math.max(length, words.length - length)).reverse(),
      parts_of_speech: isEnglish ? this.#partsOfSpeechRows(min_occurrences) : [],
      min_occurrences,
      stride: this.stride,
      num_words: this.#numWords,
    };
  }

  #partsOfSpeechRows(min: number): PartOfSpeechRow[] {
    const rows = [...this.#partsOfSpeech].filter(([, { count }]) => count >= min);
    return rows
      .map(([name, { count, sum, sumOfSquares }]): PartOfSpeechRow => {
        const mean_vig = sum / count;
        const spread = 1.96 * Math.sqrt(Math.max(0, sumOfSquares / count - mean_vig ** 2) / count);
        return { name, count, mean_vig, low: mean_vig - spread, high: mean_vig + spread };
      })
      .sort((a, b) => b.mean_vig - a.mean_vig);
  }
}

let tagger: ReturnType<typeof winkNLP> | undefined;

/** Part of speech of each word by where it starts. Loads the tagger's model (about 50 MB) at the first call. */
function tagsByStart(text: string): Map<number, string> {
  tagger ??= winkNLP(createRequire(import.meta.url)("wink-eng-lite-web-model"), ["sbd", "pos"]);
  const tokens = tagger.readDoc(text).tokens();
  const { its } = tagger;
  // eslint-disable-next-line @typescript-eslint/unbound-method -- it tells its own functions by identity, and none looks at `this`
  const [words, tags, spaces] = [tokens.out(its.value), tokens.out(its.pos), tokens.out(its.precedingSpaces)] as [string[], string[], string[]];
  const byStart = new Map<number, string>();
  let at = 0;
  for (const [i, word] of words.entries()) {
    at += spaces[i]!.length;
    const name = PARTS_OF_SPEECH[tags[i]!];
    // Its own white space is simplified in places: find the word again.
    const found = text.startsWith(word, at) ? at : text.indexOf(word, at);
    if (found < 0) break;
    if (name !== undefined) byStart.set(found, name);
    at = found + word.length;
  }
  return byStart;
}
