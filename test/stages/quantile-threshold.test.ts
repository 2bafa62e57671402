import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Field, Float64, Schema } from "apache-arrow";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PlanError } from "../../src/core/errors.ts";
import { float64Column, makeRecordBatch } from "../../src/core/record-batch.ts";
import type { SelectionTarget, Threshold, VigHistogram } from "../../src/core/selection.ts";
import { quantileThreshold, quantileThresholdConfig, topPercentTarget } from "../../src/stages/quantile-threshold.ts";

const vigSchema = new Schema([new Field("vig", new Float64(), true)]);
const stage = quantileThreshold({ top_percent: 70 });

function search(vigs: readonly (number | null)[], targets: readonly SelectionTarget[], batchRows = 1000, histogram?: VigHistogram): { thresholds: readonly Threshold[]; passes: number } {
  const searching = stage.open(targets, histogram);
  let passes = 0;
  for (; searching.columns; passes++) {
    expect(searching.columns).toEqual(["vig"]);
    for (let start = 0; start < vigs.length; start += batchRows) {
      const whole = makeRecordBatch(vigSchema, { vig: float64Column(vigs) });
      searching.observe(whole.slice(start, Math.min(vigs.length, start + batchRows)));
    }
    searching.endPass();
  }
  return { thresholds: searching.thresholds(), passes };
}

const vig = fc.oneof(fc.double({ min: -3, max: 5, noNaN: true }), fc.constantFrom(0, -0, 0.5, Number.MIN_VALUE, -Number.MIN_VALUE), fc.constant(null));
const percent = fc.oneof(fc.constantFrom(0, 100, 70, 30, 0.1, 70.1), fc.double({ min: 0, max: 100, noNaN: true }));

describe("the search", () => {
  it("finds what sorting finds, for several percentages at once, with and without the journal's histogram", () => {
    const withHistogram = fc.boolean();
    fc.assert(
      fc.property(fc.array(vig, { maxLength: 120 }), fc.array(percent, { minLength: 1, maxLength: 4 }), fc.integer({ min: 1, max: 130 }), withHistogram, (vigs, percents, batchRows, counted) => {
        const present = vigs.filter((v) => v !== null);
        const sorted = [...present].sort((a, b) => b - a);
        const histogram = counted ? stage.histogram(present) : undefined;
        const { thresholds, passes } = search(vigs, percents.map(topPercentTarget), batchRows, histogram);
        expect(passes).toBeLessThanOrEqual(counted ? 1 : 2);
        for (const [i, { k, tau, num_vig }] of thresholds.entries()) {
          expect(num_vig).toBe(present.length);
          expect(tau).toBe(k === 0 ? Infinity : sorted[k! - 1]! + 0);
          // At least k pass; fewer than k lie above.
          expect(present.filter((v) => v >= tau).length).toBeGreaterThanOrEqual(k!);
          expect(present.filter((v) => v > tau).length).toBeLessThan(Math.max(1, k!));
          expect(Math.abs(k! - (percents[i]! / 100) * present.length)).toBeLessThan(1 + 1e-9);
        }
      }),
    );
  });

  it.each([
    ["all equal", [2, 2, 2], 70, 2],
    ["one sample", [0.3], 1, 0.3],
    ["negative", [-1, -2, -3, -4], 50, -2],
    ["ties at tau", [5, 4, 4, 4, 1], 40, 4],
    ["100 percent", [5, -4, 3], 100, -4],
    ["0 percent", [5, -4, 3], 0, Infinity],
    ["no sample with a VIG", [null, null], 70, Infinity],
    ["nothing at all", [], 70, Infinity],
    ["zeros of both signs", [-0, 0, -0], 50, 0],
  ])("%s", (_name, vigs, top, tau) => {
    const [threshold] = search(vigs, [topPercentTarget(top)]).thresholds;
    expect(threshold!.tau).toBe(tau);
  });

  it("needs no pass where tau is given", () => {
    const target = { dataset: "selection", top_percent: null, tau: 0.25 };
    const { thresholds, passes } = search([1, 2], [target]);
    expect(passes).toBe(0);
    expect(thresholds).toEqual([{ target, tau: 0.25, num_vig: null, k: null }]);
  });

  it("says so where the VIGs are not those of the histogram, or none", () => {
    const wrong = stage.histogram([1, 2, 3]);
    expect(() => search([1, 2, 2.5], [topPercentTarget(1)], 1000, wrong)).toThrow("not those that the journal has counted");
    expect(() => search([1, NaN], [topPercentTarget(50)])).toThrow("NaN");
  });
});

describe("targets", () => {
  let folder: string;
  beforeAll(async () => (folder = await mkdtemp(join(tmpdir(), "tau-from-"))));
  afterAll(() => rm(folder, { recursive: true }));

  const targets = (config: unknown) => quantileThreshold(quantileThresholdConfig.parse(config)).targets();
  const manifest = async (content: unknown): Promise<string> => {
    const path = join(folder, `${Math.random()}.json`);
    await writeFile(path, typeof content === "string" ? content : JSON.stringify(content));
    return path;
  };

  it("are one selection for one percentage or tau, and further ones beside it for a list", async () => {
    expect(await targets({ top_percent: 70 })).toEqual([{ dataset: "selection", top_percent: 70, tau: null }]);
    expect(await targets({ tau: -0.5 })).toEqual([{ dataset: "selection", top_percent: null, tau: -0.5 }]);
    expect(await targets({ top_percent: [70, 30, 0.1, 30] })).toEqual([
      { dataset: "selection", top_percent: 70, tau: null },
      { dataset: "selection@30", top_percent: 30, tau: null },
      { dataset: "selection@0.1", top_percent: 0.1, tau: null },
    ]);
    await expect(targets({})).rejects.toThrow(PlanError);
  });

  it("take the tau of another manifest's main selection", async () => {
    const several = { thresholds: [{ dataset: "selection@30", tau: 1 }, { dataset: "selection", tau: 0.1 + 0.2 }] };
    expect(await targets({ tau_from: await manifest(several) })).toEqual([{ dataset: "selection", top_percent: null, tau: 0.30000000000000004 }]);
    expect(await targets({ tau_from: await manifest({ thresholds: [{ dataset: "selection@30", tau: 1 }] }) })).toMatchObject([{ tau: 1 }]);
  });

  it.each([
    ["no file", null, "can't be read"],
    ["no JSON", "{", "can't be read"],
    ["no manifest", {}, "no thresholds"],
    ["several, none the main one", { thresholds: [{ dataset: "selection@30", tau: 1 }, { dataset: "selection@50", tau: 2 }] }, "several thresholds (selection@30, selection@50)"],
    ["nothing passed", { thresholds: [{ dataset: "selection", tau: null }] }, "nothing passed"],
  ])("refuse a manifest: %s", async (_name, content, message) => {
    const path = content === null ? join(folder, "absent.json") : await manifest(content);
    await expect(targets({ tau_from: path })).rejects.toThrow(message);
    await expect(targets({ tau_from: path })).rejects.toThrow(PlanError);
  });

  it.each([{ top_percent: 101 }, { top_percent: -1 }, { top_percent: [] }, { top_percent: "70" }, { tau: Infinity }, { percent: 70 }])("refuse %j", (config) => {
    expect(quantileThresholdConfig.safeParse(config).success).toBe(false);
  });
});
