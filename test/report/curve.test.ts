import { describe, expect, it } from "vitest";
import { columnData } from "../../src/core/record-batch.ts";
import { CurveCount } from "../../src/report/curve.ts";
import { chooseBins } from "../../src/report/distribution.ts";
import type { Granularity } from "../../src/report/run-manifest.ts";
import { Census, QuantileSearch } from "../../src/report/stops.ts";
import { scoresOf, select, type SyntheticSample, syntheticSamples } from "./synthetic-run.ts";

const given = (tau: number) => ({ ...select(syntheticSamples(1), 50).threshold, top_percent: null, tau });

function count(samples: readonly SyntheticSample[], granularity: Granularity = "sample_and_token", batchRows = 97) {
  const scores = scoresOf(samples);
  const batches = Array.from({ length: Math.ceil(samples.length / batchRows) }, (_, i) => scores.slice(i * batchRows, Math.min(samples.length, (i + 1) * batchRows)));
  const census = new Census();
  for (const batch of batches) census.observe(batch);
  const search = new QuantileSearch(census, [select(samples, 33.3).threshold, given(0.25)]);
  while (!search.done) {
    for (const batch of batches) search.observe(batch);
    search.endPass();
  }
  const bins = chooseBins(-1, 2);
  const counting = new CurveCount({ stops: search.stops(), granularity, sources: census.sources(), bins, tokenBins: chooseBins(-8, 16) });
  for (const batch of batches) counting.observe(batch);
  return { census, counting };
}

/** The rule, row by row, from the stored columns. */
function naive(samples: readonly SyntheticSample[], tau: number, granularity: Granularity) {
  const scores = scoresOf(samples);
  const vigs = columnData(scores, "vig");
  let kept = 0;
  let active = 0;
  for (const [row, sample] of samples.entries()) {
    if (sample.images.length === 0) continue;
    const vig = (vigs.values as Float64Array)[row]!;
    if (vig >= tau) kept++;
    const tokens = sample.tokens.filter((token) => (granularity === "sample" ? vig >= tau : token.vig >= tau && (granularity === "token" || vig >= tau)));
    active += tokens.length;
  }
  return { kept, active };
}

describe("the curve", () => {
  const samples = syntheticSamples(700);

  it.each(["sample", "token", "sample_and_token", "random"] as const)("counts what %s keeps at every stop as the rule does", (granularity) => {
    for (const point of count(samples, granularity).counting.curve()) {
      const expected = naive(samples, point.tau, granularity === "random" ? "sample_and_token" : granularity);
      expect({ kept: point.num_kept, active: point.num_active }, `tau ${point.tau}`).toEqual(expected);
    }
  });

  it("has a stop at every half percent, and at what was asked for or given", () => {
    const curve = count(samples).counting.curve();
    const percents = curve.flatMap(({ top_percent }) => (top_percent === null ? [] : [top_percent]));
    expect(percents).toHaveLength(201);
    expect(percents).toContain(33.3);
    expect(curve.find(({ top_percent }) => top_percent === null)?.tau).toBe(0.25);
    const taus = curve.map(({ tau }) => tau);
    expect(taus).toEqual([...taus].sort((a, b) => b - a));
  });

  it("has the selection's tau where the selection has it", () => {
    const { threshold, tau } = select(samples, 33.3);
    const point = count(samples).counting.curve().find(({ top_percent }) => top_percent === 33.3);
    expect(point).toEqual({ top_percent: 33.3, tau, num_kept: threshold.counts.num_kept_vig, num_active: threshold.counts.num_vig_active });
  });

  it("does not depend on how rows are cut into batches", () => {
    expect(count(samples, "sample_and_token", 1).counting.curve()).toEqual(count(samples, "sample_and_token", 700).counting.curve());
  });

  it("splits into sources that add up to it", () => {
    const { counting } = count(samples);
    const [curve, sources] = [counting.curve(), counting.sources()];
    for (const [i, point] of curve.entries()) {
      expect(sources.reduce((sum, source) => sum + source.num_kept[i]!, 0)).toBe(point.num_kept);
      expect(sources.reduce((sum, source) => sum + source.num_active[i]!, 0)).toBe(point.num_active);
    }
    expect(sources.map(({ name }) => name)).toEqual(["captions", "yes_no", "documents", "mislabelled", "chat"]);
    expect(sources.at(-1)).toMatchObject({ num_samples: 0, num_text_only: samples.filter(({ images }) => images.length === 0).length });
  });

  it("counts every sample and token in its distributions once", () => {
    const { counting, census } = count(samples);
    const total = ({ counts, num_below, num_above }: ReturnType<typeof counting.distribution>): number => counts.reduce((sum, n) => sum + n, num_below + num_above);
    expect(total(counting.distribution())).toBe(census.num_vig);
    expect(total(counting.tokenDistribution())).toBe(samples.filter(({ images }) => images.length > 0).reduce((sum, sample) => sum + sample.tokens.length, 0));
  });

  it("merges what is beyond the largest sources", () => {
    const many = samples.map((sample, i) => ({ ...sample, source: `source ${i % 60}` }));
    const sources = count(many).counting.sources();
    expect(sources).toHaveLength(25);
    expect(sources.filter(({ name }) => name === null)).toHaveLength(1);
    expect(sources.reduce((sum, { num_samples, num_text_only }) => sum + num_samples + num_text_only, 0)).toBe(many.length);
  });

  it("is empty where no sample has an image", () => {
    const { counting } = count(samples.filter(({ images }) => images.length === 0));
    expect(counting.curve().filter(({ num_kept }) => num_kept > 0)).toEqual([]);
  });
});

describe("bins", () => {
  it.each([
    [-1, 2],
    [0.001, 0.002],
    [-30, -10],
    [0, 0],
  ])("of %d to %d hold both and have an edge at 0", (low, high) => {
    const { start, width, count: number } = chooseBins(low, high);
    expect(start).toBeLessThanOrEqual(Math.min(0, low));
    expect(start + width * number).toBeGreaterThan(Math.max(0, high));
    expect(Math.abs(Math.round(start / width) - start / width)).toBeLessThan(1e-9);
  });
});
