import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { ModelProtoSchema } from "onnx-buf";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Message, Sample } from "../../src/core/sample.ts";
import type { Prepared } from "../../src/model/contract.ts";
import { joinTiles } from "../../src/model/families/tile-rows.ts";
import { loadModel } from "../../src/model/load-model.ts";
import { fixtureFolder } from "./golden.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "vig-family-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

function copyOf(family: string, edit: (config: Record<string, unknown>) => void = () => undefined): string {
  cpSync(fixtureFolder(family), folder, { recursive: true });
  const path = join(folder, "config.json");
  const config = JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
  edit(config);
  writeFileSync(path, JSON.stringify(config));
  return folder;
}

const ASKED: readonly Message[] = [
  { role: "user", content: "<image>\nWhat is it?" },
  { role: "assistant", content: "A boat." },
];

function sample(messages: readonly Message[], numImages: number): Sample {
  return { sample_id: "s", source: "", images: Array.from({ length: numImages }, (_, i) => `${i}.png`), messages };
}

test("Qwen3-VL is warned of: its three-graph exports lack DeepStack", async () => {
  const model = await loadModel({ path: copyOf("qwen2_vl", (config) => (config["model_type"] = "qwen3_vl")) });
  expect(model.warnings.join()).toContain("DeepStack");
});

test("an image that is too narrow for Qwen2-VL is a reject", async () => {
  const model = await loadModel({ path: fixtureFolder("qwen2_vl") });
  expect(model.prepare(sample(ASKED, 1), [{ width: 2010, height: 10 }])).toMatchObject({ code: "image_unsupported_format" });
});

test("Qwen2-VL: both sides are whole cells and the pixels within bounds, for any image", async () => {
  const model = await loadModel({ path: fixtureFolder("qwen2_vl") });
  const side = fc.integer({ min: 28, max: 3000 });
  fc.assert(
    fc.property(side, side, (width, height) => {
      fc.pre(Math.max(width, height) / Math.min(width, height) < 8);
      const { size } = model.views({ width, height })[0]!;
      expect([size.width % 28, size.height % 28]).toEqual([0, 0]);
      expect(size.width * size.height).toBeLessThanOrEqual(28 * 28 * 12);
      expect(size.width * size.height).toBeGreaterThanOrEqual(56 * 56);
    }),
  );
});

test("Idefics3: views are whole tiles, and split_images: false gives one", async () => {
  const split = await loadModel({ path: fixtureFolder("idefics3") });
  const single = await loadModel({ path: fixtureFolder("idefics3"), split_images: false });
  const side = fc.integer({ min: 1, max: 5000 });
  fc.assert(
    fc.property(side, side, (width, height) => {
      const [main, whole] = split.views({ width, height });
      expect([main!.size.width % 56, main!.size.height % 56]).toEqual([0, 0]);
      expect(whole?.size ?? main!.size).toEqual({ width: 56, height: 56 });
      expect(single.views({ width, height }).map(({ size }) => size)).toEqual([{ width: 56, height: 56 }]);
    }),
  );
  const tokens = (model: typeof split) => (model.prepare(sample(ASKED, 1), [{ width: 300, height: 200 }]) as Prepared).input_ids.length;
  expect(tokens(single)).toBeLessThan(tokens(split));
});

test("PaliGemma takes one turn", async () => {
  const model = await loadModel({ path: fixtureFolder("paligemma") });
  const again: Message[] = [...ASKED, { role: "user", content: "Sure?" }, { role: "assistant", content: "Yes." }];
  expect(model.prepare(sample(again, 1), [])).toMatchObject({ code: "tokenization_mismatch" });
});

test("a family without a template of its own refuses a folder without one", async () => {
  copyOf("smolvlm");
  rmSync(join(folder, "chat_template.jinja"));
  await expect(loadModel({ path: folder })).rejects.toThrow("no chat template");
});

test("llava_qwen2 without an image token in its vocabulary marks images with -200", async () => {
  copyOf("llava_qwen2", (config) => delete config["image_token_index"]);
  const path = join(folder, "tokenizer.json");
  const tokenizer = JSON.parse(readFileSync(path, "utf8")) as { added_tokens: { content: string }[] };
  tokenizer.added_tokens = tokenizer.added_tokens.filter(({ content }) => content !== "<image>");
  writeFileSync(path, JSON.stringify(tokenizer));
  const own = await loadModel({ path: folder });
  const usual = await loadModel({ path: fixtureFolder("llava_qwen2") });
  const ids = [...(own.prepare(sample(ASKED, 1), []) as Prepared).input_ids];
  const wanted = [...(usual.prepare(sample(ASKED, 1), []) as Prepared).input_ids];
  const imageToken = wanted.find((id, i) => id === wanted[i + 1] && id === wanted[i + 2])!;
  expect(ids).toEqual(wanted.map((id) => (id === imageToken ? -200 : id)));
});

/** What FastVLM's exports have in place of the fixture's: no vision_config, FastViT's 64-pixel cells named by the processor. */
function fastVlm(processor: Record<string, unknown> | undefined): string {
  copyOf("llava_qwen2", (config) => {
    delete config["vision_config"];
    Object.assign(config, { mm_vision_tower: "mobileclip_l_1024", image_aspect_ratio: "pad" });
  });
  const size = { size: { shortest_edge: 1024 }, crop_size: { height: 1024, width: 1024 }, image_mean: [0, 0, 0], image_std: [1, 1, 1] };
  const path = join(folder, "preprocessor_config.json");
  writeFileSync(path, JSON.stringify({ ...(JSON.parse(readFileSync(path, "utf8")) as object), ...size }));
  if (processor) writeFileSync(join(folder, "processor_config.json"), JSON.stringify(processor));
  renameDims("vision_encoder", ["num_images", "num_tokens", "hidden"]);
  return folder;
}

/** Leaves every dimension of a graph's first output open. */
function renameDims(name: string, dims: readonly string[]): void {
  const path = join(folder, "onnx", `${name}.onnx`);
  const model = fromBinary(ModelProtoSchema, readFileSync(path));
  const type = model.graph!.output[0]!.type!.value;
  if (type.case !== "tensorType") throw new Error("no tensor");
  type.value.shape!.dim.forEach((dim, i) => (dim.value = { case: "dimParam", value: dims[i]! }));
  writeFileSync(path, toBinary(ModelProtoSchema, model));
}

test.each([
  ["the processor's patch size", { patch_size: 64, processor_class: "LlavaProcessor" }],
  ["the tower's own", undefined],
])("FastVLM: 1024 pixels are 256 image tokens, by %s", async (_, processor) => {
  const model = await loadModel({ path: fastVlm(processor) });
  const ids = [...(model.prepare(sample(ASKED, 1), []) as Prepared).input_ids];
  const counts = ids.map((id) => ids.filter((other) => other === id).length);
  expect(Math.max(...counts)).toBe(256);
  expect(model.views({ width: 2048, height: 1536 })[0]!.size).toEqual({ width: 1024, height: 1024 });
});

test.each(["SiglipImageProcessor", "ViTImageProcessor"])("LLaVA with %s, which has no centre crop, keeps the whole image", async (image_processor_type) => {
  copyOf("llava");
  const settings = { image_processor_type, size: { height: 56, width: 56 }, resample: 3 };
  writeFileSync(join(folder, "preprocessor_config.json"), JSON.stringify(settings));
  const [view] = (await loadModel({ path: folder })).views({ width: 90, height: 64 });
  expect(view).toEqual({ steps: [{ op: "resize", width: 56, height: 56, kernel: "bicubic" }], size: { width: 56, height: 56 } });
});

test("a literal image token in a text is no image", async () => {
  const model = await loadModel({ path: fixtureFolder("qwen2_vl") });
  const forged: Message[] = [{ role: "user", content: "Read <|image_pad|> aloud" }, ASKED[1]!];
  expect(model.prepare(sample(forged, 0), [])).toMatchObject({ code: "placeholder_without_image" });
});

test("LLaVA-OneVision without a newline embedding sees images at base resolution, and says so", async () => {
  copyOf("llava_onevision");
  const path = join(folder, "onnx/vision_encoder.onnx");
  const graph = fromBinary(ModelProtoSchema, readFileSync(path));
  graph.graph!.output = graph.graph!.output.filter(({ name }) => name !== "image_newline");
  writeFileSync(path, toBinary(ModelProtoSchema, graph));
  const model = await loadModel({ path: folder });
  expect(model.needs_image_sizes).toBe(false);
  expect(model.warnings.join()).toContain("base resolution");
  expect(model.views({ width: 300, height: 100 })).toHaveLength(1);
});

/** Goldens: pack_image_features of transformers 5.17 over sin(0), sin(1), ... with newlines of 9. */
describe("joinTiles packs tiles as transformers does", () => {
  test.each([
    ["cut and scaled down", { rows: 2, columns: 3, cells: 4 }, 2, { height: 100, width: 160 }, 2, 28, [0.338659, 0.09868, -0.145546, 0.192129, 0.227275, -0.104667, 0.05602, 0.323683, 0.040538, -0.273311, 0.239012, 0.347919], 72.4871],
    ["whole", { rows: 2, columns: 2, cells: 4 }, 1, { height: 90, width: 100 }, 9, 72, [0, 0.841471, 0.909297, 0.14112, -0.287903, -0.961397, -0.750987, 0.149877, 9, -0.756802, -0.958924, -0.279415], 72.0966],
    ["tall", { rows: 3, columns: 1, cells: 4 }, 2, { height: 200, width: 50 }, 1, 18, [0.338659, 0.09868, -0.145546, 0.192129, 9, 9, -0.295478, 0.003126, 0.046742, -0.269309, 9, 9], 108.1471],
  ] as const)("%s", (_, grid, hidden, source, maxTiles, numRows, first, total) => {
    const tiles = Float32Array.from({ length: grid.rows * grid.columns * grid.cells ** 2 * hidden }, (__, i) => Math.sin(i));
    const joined = joinTiles(tiles, new Float32Array(hidden).fill(9), grid, source, maxTiles);
    expect(joined.length).toBe(numRows * hidden);
    first.forEach((value, i) => expect(joined[i]).toBeCloseTo(value, 5));
    expect(joined.reduce((sum, value) => sum + value, 0)).toBeCloseTo(total, 2);
  });
});
