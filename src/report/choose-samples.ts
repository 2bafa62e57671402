/** Which samples the page shows. */
import type { Float64, List } from "apache-arrow";
import { columnData, isNull } from "../core/record-batch.ts";
import { SequentialSample } from "../kernels/sequential-sample.ts";
import type { PlacedBatch } from "./scores-folder.ts";

/** Samples of each ranked group, and how many are drawn at random for the search. */
const GROUP_SIZE = 12;
const RANDOM_SIZE = 160;
/** The random samples of a page depend on the data and on this alone. */
export const SEED = 0;

export const GROUPS = {
  asked: "Asked for",
  highest: "Highest VIG",
  median: "Around the median",
  lowest: "Lowest VIG",
  contradicted: "Contradicted words",
  random: "Random sample",
} as const;

export type Group = keyof typeof GROUPS;

export interface ChosenSample {
  /** Place in scores/, from 0. */
  readonly place: number;
  readonly groups: readonly Group[];
}

/** Keeps the rows with the smallest keys; of equal keys the ones that came first. */
class BestRows {
  readonly #rows: { readonly key: number; readonly place: number }[] = [];
  readonly #size: number;

  constructor(size: number) {
    this.#size = size;
  }

  offer(key: number, place: number): void {
    const rows = this.#rows;
    if (rows.length === this.#size && key >= rows.at(-1)!.key) return;
    let at = rows.length;
    while (at > 0 && rows[at - 1]!.key > key) at--;
    rows.splice(at, 0, { key, place });
    if (rows.length > this.#size) rows.pop();
  }

  places(): number[] {
    return this.#rows.map(({ place }) => place);
  }
}

/** One reading of vig and token_vig. Memory: a few hundred rows' places. */
export class SampleChoice {
  static readonly columns = ["vig", "token_vig"] as const;
  readonly #medianVig: number;
  readonly #ranked: Readonly<Record<Exclude<Group, "asked" | "random">, BestRows>> = {
    highest: new BestRows(GROUP_SIZE),
    median: new BestRows(GROUP_SIZE),
    lowest: new BestRows(GROUP_SIZE),
    contradicted: new BestRows(GROUP_SIZE),
  };
  readonly #random: SequentialSample;
  readonly #drawn: number[] = [];

  constructor(numRows: number, medianVig: number) {
    this.#medianVig = medianVig;
    this.#random = new SequentialSample(numRows, Math.min(RANDOM_SIZE, numRows), SEED);
  }

  observe({ start, batch }: PlacedBatch): void {
    const vigs = columnData<Float64>(batch, "vig");
    const tokens = columnData<List>(batch, "token_vig");
    const tokenVig = tokens.children[0]!.values as Float32Array;
    const { highest, median, lowest, contradicted } = this.#ranked;
    for (let row = 0; row < batch.numRows; row++) {
      const place = start + row;
      if (this.#random.next()) this.#drawn.push(place);
      if (isNull(vigs, row)) continue;
      const vig = vigs.values[row]!;
      highest.offer(-vig, place);
      lowest.offer(vig, place);
      median.offer(Math.abs(vig - this.#medianVig), place);
      // The image speaks for the answer as a whole, and against one of its tokens.
      if (vig >= 0) {
        const least = minimum(tokenVig, tokens.valueOffsets[row], tokens.valueOffsets[row + 1]);
        if (least < 0) contradicted.offer(least, place);
      }
    }
  }

  /** Each sample once: those asked for, then the ranked groups, best first, then the random ones in input order. */
  chosen(asked: readonly number[] = []): ChosenSample[] {
    const groups = new Map<number, Group[]>();
    const add = (place: number, group: Group): void => void groups.set(place, [...(groups.get(place) ?? []), group]);
    for (const place of asked) add(place, "asked");
    for (const group of ["highest", "lowest", "contradicted", "median"] as const) {
      for (const place of this.#ranked[group].places()) add(place, group);
    }
    for (const place of this.#drawn) add(place, "random");
    return [...groups].map(([place, of]) => ({ place, groups: of }));
  }
}

function minimum(values: Float32Array, start: number, end: number): number {
  let least = Infinity;
  for (let t = start; t < end; t++) if (values[t]! < least) least = values[t]!;
  return least;
}
