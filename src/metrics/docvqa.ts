/**
 * DocVQA: ANLS and accuracy. ANLS is the average normalized Levenshtein similarity (Biten et al., Scene Text Visual Question
 * Answering, ICCV 2019, arXiv 1905.13648; Mathew et al., DocVQA, WACV 2021, arXiv 2007.00398): over questions the mean of
 * max over answers of 1 - NL where NL < 0.5, else 0; NL = edit distance / length of the longer text.
 *
 * Row: `response`, `answers` (every accepted answer), `group` (optional).
 */
import { groupField, MeanTally, type MetricGroup, type MetricResult, type MetricTally, proportion, textField, textsField } from "./estimate.ts";

const THRESHOLD = 0.5;

/** Without letter case and with one space for any white space: what is compared. */
export function normalizedAnswer(text: string): string {
  return text.trim().toLowerCase().split(/\s+/).join(" ");
}

/** Insertions, deletions and substitutions of code points that turn one text into the other. */
export function editDistance(a: string, b: string): number {
  const [short, long] = [[...a], [...b]].sort((x, y) => x.length - y.length) as [string[], string[]];
  let row = Uint32Array.from({ length: short.length + 1 }, (_, i) => i);
  for (const [i, character] of long.entries()) {
    const next = new Uint32Array(row.length);
    next[0] = i + 1;
    for (let j = 1; j < row.length; j++) next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (short[j - 1] === character ? 0 : 1));
    row = next;
  }
  return row[short.length]!;
}

/** The best answer's similarity: 0, or more than 0.5 and up to 1. */
export function anls(response: string, answers: readonly string[]): number {
  const given = normalizedAnswer(response);
  return answers.reduce((best, answer) => Math.max(best, similarity(given, normalizedAnswer(answer))), 0);
}

function similarity(a: string, b: string): number {
  const [shorter, longer] = [[...a].length, [...b].length].sort((x, y) => x - y) as [number, number];
  if (longer === 0) return 1;
  // The distance is at least the difference in length: a rambling response need not be compared.
  if ((longer - shorter) / longer >= THRESHOLD) return 0;
  const distance = editDistance(a, b) / longer;
  return distance < THRESHOLD ? 1 - distance : 0;
}

class GroupTally {
  readonly similarity = new MeanTally();
  #num_exact = 0;

  add(similarity: number): void {
    this.similarity.add(similarity);
    if (similarity === 1) this.#num_exact++;
  }

  result(name: string): MetricGroup {
    const { count } = this.similarity;
    return { name, num_rows: count, measures: { anls: this.similarity.estimate(0, 1), accuracy: proportion(this.#num_exact, count) } };
  }
}

export class DocvqaTally implements MetricTally {
  readonly #all = new GroupTally();
  readonly #byGroup = new Map<string, GroupTally>();

  add(row: Readonly<Record<string, unknown>>): string | undefined {
    const response = textField(row, "response");
    if ("problem" in response) return response.problem;
    const answers = textsField(row, "answers");
    if ("problem" in answers) return answers.problem;
    if (answers.texts.length === 0) return "answers is empty";
    const value = anls(response.text, answers.texts);
    this.#all.add(value);
    const name = groupField(row, "group");
    if (name !== undefined) {
      let group = this.#byGroup.get(name);
      if (!group) this.#byGroup.set(name, (group = new GroupTally()));
      group.add(value);
    }
    return undefined;
  }

  result(): MetricResult {
    const groups = [...this.#byGroup].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, group]) => group.result(name));
    return { groups: [...groups, this.#all.result("all")], notes: [] };
  }
}
