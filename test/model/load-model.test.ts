import { cpSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema, NodeProtoSchema, TensorProto_DataLocation } from "onnx-buf";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { PlanError, ResourceExhaustedError } from "../../src/core/errors.ts";
import { runError } from "../../src/model/graph-session.ts";
import { loadModel } from "../../src/model/load-model.ts";
import type { ModelOptions } from "../../src/model/model-config.ts";
import { workerError } from "../../src/model/worker-process.ts";
import { fixtureFolder, readGolden, requestOf } from "./golden.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "vig-load-"));
  // The float32 graphs alone: the fixture has others beside them.
  const isOther = /_(fp16|q4|quantized)\.onnx$/;
  cpSync(fixtureFolder("llava"), folder, { recursive: true, filter: (path) => !isOther.test(path) });
});
afterEach(() => rmSync(folder, { recursive: true }));

async function refusal(options: Partial<ModelOptions> = {}): Promise<PlanError> {
  const error: unknown = await loadModel({ path: folder, ...options }).then(
    () => undefined,
    (caught: unknown) => caught,
  );
  expect(error).toBeInstanceOf(PlanError);
  expect((error as PlanError).remedy).toBeTruthy();
  return error as PlanError;
}

function editJson(name: string, edit: (json: Record<string, unknown>) => void): void {
  const json = JSON.parse(readFileSync(join(folder, name), "utf8")) as Record<string, unknown>;
  edit(json);
  writeFileSync(join(folder, name), JSON.stringify(json));
}

describe("a folder that can't be used is a PlanError that names what is wrong", () => {
  test("no folder", async () => {
    expect((await refusal({ path: join(folder, "nowhere") })).message).toContain("is no folder");
  });

  test("an unknown family", async () => {
    editJson("config.json", (config) => (config["model_type"] = "kosmos-2"));
    const { message } = await refusal();
    expect(message).toContain('"kosmos-2"');
    for (const family of ["llava", "smolvlm", "qwen2_vl", "gemma3"]) expect(message).toContain(family);
  });

  test("a missing graph", async () => {
    rmSync(join(folder, "onnx/embed_tokens.onnx"));
    expect((await refusal({ dtype: "fp32" })).message).toMatch(/no onnx\/embed_tokens\.onnx; onnx\/ holds .*vision_encoder\.onnx/);
  });

  test("a dtype that the folder lacks", async () => {
    expect((await refusal({ dtype: "q4" })).message).toContain("vision_encoder_q4.onnx");
  });

  test("a damaged graph", async () => {
    writeFileSync(join(folder, "onnx/vision_encoder.onnx"), "<html>404</html>");
    expect((await refusal()).message).toContain("is no ONNX file");
  });

  test("damaged JSON", async () => {
    writeFileSync(join(folder, "config.json"), "{");
    expect((await refusal()).message).toContain("config.json is not valid JSON");
  });

  test("no template where one is asked for", async () => {
    expect((await refusal({ template: "folder" })).message).toContain("no chat template");
  });
});

/** Gives an input or output of a graph another name. */
function renameValue(graphName: string, from: string, to: string): void {
  const path = join(folder, `onnx/${graphName}.onnx`);
  const model = fromBinary(ModelProtoSchema, readFileSync(path));
  const graph = model.graph!;
  for (const value of [...graph.input, ...graph.output]) if (value.name === from) value.name = to;
  for (const node of graph.node) {
    node.input = node.input.map((name) => (name === from ? to : name));
    node.output = node.output.map((name) => (name === from ? to : name));
  }
  writeFileSync(path, toBinary(ModelProtoSchema, model));
}

test.each([
  ["embed_tokens", "input_ids", /the graph embed_tokens lacks input input_ids; it has inputs other; outputs/],
  ["decoder_model_merged", "inputs_embeds", /the graph decoder_model_merged lacks input inputs_embeds; it has inputs .*other/],
  ["decoder_model_merged", "logits", /the graph decoder_model_merged lacks output logits; it has inputs .*; outputs other/],
])("a graph with another name than the layout's is refused before anything is started: %s without %s", async (graph, name, message) => {
  renameValue(graph, name, "other");
  expect((await refusal()).message).toMatch(message);
});

test("an encoder with another input name is refused by name", async () => {
  renameValue("vision_encoder", "pixel_values", "image");
  const golden = readGolden("llava");
  const model = await loadModel({ path: folder, dtype: "fp32" });
  const scorer = await model.openScorer({ num_workers: 1, num_threads: 1, devices: ["cpu"] }, new AbortController().signal);
  try {
    const request = await requestOf({ ...golden, folder: fixtureFolder("llava") }, model, golden.cases.filter(({ id }) => id === "one-turn"));
    await expect(scorer.score(request, new AbortController().signal)).rejects.toThrow(/the graph vision_encoder lacks input pixel_values; it has inputs image/);
  } finally {
    await scorer.close();
  }
});

test.each(["std::bad_alloc", "Failed to allocate memory for requested buffer of size 12884901888", "CUDA error 2: out of memory"])(
  "a run that ends for want of memory says what to lower: %s",
  (text) => {
    const error = runError("decoder_model_merged", new Error(text));
    expect(error).toBeInstanceOf(ResourceExhaustedError);
    expect(error.remedy).toMatch(/max_batch_tokens/);
    // And so across the process boundary.
    expect(workerError({ type: "memory", message: error.message, remedy: error.remedy! })).toBeInstanceOf(ResourceExhaustedError);
  },
);

test("every file that changes a number has a digest", async () => {
  const before = (await loadModel({ path: folder })).description.digests;
  expect(Object.keys(before)).toEqual([
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "preprocessor_config.json",
    "onnx/vision_encoder.onnx",
    "onnx/embed_tokens.onnx",
    "onnx/decoder_model_merged.onnx",
  ]);
  editJson("preprocessor_config.json", (config) => (config["resample"] = 2));
  const after = (await loadModel({ path: folder })).description.digests;
  expect(after["preprocessor_config.json"]).not.toBe(before["preprocessor_config.json"]);
  expect(after["config.json"]).toBe(before["config.json"]);
});

test("dtype auto takes the most precise that is complete", async () => {
  expect((await loadModel({ path: folder })).description.dtype).toBe("fp32");
  for (const name of ["vision_encoder", "embed_tokens", "decoder_model_merged"]) {
    renameSync(join(folder, `onnx/${name}.onnx`), join(folder, `onnx/${name}_fp16.onnx`));
  }
  expect((await loadModel({ path: folder })).description.dtype).toBe("fp16");
});

test.each(["cuda", "cuda:1"])("device %s, which is not installed, is refused and never replaced", async (device) => {
  const model = await loadModel({ path: folder });
  const opening = model.openScorer({ num_workers: 1, num_threads: 1, devices: [device] }, new AbortController().signal);
  await expect(opening).rejects.toThrow(PlanError);
  await expect(opening).rejects.toThrow(`device ${device} is not available`);
});

/** Moves a graph's weights to a file of its own, as large models have them. */
function moveWeights(name: string, dataFile: string): void {
  const path = join(folder, `onnx/${name}.onnx`);
  const model = fromBinary(ModelProtoSchema, readFileSync(path));
  const parts: Uint8Array[] = [];
  let offset = 0;
  for (const tensor of model.graph!.initializer) {
    if (tensor.rawData.length < 64) continue;
    const pairs = { location: dataFile, offset: String(offset), length: String(tensor.rawData.length) };
    tensor.externalData = Object.entries(pairs).map(([key, value]) => ({ $typeName: "onnx.StringStringEntryProto", key, value }));
    tensor.dataLocation = TensorProto_DataLocation.EXTERNAL;
    parts.push(tensor.rawData);
    offset += tensor.rawData.length;
    tensor.rawData = new Uint8Array();
  }
  writeFileSync(path, toBinary(ModelProtoSchema, model));
  writeFileSync(join(folder, "onnx", dataFile), Buffer.concat(parts));
}

test("a Hugging Face cache, where every file is a link to a blob, is scored from where it lies", async () => {
  const golden = readGolden("llava");
  const cases = golden.cases.filter(({ id }) => id === "one-turn");
  moveWeights("decoder_model_merged", "decoder_model_merged.onnx_data");
  moveWeights("vision_encoder", "vision_encoder.onnx_data");
  const blobs = join(folder, "blobs");
  mkdirSync(blobs);
  ["decoder_model_merged.onnx", "decoder_model_merged.onnx_data", "vision_encoder.onnx", "vision_encoder.onnx_data"].forEach((name, i) => {
    renameSync(join(folder, "onnx", name), join(blobs, `blob${i}`));
    symlinkSync(`../blobs/blob${i}`, join(folder, "onnx", name));
  });
  const model = await loadModel({ path: folder });
  expect(Object.keys(model.description.digests)).toContain("onnx/decoder_model_merged.onnx_data");
  const scorer = await model.openScorer({ num_workers: 1, num_threads: 1, devices: ["cpu"] }, new AbortController().signal);
  try {
    expect(scorer.report.head).toEqual({ kind: "answer_rows" });
    const { sequences } = await scorer.score(await requestOf({ ...golden, folder: fixtureFolder("llava") }, model, cases), new AbortController().signal);
    cases[0]!.nll_image.forEach((value, t) => expect(Math.abs(sequences[0]!.nll_image[t]! - value)).toBeLessThan(1e-3));
  } finally {
    await scorer.close();
  }
});

test("a decoder whose head can't be cut is scored by full logits, with the reason", async () => {
  const path = join(folder, "onnx/decoder_model_merged.onnx");
  const graph = fromBinary(ModelProtoSchema, readFileSync(path));
  for (const node of graph.graph!.node) node.output = node.output.map((name) => (name === "logits" ? "plain" : name));
  for (const [input, output] of [["plain", "negative"], ["negative", "logits"]] as const) {
    graph.graph!.node.push(create(NodeProtoSchema, { opType: "Neg", name: output, input: [input], output: [output] }));
  }
  writeFileSync(path, toBinary(ModelProtoSchema, graph));
  const golden = readGolden("llava");
  const cases = golden.cases.filter(({ variant, images }) => variant === "default" && images.length > 0);
  const score = async (from: string) => {
    const model = await loadModel({ path: from, dtype: "fp32" });
    const scorer = await model.openScorer({ num_workers: 1, num_threads: 1, devices: ["cpu"] }, new AbortController().signal);
    try {
      return { head: scorer.report.head, ...(await scorer.score(await requestOf(golden, model, cases), new AbortController().signal)) };
    } finally {
      await scorer.close();
    }
  };
  const [full, cut] = [await score(folder), await score(fixtureFolder("llava"))];
  expect(full.head).toEqual({ kind: "full_logits", reason: "the walk back from logits meets Neg logits" });
  expect(cut.head).toEqual({ kind: "answer_rows" });
  cut.sequences.forEach(({ nll_image, nll_blur }, i) => {
    nll_image.forEach((value, t) => expect(Math.abs(value - full.sequences[i]!.nll_image[t]!)).toBeLessThan(1e-4));
    nll_blur.forEach((value, t) => expect(Math.abs(value - full.sequences[i]!.nll_blur[t]!)).toBeLessThan(1e-4));
  });
});

test("external weights that are missing are named", async () => {
  moveWeights("decoder_model_merged", "weights.bin");
  rmSync(join(folder, "onnx/weights.bin"));
  expect((await refusal()).message).toContain("keeps weights in weights.bin, which is missing");
});
