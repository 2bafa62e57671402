import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { agreementOf, tausOf } from "../../src/analysis/agreement.ts";
import { joinScores, type ScoredRow } from "../../src/analysis/join-scores.ts";
import { overviewOf } from "../../src/analysis/overview.ts";
import { compareImages, variantsIn, VariantTally } from "../../src/analysis/variants.ts";
import { rankCorrelation } from "../../src/kernels/rank-correlation.ts";
import { RandomStream } from "../../src/kernels/random-stream.ts";
import { ScoresFolder } from "../../src/report/scores-folder.ts";
import { select, type SyntheticSample, syntheticSamples, writeSyntheticRun } from "../report/synthetic-run.ts";

/** Held against plain arithmetic over samples in memory. */
const { signal } = new AbortController();
const samples = syntheticSamples(5_000);
const shown = samples.filter((sample) => sample.images.length > 0);
const vigOf = (sample: SyntheticSample): number => sample.tokens.reduce((sum, token) => sum + token.vig, 0) / sample.tokens.length;

/** The same data by a model that sees it a little differently. */
const random = new RandomStream(9);
const others = samples.map((sample) => ({ ...sample, tokens: sample.tokens.map((token) => ({ ...token, vig: Math.fround(token.vig + 2 * (random.uniform() - 0.5)) })) }));
/** Some of its samples were rejected, far apart from those missing in the first. */
const fewer = others.filter((_, i) => i % 7 !== 3);

let root: string;
const open: ScoresFolder[] = [];
async function folderOf(name: string, rows: readonly SyntheticSample[]): Promise<ScoresFolder> {
  const folder = await ScoresFolder.open((await writeSyntheticRun(path.join(root, name), { samples: rows, with_images: false })).path);
  open.push(folder);
  return folder;
}

beforeAll(async () => {
  root = await mkdtemp(path.join(tmpdir(), "analysis-"));
});
afterAll(async () => {
  for (const folder of open) await folder.close();
  await rm(root, { recursive: true });
});

describe("overview", () => {
  it("counts what plain loops count", async () => {
    const { all, sources, words, token_quantiles, quantiles } = await overviewOf(await folderOf("overview", samples), signal);
    const vigs = shown.map(vigOf);
    expect(all.num_samples).toBe(shown.length);
    expect(all.num_text_only).toBe(samples.length - shown.length);
    expect(all.num_hurt).toBe(vigs.filter((vig) => vig < 0).length);
    expect(all.num_clearly_hurt).toBe(vigs.filter((vig) => vig < -0.01).length);
    expect(all.num_tokens_hurt).toBe(shown.flatMap((sample) => sample.tokens).filter((token) => token.vig < 0).length);
    expect(all.mean_vig.value).toBeCloseTo(vigs.reduce((sum, vig) => sum + vig, 0) / vigs.length, 9);
    const half = quantiles.indexOf(50);
    expect(all.quantiles[half]).toBe([...vigs].sort((a, b) => a - b)[Math.ceil(vigs.length / 2) - 1]);
    expect(token_quantiles).toHaveLength(quantiles.length);
    expect(sources.map(({ source }) => source)).toEqual(["captions", "yes_no", "documents", "mislabelled", "chat"]);
    const captions = shown.filter(({ source }) => source === "captions");
    expect(sources[0]!.num_samples).toBe(captions.length);
    expect(sources[0]!.mean_vig.value).toBeCloseTo(captions.reduce((sum, sample) => sum + vigOf(sample), 0) / captions.length, 9);
    expect(sources.at(-1)).toMatchObject({ num_samples: 0, mean_vig: { value: null }, quantiles: [] });
    expect(words.highest[0]!.mean_vig).toBeGreaterThan(1);
    expect(words.parts_of_speech.length).toBeGreaterThan(3);
  });

  it("of text-only samples says so", async () => {
    const { all, token_quantiles } = await overviewOf(await folderOf("text", samples.filter((sample) => sample.images.length === 0)), signal);
    expect(all).toMatchObject({ num_samples: 0, quantiles: [], mean_vig: { value: null } });
    expect(token_quantiles).toEqual([]);
  });
});

describe("agreement", () => {
  it("is that of the samples in both", async () => {
    const [a, b] = [await folderOf("a", samples), await folderOf("b", fewer)];
    const agreement = await agreementOf(a, b, [30, 70], signal);
    const pairs = fewer.flatMap((other) => {
      const own = samples.find(({ sample_id }) => sample_id === other.sample_id)!;
      return own.images.length > 0 ? [[own, other] as const] : [];
    });
    expect(agreement).toMatchObject({ num_joined: fewer.length, num_only_a: samples.length - fewer.length, num_only_b: 0, num_text_only: fewer.length - pairs.length, num_other_tokens: 0 });
    expect(agreement.samples.rank_correlation).toBeCloseTo(rankCorrelation(pairs.map(([one]) => vigOf(one)), pairs.map(([, other]) => vigOf(other))), 12);
    const tokens = (side: 0 | 1): number[] => pairs.flatMap((pair) => pair[side].tokens.map(({ vig }) => vig));
    expect(agreement.tokens.rank_correlation).toBeCloseTo(rankCorrelation(tokens(0), tokens(1)), 12);

    const [tau_a, tau_b] = [select(samples, 70).tau, select(fewer, 70).tau];
    const kept = (pair: readonly [SyntheticSample, SyntheticSample], side: 0 | 1): boolean => vigOf(pair[side]) >= [tau_a, tau_b][side]!;
    const both = pairs.filter((pair) => kept(pair, 0) && kept(pair, 1)).length;
    const either = pairs.filter((pair) => kept(pair, 0) || kept(pair, 1)).length;
    const at70 = agreement.selections[1]!;
    expect(at70).toMatchObject({ top_percent: 70, tau_a, tau_b });
    expect(at70.samples.num_both).toBe(both);
    expect(at70.samples.jaccard).toBeCloseTo(both / either, 12);
    const { num_a, num_b } = at70.samples;
    const chance = (num_a * num_b) / pairs.length;
    expect(at70.samples.jaccard_by_chance).toBeCloseTo(chance / (num_a + num_b - chance), 12);
    const active = (pair: readonly [SyntheticSample, SyntheticSample], side: 0 | 1, t: number): boolean => kept(pair, side) && pair[side].tokens[t]!.vig >= [tau_a, tau_b][side]!;
    expect(at70.tokens!.num_both).toBe(pairs.reduce((sum, pair) => sum + pair[0].tokens.filter((_, t) => active(pair, 0, t) && active(pair, 1, t)).length, 0));
  });

  it("with itself is complete", async () => {
    const folder = await folderOf("self", samples);
    const { samples: ranks, selections } = await agreementOf(folder, folder, [50], signal);
    expect(ranks.rank_correlation).toBeCloseTo(1, 12);
    expect(selections[0]).toMatchObject({ samples: { jaccard: 1 }, tokens: { jaccard: 1 } });
  });

  it("says nothing of tokens that differ", async () => {
    const split = samples.map((sample) => ({ ...sample, tokens: [...sample.tokens, sample.tokens[0]!] }));
    const agreement = await agreementOf(await folderOf("tokens-a", samples), await folderOf("tokens-b", split), [50], signal);
    expect(agreement.num_other_tokens).toBe(shown.length);
    expect(agreement.tokens.rank_correlation).toBeNull();
    expect(agreement.selections[0]!.tokens).toBeNull();
    expect(agreement.samples.rank_correlation).toBeGreaterThan(0.9);
  });

  it("of other data is refused with an id", async () => {
    const renamed = samples.map((sample) => ({ ...sample, sample_id: `other-${sample.sample_id}` }));
    await expect(agreementOf(await folderOf("ids-a", samples), await folderOf("ids-b", renamed), [50], signal)).rejects.toThrow(/are not scores of the same samples: 0 sample_ids of 5000 .*; ".*" was not/);
  });

  it("has the selection's own tau", async () => {
    const folder = await folderOf("tau", samples);
    expect(await tausOf(folder, [30, 70, 100], signal)).toEqual([30, 70, 100].map((percent) => select(samples, percent).tau));
  });
});

describe("the join", () => {
  it("finds partners whatever is missing where", async () => {
    const [a, b] = [samples.filter((_, i) => i >= 1_500), samples.filter((_, i) => i < 4_000 || i % 2 === 0)];
    const found: ScoredRow[] = [];
    const { num_unmatched } = await joinScores([await folderOf("join-a", a), await folderOf("join-b", b)], ([one]) => found.push(one!), signal);
    expect(found).toHaveLength(3_000);
    expect(num_unmatched).toEqual([500, 1_500]);
  });
});

describe("variants", () => {
  const grouped = (n: number, vigs: (i: number) => readonly [number, number, number]): SyntheticSample[] =>
    Array.from({ length: n }, (_, i) => ["match", "partial", "contra"].map((name, k): SyntheticSample => ({ ...shown[0]!, sample_id: `t-${i}-${name}`, images: [`${i}-${k}.png`], tokens: [{ text: "x", vig: Math.fround(vigs(i)[k]!), nll_image: 1 }] }))).flat();

  it("are counted in order, strictly", () => {
    const tally = new VariantTally(["a", "b", "c"]);
    for (const vigs of [[3, 2, 1], [3, 2, 2], [1, 2, 0], [3, 2, -1]]) tally.add(vigs);
    const { in_order, pairs_in_order, variants, num_groups } = tally.result(0);
    expect(num_groups).toBe(4);
    expect(in_order.value).toBe(0.5);
    expect(pairs_in_order.map((pair) => pair.in_order.value)).toEqual([0.75, 0.75]);
    expect(variants.map(({ mean_vig }) => mean_vig.value)).toEqual([2.5, 2, 0.5]);
    expect(variants[2]!.share_negative.value).toBe(0.25);
    expect(variants[2]!.quantiles).toHaveLength(9);
  });

  it("are found by the last part of the id, however rows are ordered", async () => {
    const rows = [...grouped(10, (i) => (i < 8 ? [2, 1, 0] : [0, 1, 2])), { ...shown[0]!, sample_id: "t-99-match" }, { ...shown[0]!, sample_id: "alone" }].reverse();
    const found = await variantsIn(await folderOf("variants", rows), ["match", "partial", "contra"], signal);
    expect(found).toMatchObject({ num_groups: 10, num_left_out: 2, in_order: { value: 0.8 } });
    await expect(variantsIn(open.at(-1)!, ["x", "y"], signal)).rejects.toThrow(/has no group of samples \.\.\.-x, \.\.\.-y/);
  });

  it("of other images leave out samples that kept theirs", async () => {
    const swapped = samples.map((sample, i) => (sample.images.length === 0 || i % 10 === 0 ? sample : { ...sample, images: ["another.png"], tokens: sample.tokens.map((token) => ({ ...token, vig: Math.fround(token.vig - 1) })) }));
    const found = await compareImages([await folderOf("own", samples), await folderOf("swapped", swapped)], ["matching", "random"], signal);
    const kept = samples.filter((sample, i) => sample.images.length > 0 && i % 10 === 0).length;
    expect(found).toMatchObject({ num_without_partner: kept, num_groups: shown.length - kept, num_left_out: kept + samples.length - shown.length, in_order: { value: 1 } });
  });
});
