/**
 * POPE: does the model say that things are there which are not? (Li et al., Evaluating Object Hallucination in Large
 * Vision-Language Models, EMNLP 2023, arXiv 2305.10355.) Yes/no questions on an object's presence; the absent objects are
 * drawn at random, among the popular ones, or among those that often stand beside what is there (adversarial).
 *
 * Row: `response` (the model's text), `label` (yes or no), `sampling` (random, popular, adversarial; optional).
 */
import { type Estimate, groupField, mapEstimate, meanOfEstimates, type MetricGroup, type MetricResult, type MetricTally, proportion, textField } from "./estimate.ts";

export type YesNo = "yes" | "no";

/** The order in which they are shown; others follow. */
const SAMPLINGS = ["random", "popular", "adversarial"];

/**
 * What the text says, by POPE's own rule: of the first sentence, with commas left out, "no" or "not" means no and anything
 * else yes. `is_clear` is false where neither yes nor no is in it.
 */
export function yesOrNo(response: string): { readonly answer: YesNo; readonly is_clear: boolean } {
  const sentence = response.trim().split(".")[0]!.replaceAll(",", "").toLowerCase();
  const words = sentence.split(/[^\p{L}\p{N}'’]+/u);
  if (words.includes("no") || words.includes("not")) return { answer: "no", is_clear: true };
  return { answer: "yes", is_clear: words.includes("yes") };
}

/** Yes is the positive class. */
export interface Confusion {
  readonly true_yes: number;
  readonly false_yes: number;
  readonly true_no: number;
  readonly false_no: number;
}

/** Accuracy, precision, recall, F1 = 2 precision recall / (precision + recall), and the share of yes. */
export function popeMeasures({ true_yes, false_yes, true_no, false_no }: Confusion): Readonly<Record<string, Estimate>> {
  const total = true_yes + false_yes + true_no + false_no;
  // F1 = 2 j / (1 + j) for j = true yes / (all but true no), a share: so it has an interval of its own.
  const jaccard = proportion(true_yes, true_yes + false_yes + false_no);
  return {
    accuracy: proportion(true_yes + true_no, total),
    precision: proportion(true_yes, true_yes + false_yes),
    recall: proportion(true_yes, true_yes + false_no),
    f1: mapEstimate(jaccard, (j) => (2 * j) / (1 + j)),
    yes: proportion(true_yes + false_yes, total),
  };
}

export class PopeTally implements MetricTally {
  readonly #bySampling = new Map<string, { true_yes: number; false_yes: number; true_no: number; false_no: number }>();
  #unclear = 0;

  add(row: Readonly<Record<string, unknown>>): string | undefined {
    const response = textField(row, "response");
    if ("problem" in response) return response.problem;
    const label = textField(row, "label");
    if ("problem" in label) return label.problem;
    const truth = label.text.trim().toLowerCase();
    if (truth !== "yes" && truth !== "no") return `label is ${JSON.stringify(label.text.slice(0, 40))}, not yes or no`;
    const sampling = groupField(row, "sampling") ?? "all";
    let counts = this.#bySampling.get(sampling);
    if (!counts) this.#bySampling.set(sampling, (counts = { true_yes: 0, false_yes: 0, true_no: 0, false_no: 0 }));
    const { answer, is_clear } = yesOrNo(response.text);
    if (!is_clear) this.#unclear++;
    const outcome = answer === truth ? (`true_${answer}` as const) : (`false_${answer}` as const);
    counts[outcome]++;
    return undefined;
  }

  result(): MetricResult {
    const place = (name: string): number => (SAMPLINGS.indexOf(name) + SAMPLINGS.length + 1) % (SAMPLINGS.length + 1);
    const groups = [...this.#bySampling]
      .sort(([a], [b]) => place(a) - place(b) || (a < b ? -1 : 1))
      .map(([name, counts]): MetricGroup => ({ name, num_rows: Object.values(counts).reduce((sum, count) => sum + count, 0), measures: popeMeasures(counts) }));
    const notes = this.#unclear > 0 ? [`${this.#unclear} responses say neither yes nor no in their first sentence; POPE's rule counts them as yes`] : [];
    return { groups: groups.length > 1 ? [...groups, average(groups)] : groups, notes };
  }
}

/** The mean over the samplings, each with the same weight, as POPE reports it. */
function average(groups: readonly MetricGroup[]): MetricGroup {
  const measures = Object.keys(groups[0]!.measures).map((name) => [name, meanOfEstimates(groups.map((group) => group.measures[name]!))] as const);
  return { name: "average", num_rows: groups.reduce((sum, group) => sum + group.num_rows, 0), measures: Object.fromEntries(measures) };
}
