import { beforeAll, describe, expect, it } from "vitest";
import { columnData, numericListValue, utf8Values } from "../../src/core/record-batch.ts";
import type { Batch, MapStage, SplitScope } from "../../src/core/stage.ts";
import { blur, blurConfig } from "../../src/stages/blur.ts";
import { decode, decodeConfig } from "../../src/stages/decode.ts";
import { pairedInference, pairedInferenceConfig } from "../../src/stages/paired-inference.ts";
import { tokenDelta } from "../../src/stages/token-delta.ts";
import { tokenize } from "../../src/stages/tokenize.ts";
import { noImages, pngOf, sample, samplesBatch } from "./samples.ts";
import { scriptedModel, VIEW_SIDE } from "./scripted-model.ts";
import { plainSplit, stageConformance } from "./stage-conformance.ts";

const never = new AbortController().signal;
const model = scriptedModel();
const limits = decodeConfig.parse({});
const files = new Map<string, Uint8Array>();

beforeAll(async () => {
  for (const seed of [1, 2, 3]) files.set(`${seed}.png`, await pngOf(seed));
  files.set("bad.png", (await pngOf(4)).subarray(0, 60));
});

const reads: string[] = [];
const split = (): SplitScope =>
  plainSplit((key) => {
    reads.push(key);
    return Promise.resolve(files.get(key) ?? { code: "image_not_found" as const, message: "no such file" });
  });

const samples = samplesBatch([
  sample("a", ["1.png"], "a red square"),
  sample("b", ["bad.png"], "never seen"),
  sample("c", [], "no image needed"),
  sample("d", ["1.png", "2.png"], "two of them"),
  sample("e", ["gone.png"], "lost"),
  sample("f", ["3.png"], "blue"),
]);

const oneImage = { samples: samplesBatch([sample("a", ["1.png"], "a red square")]), images: noImages };

const stages = {
  tokenize: () => tokenize(model, limits),
  decode: () => decode(limits, { model, keepSource: false }),
  blur: () => blur(blurConfig.parse({}), { model, num_threads: 1 }),
  paired_inference: () =>
    pairedInference(pairedInferenceConfig.parse({}), { model, scorer: { num_workers: 1, num_threads: 1, devices: ["cpu"] } }),
  token_delta: () => tokenDelta({}),
};

/** What reaches a stage when the samples have passed the ones before it. */
async function upTo(kind: keyof typeof stages, input: Batch = { samples, images: noImages }): Promise<Batch> {
  let batch = input;
  const scope = split();
  for (const [name, stage] of Object.entries(stages)) {
    if (name === kind) return batch;
    batch = (await once(stage(), batch, scope)).batch;
  }
  return batch;
}

async function once(stage: MapStage, batch: Batch, scope = split()) {
  const operator = await stage.open(never);
  try {
    return await operator.process(batch, { split: scope, signal: never });
  } finally {
    await operator.close();
  }
}

for (const kind of Object.keys(stages) as (keyof typeof stages)[]) {
  describe(kind, () => {
    stageConformance({ stage: stages[kind], batch: () => upTo(kind), split });
  });
}

describe("tokenize", () => {
  it("rejects a sample without an answer and keeps the rest", async () => {
    const batch = { samples: samplesBatch([sample("x", [], ""), sample("y", [], "yes")]), images: noImages };
    const { batch: out, rejects } = await once(stages.tokenize(), batch);
    expect(utf8Values(out.samples, "sample_id")).toEqual(["y"]);
    expect(rejects).toEqual([{ sample_id: "x", code: "empty_answer", message: "no assistant turn has any text" }]);
  });
});

describe("decode", () => {
  it("decodes an image that several samples show once, and names the file of each reject", async () => {
    const batch = await upTo("decode");
    reads.length = 0;
    const { batch: out, rejects } = await once(stages.decode(), batch);
    expect(reads.filter((key) => key === "1.png")).toHaveLength(1);
    expect(utf8Values(out.images, "image_key")).toEqual(["1.png", "2.png", "3.png"]);
    expect(rejects.map((reject) => [reject.sample_id, reject.code])).toEqual([
      ["b", "image_corrupt"],
      ["e", "image_not_found"],
    ]);
    expect(rejects[0]!.message).toMatch(/^bad\.png: /);
  });

  it("goes no further with an image at an abort", async () => {
    const controller = new AbortController();
    const reason = new Error("stopped");
    const operator = await stages.decode().open(never);
    const aborting = plainSplit(() => (controller.abort(reason), Promise.resolve(files.get("1.png")!)));
    await expect(operator.process(await upTo("decode", oneImage), { split: aborting, signal: controller.signal })).rejects.toBe(reason);
    await operator.close();
  });

  it("rejects a later sample for an image that failed in an earlier batch, without reading it again", async () => {
    const batch = await upTo("decode");
    const one = (row: number): Batch => ({ ...batch, samples: batch.samples.slice(row, row + 1) });
    const operator = await stages.decode().open(never);
    const scope = split();
    reads.length = 0;
    const [first, second] = await Promise.all([operator.process(one(1), { split: scope, signal: never }), operator.process(one(1), { split: scope, signal: never })]);
    expect(first.rejects).toEqual(second.rejects);
    expect(reads).toEqual(["bad.png"]);
    await operator.close();
  });
});

describe("blur", () => {
  it("flattens a view and leaves the clean one alone", async () => {
    const batch = await upTo("blur");
    const { batch: out } = await once(blur(blurConfig.parse({ sigma_px: 50 }), { model, num_threads: 1 }), batch);
    const spread = (name: string) => {
      const { values } = columnData(out.images, name);
      const first = values.subarray(0, VIEW_SIDE * VIEW_SIDE * 3).filter((_: number, i: number) => i % 3 === 0);
      return Math.max(...first) - Math.min(...first);
    };
    expect(spread("pixels")).toBeGreaterThan(100);
    expect(spread("pixels_blur")).toBeLessThan(20);
  });

  it("does not wait for an image at an abort", async () => {
    const controller = new AbortController();
    const reason = new Error("stopped");
    const operator = await stages.blur().open(never);
    const blurring = operator.process(await upTo("blur", oneImage), { split: split(), signal: controller.signal });
    controller.abort(reason);
    await expect(blurring).rejects.toBe(reason);
    await operator.close();
  });

  it("can blur the source instead, and drops it again", async () => {
    const batch = await upTo("decode");
    const kept = (await once(decode(limits, { model, keepSource: true }), batch)).batch;
    const { batch: out } = await once(blur(blurConfig.parse({ at: "source" }), { model, num_threads: 1 }), kept);
    const plain = (await once(stages.decode(), batch)).batch;
    expect(utf8Values(out.images, "image_key")).toEqual(utf8Values(plain.images, "image_key"));
    expect(columnData(out.images, "pixels").values).toEqual(columnData(plain.images, "pixels").values);
    expect(columnData(out.images, "pixels_blur").length).toBe(plain.images.numRows);
  });

  it.each([
    ["gray", [128, 128, 128]],
    ["mean_color", null],
  ] as const)("stands %s in", async (stand_in, color) => {
    const batch = await upTo("blur");
    const { batch: out } = await once(blur(blurConfig.parse({ stand_in }), { model, num_threads: 1 }), batch);
    const { values } = columnData(out.images, "pixels_blur");
    expect([...values.subarray(0, 3)]).toEqual([...values.subarray(3, 6)]);
    if (color) expect([...values.subarray(0, 3)]).toEqual(color);
  });

  it("refuses two sigmas", () => {
    expect(blurConfig.safeParse({ sigma_px: 3, sigma_fraction: 0.2 }).success).toBe(false);
  });
});

describe("paired_inference", () => {
  it("rejects the sample whose log-probabilities are not finite, and no other", async () => {
    const scorer = await model.openScorer({ num_workers: 1, num_threads: 1, devices: ["cpu"] }, never);
    const broken = scriptedModel();
    broken.openScorer = () =>
      Promise.resolve({
        ...scorer,
        async score(request, signal) {
          const response = await scorer.score(request, signal);
          response.sequences[1]!.nll_blur[2] = Number.NaN;
          return response;
        },
      });
    const stage = pairedInference(pairedInferenceConfig.parse({}), { model: broken, scorer: { num_workers: 1, num_threads: 1, devices: ["cpu"] } });
    const { batch, rejects } = await once(stage, await upTo("paired_inference"));
    expect(rejects).toEqual([{ sample_id: "d", code: "non_finite_nll", message: "answer token 2 of 3 has a NaN or infinite log-probability" }]);
    expect(utf8Values(batch.samples, "sample_id")).toEqual(["a", "c", "f"]);
  });

  it("leaves text-only samples without NLLs", async () => {
    const { batch } = await once(stages.paired_inference(), await upTo("paired_inference"));
    const row = utf8Values(batch.samples, "sample_id").indexOf("c");
    expect(numericListValue(columnData(batch.samples, "token_nll_image"), row)).toBeNull();
    expect(numericListValue(columnData(batch.samples, "token_id"), row)).toHaveLength(3);
  });
});

describe("token_delta", () => {
  it("stores token VIG as the float32 difference and its float64 mean", async () => {
    const input = await upTo("token_delta");
    const { batch } = await once(stages.token_delta(), input);
    const read = (from: typeof batch, name: string) => numericListValue<Float32Array>(columnData(from.samples, name), 0)!;
    const [clean, blurred, vig] = [read(input, "token_nll_image"), read(input, "token_nll_blur"), read(batch, "token_vig")];
    expect([...vig]).toEqual([...clean].map((value, t) => Math.fround(blurred[t]! - value)));
    const mean = (values: Float32Array) => values.reduce((sum, value) => sum + value, 0) / values.length;
    const column = (name: string) => columnData(batch.samples, name).values[0] as number;
    expect(column("vig")).toBe([...vig].reduce((sum, value) => sum + value, 0) / vig.length);
    expect(column("nll_image")).toBeCloseTo(mean(clean), 6);
    expect(column("nll_blur") - column("nll_image")).toBeCloseTo(column("vig"), 6);
  });
});
