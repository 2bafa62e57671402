import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ScorerReport, SequenceNlls } from "../../src/model/contract.ts";
import { loadModel } from "../../src/model/load-model.ts";
import type { ModelOptions } from "../../src/model/model-config.ts";
import { fixtureFolder, type GoldenCase, readGolden, requestOf } from "./golden.ts";

const golden = readGolden("llava");

interface DtypeCase {
  readonly id: string;
  readonly nll_image: readonly number[];
  readonly nll_blur: readonly number[] | null;
}

/** What onnxruntime gives in Python: batch 1, full logits. */
const dtypes = JSON.parse(readFileSync(join(golden.folder, "dtypes.json"), "utf8")) as Record<string, { cases: readonly DtypeCase[] }>;

const cases: readonly GoldenCase[] = golden.cases.filter(({ variant }) => variant === "default");

async function score(folder: string, dtype: ModelOptions["dtype"]): Promise<{ nlls: readonly SequenceNlls[]; head: ScorerReport["head"] }> {
  const model = await loadModel({ path: folder, dtype });
  const scorer = await model.openScorer({ num_workers: 1, num_threads: 1, devices: ["cpu"] }, new AbortController().signal);
  try {
    const { sequences } = await scorer.score(await requestOf(golden, model, cases), new AbortController().signal);
    return { nlls: sequences, head: scorer.report.head };
  } finally {
    await scorer.close();
  }
}

/** Largest and mean difference of a token's NLL, clean or blurred. */
function differences(nlls: readonly SequenceNlls[], wanted: readonly DtypeCase[]): { largest: number; mean: number } {
  const all = nlls.flatMap(({ nll_image, nll_blur }, i) => {
    const found = wanted.find(({ id }) => id === cases[i]!.id)!;
    const clean = found.nll_image.map((value, t) => Math.abs(value - nll_image[t]!));
    const blurred = (found.nll_blur ?? []).map((value, t) => Math.abs(value - nll_blur[t]!));
    return [...clean, ...blurred];
  });
  return { largest: Math.max(...all), mean: all.reduce((sum, value) => sum + value, 0) / all.length };
}

const decoder = (dtype: "q4" | "q8") => ({ decoder_model_merged: dtype }) as const;

describe("reduced precision gives what the same graphs give with full logits, one sample at a time", () => {
  test.each([
    ["fp16", "fp16", { largest: 0.1, mean: 0.01 }],
    ["q4", decoder("q4"), { largest: 1e-3, mean: 1e-4 }],
    // All rows of a batch share one scale of their activations, so that numbers move with the batch.
    ["quantized", decoder("q8"), { largest: 3, mean: 0.5 }],
  ] as const)("%s", async (name, dtype, allowed) => {
    const { nlls, head } = await score(golden.folder, dtype);
    expect(head).toEqual({ kind: "answer_rows" });
    const { largest, mean } = differences(nlls, dtypes[name]!.cases);
    if (process.env["VIG_PRINT"]) console.log(name, { largest, mean });
    expect(largest).toBeLessThan(allowed.largest);
    expect(mean).toBeLessThan(allowed.mean);
  });
});

test("a dtype whose numbers move with the batch is warned of", async () => {
  const warned = (await loadModel({ path: golden.folder, dtype: decoder("q8") })).warnings.join();
  expect(warned).toContain("decoder_model_merged): a sample's NLLs move with the samples beside it");
  expect((await loadModel({ path: golden.folder, dtype: decoder("q4") })).warnings.join()).not.toContain("move with");
});

describe("in a changed folder", () => {
  let folder: string;

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "vig-dtypes-"));
    cpSync(fixtureFolder("llava"), folder, { recursive: true });
  });

  afterAll(() => rmSync(folder, { recursive: true }));

  test("graphs whose inputs and outputs are float16 are fed and read", async () => {
    cpSync(fileURLToPath(new URL("../fixtures/half-precision-io/onnx", import.meta.url)), join(folder, "onnx"), { recursive: true });
    const { nlls, head } = await score(folder, "fp16");
    expect(head).toEqual({ kind: "answer_rows" });
    expect(differences(nlls, golden.cases.filter(({ variant }) => variant === "default")).mean).toBeLessThan(0.05);
  });

  test("weights in a file beside the graph are found", async () => {
    cpSync(join(golden.folder, "onnx_external"), join(folder, "onnx"), { recursive: true });
    const { nlls, head } = await score(folder, "fp32");
    expect(head).toEqual({ kind: "answer_rows" });
    expect(differences(nlls, golden.cases.filter(({ variant }) => variant === "default")).largest).toBeLessThan(1e-3);
  });
});
