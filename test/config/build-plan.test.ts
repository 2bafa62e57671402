import { readFileSync } from "node:fs";
import path from "node:path";
import { Field, Int32, Schema, Utf8 } from "apache-arrow";
import { describe, expect, it } from "vitest";
import { buildPlan, checkPlan } from "../../src/config/build-plan.ts";
import { buildStages, flowSchemas, unreadModel } from "../../src/config/build-stages.ts";
import { parseConfig } from "../../src/config/load-config.ts";
import { resolveResources } from "../../src/config/resources.ts";
import { samplesSchema, scoresSchema, selectionSchema } from "../../src/core/columns.ts";
import { PlanError } from "../../src/core/errors.ts";

const root = path.join(import.meta.dirname, "..", "..");
const example = readFileSync(path.join(root, "pipelines", "select.yaml"), "utf8");
const fixture = path.join(root, "test", "fixtures", "models", "llava");
const configOf = (...overrides: string[]) =>
  parseConfig(example, path.join(root, "pipelines", "select.yaml"), { overrides: [`model.path=${fixture}`, ...overrides], environment: {} });

describe("checkPlan", () => {
  it("knows stages and schemas although nothing that the configuration names exists", async () => {
    const config = parseConfig(example, "/nowhere/pipelines/select.yaml", { environment: {} });
    const { stages, steps, selection } = await checkPlan(config);
    expect(stages).toEqual(["tokenize", "decode", "blur", "paired_inference", "token_delta", "quantile_threshold", "mask"]);
    expect(steps.at(-1)!.schema.samples.fields.map(String)).toEqual(scoresSchema.fields.map(String));
    expect(selection.fields.map(String)).toEqual(selectionSchema.fields.map(String));
  });
});

describe("flowSchemas", () => {
  const { stages: configs } = configOf();
  const built = buildStages(configs, { model: unreadModel("m"), devices: ["cpu"], resources: { num_lanes: 1, num_workers: 1, num_threads: 1 } });

  it("carries passed-through columns behind the contract's", () => {
    const passed = new Field("difficulty", new Int32(), true);
    const { scores, selection } = flowSchemas(built, new Schema([...samplesSchema.fields, passed]));
    expect(scores.samples.names).toEqual([...scoresSchema.names, "difficulty"]);
    expect(selection.names).toEqual([...selectionSchema.names, "difficulty"]);
  });

  it("names a missing column", () => {
    const without = new Schema(samplesSchema.fields.filter((field) => field.name !== "messages"));
    expect(() => flowSchemas(built, without)).toThrow(PlanError);
    expect(() => flowSchemas(built, without)).toThrow(/messages/);
  });

  it("refuses a passed-through column that has the name of one that the stages make", () => {
    const clash = new Schema([...samplesSchema.fields, new Field("input_ids", new Utf8(), true)]);
    expect(() => flowSchemas(built, clash)).toThrow(/input_ids/);
  });
});

describe("hashes", () => {
  const hashesOf = async (...overrides: string[]) => {
    const { scores_hash, plan_hash } = await buildPlan(configOf(...overrides));
    return { scores_hash, plan_hash };
  };

  it("stay for what changes no number", async () => {
    const plain = await hashesOf();
    for (const override of ["output.path=/elsewhere", "output.compression=snappy", "name=other", "max_reject_fraction=0.5", "resources.num_workers=7", "source.image_root=/elsewhere", "blur.sigma_fraction=null"]) {
      expect(await hashesOf(override), override).toEqual(plain);
    }
  });

  it("change the plan but not the scores for threshold and mask", async () => {
    const plain = await hashesOf();
    for (const override of ["quantile_threshold.top_percent=30", "quantile_threshold.tau=0.1", "mask.granularity=sample"]) {
      const other = await hashesOf(override);
      expect(other.scores_hash, override).toBe(plain.scores_hash);
      expect(other.plan_hash, override).not.toBe(plain.plan_hash);
    }
  });

  it("change for whatever changes a score", async () => {
    const all = [await hashesOf()];
    for (const override of ["blur.sigma_px=8", "blur.stand_in=gray", "blur.at=source", "decode.apply_exif_orientation=false", "decode.max_pixels=5", "paired_inference.max_batch_tokens=100", "model.max_length=64", "model.template=llava_v1", "model.device=cuda", "model.pad_to_square=true"]) {
      all.push(await hashesOf(override));
    }
    const scoresHashes = all.map(({ scores_hash }) => scores_hash);
    // The folder has no template, so that auto already means llava_v1.
    expect(new Set(scoresHashes).size).toBe(all.length - 1);
    expect(new Set(all.map(({ plan_hash }) => plan_hash)).size).toBe(all.length - 1);
  });

  it("are the same for devices of one class", async () => {
    expect(await hashesOf("model.device=cuda:0")).toEqual(await hashesOf("model.device=[cuda:1, cuda:3]"));
  });
});

describe("buildPlan", () => {
  it("makes a selection for each percentage asked for", async () => {
    const { targets } = await buildPlan(configOf(), { topPercents: [30, 12.5] });
    expect(targets).toEqual([
      { dataset: "selection@30", top_percent: 30, tau: null },
      { dataset: "selection@12.5", top_percent: 12.5, tau: null },
    ]);
  });

  it("has the versions of everything that can change a number", async () => {
    const { versions } = await buildPlan(configOf());
    for (const name of ["vig-pipeline", "node", "onnxruntime-node", "sharp", "parquet-wasm", "apache-arrow", "@huggingface/tokenizers"]) {
      expect(versions[name], name).toMatch(/^\d+\.\d+\.\d+/);
    }
  });
});

describe("resolveResources", () => {
  it("keeps what is given, and divides the cores among the workers", () => {
    expect(resolveResources({ num_workers: 3, num_threads: 5, num_lanes: 6 }, ["cpu"], { cores: 2 })).toEqual({ num_workers: 3, num_threads: 5, num_lanes: 6 });
    expect(resolveResources({}, ["cuda:0", "cuda:1"], { cores: 16 })).toMatchObject({ num_workers: 2, num_threads: 8 });
    expect(resolveResources({}, ["cuda:0", "cuda:1"], { cores: 16, processes_per_device: 2 })).toMatchObject({ num_workers: 4, num_threads: 4, num_lanes: 4 });
    expect(resolveResources({}, ["cuda", "cuda"], { processes_per_device: 1 }).num_workers).toBe(2);
    expect(resolveResources({}, ["cuda", "cuda"], { processes_per_device: 2 }).num_workers).toBe(2);
    for (const cores of [1, 2, 3, 4, 8, 64]) {
      for (const weights_bytes of [20e6, 1e9]) {
        const { num_workers, num_threads, num_lanes } = resolveResources({}, ["cpu"], { cores, weights_bytes });
        expect(num_workers * num_threads).toBeLessThanOrEqual(Math.max(1, cores));
        expect(num_lanes % num_workers).toBe(0);
      }
    }
  });

  it("gives a small model a process for each core", () => {
    expect(resolveResources({}, ["cpu"], { cores: 2, weights_bytes: 20e6 })).toMatchObject({ num_workers: 2, num_threads: 1 });
    expect(resolveResources({}, ["cpu"], { cores: 64, weights_bytes: 20e6 })).toMatchObject({ num_workers: 16, num_threads: 4 });
    expect(resolveResources({}, ["cpu"], { cores: 8, weights_bytes: 1e9 })).toMatchObject({ num_workers: 2, num_threads: 4 });
    expect(resolveResources({}, ["cpu"], { cores: 8 })).toMatchObject({ num_workers: 2, num_threads: 4 });
  });
});
