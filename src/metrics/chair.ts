/**
 * CHAIR: how many of the objects that captions mention are not in the image? (Rohrbach et al., Object Hallucination in
 * Image Captioning, EMNLP 2018, arXiv 1809.02156.)
 *   CHAIR_I = hallucinated mentions / mentions;  CHAIR_S = captions with a hallucinated mention / captions.
 *
 * Row: `response` (the caption), `objects` (what is in the image, by any name of the table), `references` (captions by
 * people, whose objects count as there too; optional), `group` (optional).
 */
import { groupField, MeanTally, type MetricGroup, type MetricResult, type MetricTally, proportion, RatioTally, textField, textsField } from "./estimate.ts";
import type { ObjectTable } from "./object-table.ts";

export interface CaptionCounts {
  readonly num_mentions: number;
  readonly num_hallucinated: number;
  /** Distinct objects of the image that the caption mentions. */
  readonly num_found: number;
}

/** `mentions`: objects in the order of the caption, repetitions too, as CHAIR counts them. */
export function chairCounts(mentions: readonly string[], present: ReadonlySet<string>): CaptionCounts {
  return {
    num_mentions: mentions.length,
    num_hallucinated: mentions.filter((object) => !present.has(object)).length,
    num_found: new Set(mentions.filter((object) => present.has(object))).size,
  };
}

class GroupTally {
  num_captions = 0;
  num_hallucinating = 0;
  readonly mentions = new RatioTally();
  readonly found = new RatioTally();
  readonly mentionsPerCaption = new MeanTally();

  add({ num_mentions, num_hallucinated, num_found }: CaptionCounts, num_present: number): void {
    this.num_captions++;
    if (num_hallucinated > 0) this.num_hallucinating++;
    this.mentions.add(num_hallucinated, num_mentions);
    this.found.add(num_found, num_present);
    this.mentionsPerCaption.add(num_mentions);
  }

  result(name: string): MetricGroup {
    const measures = {
      chair_i: this.mentions.estimate(),
      chair_s: proportion(this.num_hallucinating, this.num_captions),
      recall: this.found.estimate(),
      mentions: this.mentionsPerCaption.estimate(0, Infinity),
    };
    return { name, num_rows: this.num_captions, measures };
  }
}

export class ChairTally implements MetricTally {
  readonly #table: ObjectTable;
  readonly #all = new GroupTally();
  readonly #byGroup = new Map<string, GroupTally>();

  constructor(table: ObjectTable) {
    this.#table = table;
  }

  add(row: Readonly<Record<string, unknown>>): string | undefined {
    const response = textField(row, "response");
    if ("problem" in response) return response.problem;
    const objects = textsField(row, "objects");
    if ("problem" in objects) return objects.problem;
    const references = row.references === undefined || row.references === null ? { texts: [] } : textsField(row, "references");
    if ("problem" in references) return references.problem;
    const present = new Set(references.texts.flatMap((text) => this.#table.mentions(text)));
    for (const name of objects.texts) {
      const object = this.#table.objectOf(name);
      if (object === undefined) return `the object ${JSON.stringify(name.slice(0, 40))} is not in the table of synonyms`;
      present.add(object);
    }
    const counts = chairCounts(this.#table.mentions(response.text), present);
    this.#all.add(counts, present.size);
    const name = groupField(row, "group");
    if (name !== undefined) {
      let group = this.#byGroup.get(name);
      if (!group) this.#byGroup.set(name, (group = new GroupTally()));
      group.add(counts, present.size);
    }
    return undefined;
  }

  result(): MetricResult {
    const groups = [...this.#byGroup].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, group]) => group.result(name));
    return { groups: [...groups, this.#all.result("all")], notes: [] };
  }
}
