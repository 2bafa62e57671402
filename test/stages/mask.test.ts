import { Field, Int32, Schema } from "apache-arrow";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { scoresSchema, selectionSchema } from "../../src/core/columns.ts";
import { int32Column, projectColumns, withColumns } from "../../src/core/record-batch.ts";
import type { Masker, Threshold } from "../../src/core/selection.ts";
import { mask, maskConfig, type MaskConfig } from "../../src/stages/mask.ts";
import { carried, scored, scoredSample, scoresBatches, scoresOf, selectedRows, textOnly, vigOf, type ScoredSample, type SelectedRow } from "./selection-scores.ts";

const at = (tau: number): Threshold => ({ target: { dataset: "selection", top_percent: null, tau }, tau, num_vig: null, k: null });

function open(config: Partial<MaskConfig>, tau: number): Masker {
  return mask(maskConfig.parse(config)).open(at(tau), []);
}

function runMask(masker: Masker, samples: readonly ScoredSample[], batchRows = 1000): SelectedRow[] {
  const batches = scoresBatches(samples, batchRows);
  while (masker.columns) {
    const schema = new Schema(scoresSchema.fields.filter((field) => masker.columns!.includes(field.name)));
    for (const batch of batches) masker.observe(projectColumns(batch, schema));
    masker.endPass();
  }
  const schema = new Schema(scoresSchema.fields.filter((field) => masker.selectColumns.includes(field.name)));
  return selectedRows(batches.map((batch) => masker.select(projectColumns(batch, schema))));
}

/** The rule of the method, row by row over plain values. */
function naive(granularity: "sample" | "token" | "sample_and_token", samples: readonly ScoredSample[], tau: number): SelectedRow[] {
  return samples.flatMap((sample, i): SelectedRow[] => {
    const vig = vigOf(sample);
    if (!sample.token_vig) return [row(i, vig, sample.tokens.map(() => true), "text_only")];
    if (granularity !== "token" && !(vig! >= tau)) return [];
    return [row(i, vig, Array.from(sample.token_vig, (v) => granularity === "sample" || v >= tau), "vig")];
  });
}

function row(i: number, vig: number | null, loss_mask: boolean[], kept_as: string): SelectedRow {
  return { sample_id: `s${i}`, vig, loss_mask, num_active: loss_mask.filter(Boolean).length, kept_as };
}

const samples = fc.array(scoredSample, { maxLength: 40 });
const tau = fc.oneof(fc.double({ min: -1, max: 2, noNaN: true }), fc.constantFrom(0, -0, 0.5, Infinity, -Infinity, 0.001));
const batchRows = fc.integer({ min: 1, max: 50 });
const granularity = fc.constantFrom("sample" as const, "token" as const, "sample_and_token" as const);
const allGranularities = fc.constantFrom("sample" as const, "token" as const, "sample_and_token" as const, "random" as const);

describe("mask", () => {
  const four = [scored(2, 0, -1), textOnly(2), scored(0.5, 0.5), scored(0.2, 0.1)];
  it.each([
    ["sample", [row(2, 0.5, [true, true], "vig")]],
    ["token", [row(0, 1 / 3, [true, false, false], "vig"), row(2, 0.5, [true, true], "vig"), row(3, vigOf(four[3]!), [false, false], "vig")]],
    ["sample_and_token", [row(2, 0.5, [true, true], "vig")]],
  ] as const)("%s at tau 0.5 keeps text-only samples whole and ties", (kind, kept) => {
    const expected = [...kept, row(1, null, [true, true], "text_only")].sort((a, b) => a.sample_id.localeCompare(b.sample_id));
    expect(runMask(open({ granularity: kind }, 0.5), four)).toEqual(expected);
  });

  it("equals the rule row by row, however the rows are cut into batches", () => {
    fc.assert(
      fc.property(granularity, samples, tau, batchRows, (kind, rows, threshold, size) => {
        expect(runMask(open({ granularity: kind }, threshold), rows, size)).toEqual(naive(kind, rows, threshold));
      }),
      { numRuns: 200 },
    );
  });

  it("carries the other columns over unchanged", () => {
    const rows = [scored(2, 1), scored(-1), textOnly(1), scored(3, 3, 3)];
    const [batch] = scoresBatches(rows, 10);
    const selection = open({ granularity: "sample" }, 1).select(batch!);
    expect(selection.schema.names).toEqual(selectionSchema.names);
    expect([0, 1, 2].map((i) => carried(selection, i))).toEqual([0, 2, 3].map((i) => carried(batch!, i)));
  });

  it("counts what it has seen and kept", () => {
    fc.assert(
      fc.property(allGranularities, samples, tau, (kind, rows, threshold) => {
        const masker = open({ granularity: kind }, threshold);
        const selected = runMask(masker, rows);
        const withVig = rows.filter((sample) => sample.token_vig);
        const sum = (list: readonly number[]) => list.reduce((all, n) => all + n, 0);
        const active = sum(selected.map((r) => r.num_active));
        const textOnlyTokens = sum(rows.map((sample) => (sample.token_vig ? 0 : sample.tokens.length)));
        expect(masker.counts()).toMatchObject({
          num_vig: withVig.length,
          num_text_only: rows.length - withVig.length,
          num_kept_vig: selected.filter((r) => r.kept_as === "vig").length,
          num_ties: withVig.filter((sample) => vigOf(sample) === threshold).length,
          num_tokens: sum(rows.map((sample) => sample.tokens.length)),
          num_vig_tokens: sum(withVig.map((sample) => sample.tokens.length)),
          num_active: active,
          num_vig_active: active - textOnlyTokens,
        });
      }),
    );
  });

  it("tells the active share on both sides of 0, and warns, only where tau is near 0", () => {
    fc.assert(
      fc.property(granularity, samples, fc.double({ min: -0.02, max: 0.02, noNaN: true }), (kind, rows, threshold) => {
        const masker = open({ granularity: kind }, threshold);
        runMask(masker, rows, 7);
        const numTokens = masker.counts().num_vig_tokens;
        const share = (t: number) => {
          const kept = naive(kind, rows, t).filter((r) => r.kept_as === "vig");
          return kept.reduce((sum, r) => sum + r.num_active, 0) / numTokens;
        };
        const near = Math.abs(threshold) < 0.01 && numTokens > 0;
        expect(masker.counts().near_zero).toEqual(near ? { eps: 0.01, active_share_below: share(-0.01), active_share_above: share(0.01) } : null);
        expect(masker.warnings().map(({ code }) => code)).toEqual(near ? ["tau_near_zero"] : []);
      }),
    );
  });

  it("passes extra columns through behind its own", () => {
    const extra = new Field("licence", new Int32(), true);
    const batch = withColumns(scoresOf([scored(1), scored(-1), scored(2)]), [extra], { licence: int32Column(Int32Array.of(7, 8, 9)) });
    const stage = mask(maskConfig.parse({}));
    const selection = stage.open(at(0.5), [extra]).select(batch);
    expect(selection.schema.names).toEqual([...selectionSchema.names, "licence"]);
    expect(selection.schema.names).toEqual(stage.outputSchema(batch.schema, [extra]).names);
    expect(Array.from(selection.getChild("licence")!)).toEqual([7, 9]);
  });

  it("names a column that scores lack", () => {
    const stage = mask(maskConfig.parse({}));
    const without = new Schema(scoresSchema.fields.filter((field) => field.name !== "token_vig"));
    expect(() => stage.outputSchema(without, [])).toThrow("token_vig");
  });

  it("refuses scores whose lists do not fit num_tokens", () => {
    const batch = withColumns(scoresOf([scored(1, 2)]), [scoresSchema.fields.find((field) => field.name === "num_tokens")!], { num_tokens: int32Column(Int32Array.of(3)) });
    expect(() => open({}, 0).select(batch)).toThrow("token_vig has 2 values where num_tokens is 3");
  });
});

describe("mask with granularity random", () => {
  it("keeps as many samples and active tokens as sample_and_token, and text-only samples whole", () => {
    fc.assert(
      fc.property(samples, tau, fc.nat({ max: 1000 }), (rows, threshold, seed) => {
        const masker = open({ granularity: "random", seed }, threshold);
        const random = runMask(masker, rows);
        const reference = naive("sample_and_token", rows, threshold);
        const ofVig = (selected: readonly SelectedRow[]) => selected.filter((r) => r.kept_as === "vig");
        const active = (selected: readonly SelectedRow[]) => ofVig(selected).reduce((sum, r) => sum + r.num_active, 0);
        expect(ofVig(random)).toHaveLength(ofVig(reference).length);
        const numDrawn = ofVig(random).reduce((sum, r) => sum + r.loss_mask.length, 0);
        expect(active(random)).toBe(Math.min(active(reference), numDrawn));
        expect(masker.warnings().some(({ code }) => code === "configuration")).toBe(numDrawn < active(reference));
        expect(random.filter((r) => r.kept_as === "text_only")).toEqual(reference.filter((r) => r.kept_as === "text_only"));
      }),
    );
  });

  it("depends on the seed and on positions, not on batches", () => {
    const rows = Array.from({ length: 60 }, (_, i) => (i % 9 === 0 ? textOnly(2) : scored(Math.sin(i), Math.cos(i), 0.3)));
    const draw = (seed: number, size: number) => runMask(open({ granularity: "random", seed }, 0.2), rows, size);
    expect(draw(5, 7)).toEqual(draw(5, 60));
    expect(draw(6, 7)).not.toEqual(draw(5, 7));
  });

  it("draws every sample and every token about equally often", () => {
    const rows = [scored(1, 1), scored(-1, -1), scored(-1, 1), scored(1, -1)];
    const drawn = new Float64Array(4);
    const active = new Float64Array(8);
    for (let seed = 0; seed < 4000; seed++) {
      for (const { sample_id, loss_mask } of runMask(open({ granularity: "random", seed }, 0), rows)) {
        const i = Number(sample_id.slice(1));
        drawn[i]!++;
        loss_mask.forEach((bit, t) => (active[2 * i + t]! += Number(bit)));
      }
    }
    // 3 of 4 samples, and 4 of their 6 tokens: 3000 of 4000 and 2000 of 4000, within 5 standard deviations.
    for (const count of drawn) expect(Math.abs(count - 3000)).toBeLessThan(5 * Math.sqrt(4000 * 0.75 * 0.25));
    for (const count of active) expect(Math.abs(count - 2000)).toBeLessThan(5 * Math.sqrt(4000 * 0.5 * 0.5));
  });
});
