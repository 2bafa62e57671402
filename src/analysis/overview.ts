/** What the scores of one run say: by source, by quantile, by word, and how often the image hurts. */
import type { Float64, List, RecordBatch, Utf8 } from "apache-arrow";
import { columnData, isNull, utf8Value } from "../core/record-batch.ts";
import { type Estimate, MeanTally } from "../metrics/estimate.ts";
import type { ScoresFolder } from "../report/scores-folder.ts";
import { Census } from "../report/stops.ts";
import { type WordTable, WordTally } from "../report/word-table.ts";
import { GroupQuantiles, QUANTILES } from "./quantiles.ts";

/** Nats. A VIG below -HURTS_NATS is no rounding error. */
export const HURTS_NATS = 0.01;

export interface VigRow {
  /** null: the sources beyond the 24 largest. */
  readonly source: string | null;
  /** Samples with a VIG, and their answer tokens. */
  readonly num_samples: number;
  readonly num_tokens: number;
  readonly num_text_only: number;
  /** Nats, 95% interval by the standard error. */
  readonly mean_vig: Estimate;
  /** Samples whose image makes the answer less likely: VIG < 0, and VIG < -0.01. */
  readonly num_hurt: number;
  readonly num_clearly_hurt: number;
  /** Tokens with a VIG below 0. */
  readonly num_tokens_hurt: number;
  /** Nats, at QUANTILES; empty where there is no sample with a VIG. */
  readonly quantiles: readonly number[];
}

export interface Overview {
  /** In percent. */
  readonly quantiles: readonly number[];
  readonly all: Omit<VigRow, "source">;
  /** Highest mean first. */
  readonly sources: readonly VigRow[];
  /** Of token VIG, nats. */
  readonly token_quantiles: readonly number[];
  readonly words: WordTable;
}

/** Keys of GroupQuantiles; sources are numbered. */
const ALL = "all", TOKENS = "tokens";

class Tally {
  num_samples = 0;
  num_tokens = 0;
  num_text_only = 0;
  num_hurt = 0;
  num_clearly_hurt = 0;
  num_tokens_hurt = 0;
  readonly mean = new MeanTally();

  add(vig: number, tokenVig: Float32Array): void {
    this.num_samples++;
    this.num_tokens += tokenVig.length;
    this.mean.add(vig);
    if (vig < 0) this.num_hurt++;
    if (vig < -HURTS_NATS) this.num_clearly_hurt++;
    for (const value of tokenVig) if (value < 0) this.num_tokens_hurt++;
  }

  result(quantiles: readonly number[] | undefined): Omit<VigRow, "source"> {
    const { mean, ...counts } = this;
    return { ...counts, mean_vig: mean.estimate(-Infinity, Infinity), quantiles: quantiles ?? [] };
  }
}

/** Reads narrow columns four to six times. Memory: one batch, histograms, and the words. */
export async function overviewOf(folder: ScoresFolder, signal: AbortSignal): Promise<Overview> {
  const census = new Census();
  for await (const { batch } of folder.scores(["vig", "source"], signal)) census.observe(batch);
  const names = census.sources();
  const places = new Map(names.map((name, place) => [name, place]));
  const placeOf = (source: string): number => places.get(source) ?? names.length;
  const tallies = Array.from({ length: names.length + 1 }, () => new Tally());
  const all = new Tally();
  const quantiles = new GroupQuantiles();
  const columns = ["vig", "source", "token_vig"];
  for await (const { batch } of folder.scores(columns, signal)) {
    eachSample(batch, (source, vig, tokenVig) => {
      const place = placeOf(source);
      if (vig === null) return void (tallies[place]!.num_text_only++, all.num_text_only++);
      for (const tally of [tallies[place]!, all]) tally.add(vig, tokenVig);
      for (const group of [String(place), ALL]) quantiles.count(group, vig);
      for (const value of tokenVig) quantiles.count(TOKENS, value);
    });
  }
  while (!quantiles.done) {
    for await (const { batch } of folder.scores(columns, signal)) {
      eachSample(batch, (source, vig, tokenVig) => {
        if (vig === null) return;
        for (const group of [String(placeOf(source)), ALL]) quantiles.observe(group, vig);
        for (const value of tokenVig) quantiles.observe(TOKENS, value);
      });
    }
    quantiles.endPass();
  }
  const words = new WordTally(all.num_tokens);
  for await (const batch of folder.scores(WordTally.columns, signal)) words.observe(batch);
  const sources = tallies.map((tally, place): VigRow => ({ source: names[place] ?? null, ...tally.result(quantiles.of(String(place))) }));
  return {
    quantiles: QUANTILES,
    all: all.result(quantiles.of(ALL)),
    sources: sources
      .filter(({ num_samples, num_text_only }) => num_samples + num_text_only > 0)
      .sort((a, b) => (b.mean_vig.value ?? -Infinity) - (a.mean_vig.value ?? -Infinity) || 0),
    token_quantiles: quantiles.of(TOKENS) ?? [],
    words: words.result(),
  };
}

/** `vig` null: text-only. `tokenVig` is a view. */
function eachSample(batch: RecordBatch, visit: (source: string, vig: number | null, tokenVig: Float32Array) => void): void {
  const vigs = columnData<Float64>(batch, "vig");
  const sources = columnData<Utf8>(batch, "source");
  const tokens = columnData<List>(batch, "token_vig");
  const values = tokens.children[0]!.values as Float32Array;
  for (let row = 0; row < batch.numRows; row++) {
    visit(utf8Value(sources, row), isNull(vigs, row) ? null : vigs.values[row]!, values.subarray(tokens.valueOffsets[row], tokens.valueOffsets[row + 1]));
  }
}
