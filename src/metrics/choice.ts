/**
 * Multiple choice as MMBench has it: which letter does the text choose? (Liu et al., MMBench: Is Your Multi-modal Model an
 * All-around Player?, ECCV 2024, arXiv 2307.06281.) A text that no rule here understands counts as wrong: MMBench then
 * asks a language model, which is not done here.
 *
 * Row: `response`, `label` (a letter), `options` (texts by letter, or a list of texts; optional: then an option's text counts
 * as its letter), `question_id` (the same for all rotations of one question; optional), `category` (optional).
 */
import { groupField, type MetricGroup, type MetricResult, type MetricTally, proportion, textField } from "./estimate.ts";

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
/** Letters that a question without options can have: A to H. */
const DEFAULT_LETTERS = 8;

const CHOICE_WORD = "(?:[Aa]nswer|ANSWER|[Oo]ption|OPTION|[Cc]hoice|[Ll]etter)";
const CHOOSE_WORD = "\\b(?:[Cc]hoose|[Cc]hose|[Ss]elect(?:ed)?|[Pp]ick(?:ed)?)";
/** "A" before a word is an article, unless the word gives the reason. */
const NO_ARTICLE = "(?![\\w'’])(?!\\s+(?!because\\b|since\\b|as\\b)[a-z])";

/**
 * The letter that the text chooses, by the first of these rules that finds any; undefined where it finds several, and where
 * the text leaves it open ("A or B"):
 *   1. the text is the letter: "B", "(b)", "**B.**", "Option B", "The answer is B."
 *   2. it begins with it: "B. a cat", "(B) a cat", "B, because ..."; not where a list of options follows
 *   3. it names its answer: "the answer is B", "Answer: (B)", "I choose option B", "B is correct"
 *   4. a capital stands alone, in brackets or before punctuation: "... so (B)", "... hence B."
 *   5. the text of one option is in it
 * `options`: texts in the order of their letters.
 */
export function chosenLetter(response: string, num_letters: number, options: readonly string[] = []): string | undefined {
  const text = response.replaceAll(/[*_`]/g, "").trim();
  const letter = `([A-${LETTERS[num_letters - 1]!}])`;
  const bracketed = `[("'\\[]?${letter}[)"'\\]]?`;
  const whole = new RegExp(`^(?:(?:the )?(?:correct )?(?:answer|option|choice)\\s*(?:is)?\\s*:?\\s*)?(?:option )?${bracketed}[.:,!]?$`, "i");
  const rules: readonly (() => readonly string[])[] = [
    () => lettersAt(text, whole),
    () => (isListOfOptions(text, letter) ? [] : lettersAt(text, new RegExp(`^[(\\[]?${letter}(?:[)\\].:,]+(?=\\s|$)|\\s*\\n|\\s+[-–—]\\s|\\s+(?=because\\b|since\\b))`))),
    () => [
      ...lettersAt(text, new RegExp(`${CHOICE_WORD}(?:\\s+(?:is|would be|should be|must be))?\\s*:?\\s*(?:(?:the\\s+)?(?:option|choice|letter)\\s+)?${bracketed}${NO_ARTICLE}`, "g")),
      ...lettersAt(text, new RegExp(`${CHOOSE_WORD}\\s+(?:(?:option|choice|letter)\\s+)?${bracketed}${NO_ARTICLE}`, "g")),
      ...lettersAt(text, new RegExp(`(?<![\\w'’])${bracketed}\\s+(?:is|would be)\\s+(?:the\\s+)?(?:correct|right|best)\\b`, "g")),
    ],
    () => [...lettersAt(text, new RegExp(`[(\\[]${letter}[)\\]]`, "g")), ...lettersAt(text, new RegExp(`(?<![\\w'’.-])${letter}(?=[.,:;!?)\\]]|$)`, "gm"))],
    () => optionsIn(text, options),
  ];
  if (new RegExp(`(?<![\\w'’])${bracketed}\\s*(?:or|/)\\s*(?:option )?${bracketed}(?![\\w'’])`).test(text)) return undefined;
  for (const rule of rules) {
    const distinct = new Set(rule());
    if (distinct.size > 0) return distinct.size === 1 ? [...distinct][0] : undefined;
  }
  return undefined;
}

/** Two options or more, each with its letter and text, as when a model repeats the question. */
function isListOfOptions(text: string, letter: string): boolean {
  return new Set(lettersAt(text, new RegExp(`(?:^|\\s)[(\\[]?${letter}[.:)\\]]+\\s+\\S`, "g"))).size > 1;
}

function lettersAt(text: string, pattern: RegExp): string[] {
  const found = pattern.global ? [...text.matchAll(pattern)] : [pattern.exec(text)];
  return found.flatMap((match) => (match ? [match[1]!.toUpperCase()] : []));
}

/** Letters of the options whose text is in the text as whole words; one that is part of a longer one found counts only as that. */
function optionsIn(text: string, options: readonly string[]): string[] {
  const padded = (one: string): string => ` ${(one.toLowerCase().match(/[\p{L}\p{M}\p{N}]+/gu) ?? []).join(" ")} `;
  let rest = padded(text);
  const found: string[] = [];
  const byLength = options.map((option, index) => ({ words: padded(option), index })).sort((a, b) => b.words.length - a.words.length);
  for (const { words, index } of byLength) {
    if (words.trim() === "" || !rest.includes(words)) continue;
    found.push(LETTERS[index]!);
    rest = rest.replaceAll(words, "  ");
  }
  return found;
}

class QuestionTally {
  num_rows = 0;
  num_correct = 0;
}

export class ChoiceTally implements MetricTally {
  readonly #all = new QuestionTally();
  readonly #byCategory = new Map<string, QuestionTally>();
  /** Whether every rotation so far was answered rightly. One entry a question. */
  readonly #questions = new Map<string, boolean>();
  #num_without_id = 0;
  #num_unread = 0;

  add(row: Readonly<Record<string, unknown>>): string | undefined {
    const response = textField(row, "response");
    if ("problem" in response) return response.problem;
    const label = textField(row, "label");
    if ("problem" in label) return label.problem;
    const options = optionTexts(row.options);
    if (typeof options === "string") return options;
    const num_letters = options.length || DEFAULT_LETTERS;
    const truth = label.text.trim().toUpperCase();
    if (truth.length !== 1 || !LETTERS.slice(0, num_letters).includes(truth)) return `label is ${JSON.stringify(label.text.slice(0, 40))}, not a letter from A to ${LETTERS[num_letters - 1]!}`;
    const chosen = chosenLetter(response.text, num_letters, options);
    if (chosen === undefined) this.#num_unread++;
    this.#count(row, chosen === truth);
    return undefined;
  }

  #count(row: Readonly<Record<string, unknown>>, isCorrect: boolean): void {
    const tallies = [this.#all];
    const name = groupField(row, "category");
    if (name !== undefined) {
      let category = this.#byCategory.get(name);
      if (!category) this.#byCategory.set(name, (category = new QuestionTally()));
      tallies.push(category);
    }
    for (const tally of tallies) {
      tally.num_rows++;
      if (isCorrect) tally.num_correct++;
    }
    const id = groupField(row, "question_id");
    if (id === undefined) this.#num_without_id++;
    else this.#questions.set(id, isCorrect && (this.#questions.get(id) ?? true));
  }

  result(): MetricResult {
    const group = (name: string, { num_rows, num_correct }: QuestionTally): MetricGroup => ({ name, num_rows, measures: { accuracy: proportion(num_correct, num_rows) } });
    const groups = [...this.#byCategory].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, tally]) => group(name, tally));
    groups.push(group("all", this.#all));
    const num_questions = this.#questions.size;
    // Rotations there are only where a question has several rows.
    if (this.#num_without_id === 0 && num_questions < this.#all.num_rows) {
      const num_correct = [...this.#questions.values()].filter(Boolean).length;
      groups.push({ name: "circular: all rotations right", num_rows: num_questions, measures: { accuracy: proportion(num_correct, num_questions) } });
    }
    const notes = this.#num_unread > 0 ? [`${this.#num_unread} responses choose no letter, or several; they count as wrong (no language model is asked)`] : [];
    return { groups, notes };
  }
}

/** Texts in the order of their letters; in words what is wrong with them. */
function optionTexts(options: unknown): readonly string[] | string {
  if (options === undefined || options === null) return [];
  const wrong = "options is neither a list of texts nor texts by letter A, B, C ...";
  if (typeof options !== "object") return wrong;
  const texts: unknown[] = Array.isArray(options) ? options : Object.keys(options).sort().map((key) => (options as Record<string, unknown>)[key]);
  const lettersFit = Array.isArray(options) || Object.keys(options).sort().every((key, index) => key === LETTERS[index]);
  const fits = lettersFit && texts.length > 0 && texts.length <= LETTERS.length && texts.every((text) => typeof text === "string");
  return fits ? (texts) : wrong;
}
