/**
 * Speed of scoring, in one table a model from one run: the limit (bare session.run), this pipeline, and the loops that
 * people write in Python, on the same samples. Described in docs/models.md.
 *
 *   npm run bench:scoring -- [--python .venv/bin/python] [--rounds 3] [--samples 1024] [--second-samples 16]
 *
 * Two models: the shipped one, and one in the shape of SmolVLM-256M with random weights (bench/scoring/make_model.py makes
 * it under out/bench-models once; it needs --python). `--only demo|second` measures one of them.
 */
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { columnData, messagesValue, utf8ListValue, utf8Value } from "../../src/core/record-batch.ts";
import type { Sample } from "../../src/core/sample.ts";
import { openSource, sourceConfig } from "../../src/io/sources/open-source.ts";
import type { ImageSize } from "../../src/model/contract.ts";
import { maxCallValues } from "../../src/model/device.ts";
import { encoderCalls, tilesOfImage } from "../../src/model/encode-views.ts";
import type { VisionImage } from "../../src/model/families/family.ts";
import { familyOf } from "../../src/model/families/registry.ts";
import { makeHead } from "../../src/model/head-check.ts";
import { familyFolderOf, loadModel } from "../../src/model/load-model.ts";
import { modelConfig } from "../../src/model/model-config.ts";
import { readModelFolder } from "../../src/model/model-folder.ts";
import type { Resources } from "../../src/core/plan.ts";
import { weightsOf } from "../../src/config/memory-estimate.ts";
import { resolveResources } from "../../src/config/resources.ts";
import { readImageSize } from "../../src/stages/image-decoding.ts";
import { measureProcess } from "../measure-process.ts";
import { median, table } from "../table.ts";
import type { LimitPlan } from "./limit.ts";

const { values: flags } = parseArgs({
  options: {
    samples: { type: "string", default: "1024" },
    "second-samples": { type: "string", default: "16" },
    rounds: { type: "string", default: "3" },
    python: { type: "string", default: ".venv/bin/python" },
    only: { type: "string" },
    annotations: { type: "string", default: "data/demo/train.json" },
    "image-root": { type: "string", default: "data/demo/images" },
    "max-batch-tokens": { type: "string", default: "8192" },
    set: { type: "string", multiple: true, default: [] },
  },
});
/** What is measured: a model, how many samples, how often (the Python loops run once). */
interface Case {
  readonly model: string;
  readonly numSamples: number;
  readonly rounds: number;
}
/** Reading the memory of a process tree takes milliseconds of the two cores: seldom enough not to slow what is measured. */
const WATCH = { sampleMs: 500 };
const SECOND_MODEL = "out/bench-models/smolvlm-256m";
const folder = await mkdtemp(join(tmpdir(), "bench-scoring-"));

interface Row {
  readonly seconds: number;
  readonly samples: number;
  readonly tokens: number;
  readonly peakBytes: number;
}

/** The first samples with exactly one image: the same work for every row. */
async function writeAnnotations({ numSamples }: Case): Promise<string> {
  const records = (JSON.parse(await readFile(flags.annotations, "utf8")) as { image?: unknown }[]).filter((record) => typeof record.image === "string");
  const path = join(folder, "samples.json");
  await writeFile(path, JSON.stringify(records.slice(0, numSamples)));
  return path;
}

/** Batches without padding: rows of one length only, as many as the token budget holds. */
async function limitPlan({ model: path }: Case, annotations: string): Promise<LimitPlan & { readonly tokens: number; readonly samples: number; readonly resources: Resources }> {
  const config = modelConfig.parse({ path: resolve(path) });
  const model = await loadModel(config);
  const files = await readModelFolder(config.path, config.dtype);
  const familyFolder = familyFolderOf(files, config);
  const { model_type } = model.description;
  const head = await makeHead({ model_type, folder: familyFolder, graphs: files.graphs, device: "cpu", num_threads: 2, max_length: 2048 }, join(folder, "head.onnx"));
  if (head.head.kind !== "answer_rows") throw new Error(`the head was not cut: ${head.head.reason}`);

  const byLength = new Map<number, number[]>();
  const images = new Map<string, VisionImage>();
  for await (const { sample, sizes } of samplesOf(annotations)) {
    const prepared = model.prepare(sample, model.needs_image_sizes ? sizes : []);
    if ("code" in prepared) throw new Error(prepared.message);
    const { length } = prepared.input_ids;
    byLength.set(length, [...(byLength.get(length) ?? []), prepared.answer_positions.length]);
    sample.images.forEach((key, i) => images.set(key, { source_size: sizes[i]!, views: model.views(sizes[i]!).map(({ size }) => ({ ...size, pixels: new Uint8Array(size.width * size.height * 3) })) }));
  }
  const batches: LimitPlan["batches"][number][] = [];
  for (const [length, answers] of byLength) {
    const size = Math.max(1, Math.floor(Number(flags["max-batch-tokens"]) / (2 * length)));
    for (let at = 0; at < answers.length; at += size) {
      const own = answers.slice(at, at + size);
      batches.push({ numSamples: own.length, length, numAnswers: own.reduce((a, b) => a + b, 0) });
    }
  }
  const variants = [...images.values()].flatMap((image) => [image, image]);
  const family = familyOf(model_type).open(familyFolder);
  const calls = [...encoderCalls(family, variants.flatMap((image) => tilesOfImage(family, image)), maxCallValues("cpu"))];
  const answers = [...byLength.values()].flat();
  return {
    vision: files.graphs.vision_encoder.path,
    embed: files.graphs.embed_tokens.path,
    decoder: head.head.path,
    visionCalls: calls.map(({ feeds }) => Object.fromEntries(Object.entries(feeds).map(([name, { type, dims }]) => [name, { type, dims }]))),
    hidden: files.graphs.embed_tokens.outputs[0]!.dims.at(-1) as number,
    batches,
    tokens: answers.reduce((a, b) => a + b, 0),
    samples: answers.length,
    resources: resolveResources({}, ["cpu"], { weights_bytes: await weightsOf(model) }),
  };
}

/** Every sample with the sizes of its images. */
async function* samplesOf(annotations: string): AsyncGenerator<{ readonly sample: Sample; readonly sizes: ImageSize[] }> {
  const signal = new AbortController().signal;
  const source = await openSource(sourceConfig.parse({ kind: "llava_json", annotations, image_root: flags["image-root"] }), process.cwd());
  for await (const split of source.splits(signal)) {
    const { samples } = await source.read(split, signal);
    for (let row = 0; row < samples.numRows; row++) {
      const images = utf8ListValue(columnData(samples, "images"), row);
      const sizes = await Promise.all(images.map(async (key) => readImageSize(await readFile(join(flags["image-root"], key)), { max_pixels: 1e8, apply_exif_orientation: true }) as Promise<ImageSize>));
      yield { sample: { sample_id: utf8Value(columnData(samples, "sample_id"), row), source: "", images, messages: messagesValue(columnData(samples, "messages"), row) }, sizes };
    }
  }
}

async function runLimit(plan: Awaited<ReturnType<typeof limitPlan>>): Promise<Row> {
  const path = join(folder, "limit.json");
  await writeFile(path, JSON.stringify(plan));
  const { num_workers, num_threads } = plan.resources;
  const workers = Array.from({ length: num_workers }, (_, worker) =>
    spawn(process.execPath, ["--import", "tsx", "bench/scoring/limit.ts", path, String(worker), String(num_workers), String(num_threads)], { stdio: ["pipe", "pipe", "inherit"] }),
  );
  const outputs = workers.map(() => "");
  workers.forEach((worker, i) => worker.stdout.on("data", (text: Buffer) => (outputs[i] += text.toString())));
  while (!outputs.every((output) => output.includes("ready"))) await new Promise((done) => setTimeout(done, 20));
  const ended = Promise.all(workers.map((worker) => new Promise((done) => worker.on("close", done))));
  workers.forEach((worker) => worker.stdin.write("go\n"));
  await ended;
  const results = outputs.map((output) => JSON.parse(output.split("\n")[1]!) as { seconds: number; peakBytes: number });
  const peakBytes = results.reduce((sum, result) => sum + result.peakBytes, 0);
  return { seconds: Math.max(...results.map(({ seconds }) => seconds)), samples: plan.samples, tokens: plan.tokens, peakBytes };
}

async function runOurs({ model }: Case, annotations: string): Promise<{ warm: Row; whole: Row }> {
  const out = join(folder, "out");
  await rm(out, { recursive: true, force: true });
  const overrides = [
    `source.annotations=${annotations}`,
    `source.image_root=${resolve(flags["image-root"])}`,
    `model.path=${resolve(model)}`,
    `paired_inference.max_batch_tokens=${flags["max-batch-tokens"]}`,
    `output.path=${out}`,
    ...flags.set,
  ];
  const args = ["bin/pipeline.js", "run", "pipelines/select.yaml", "--quiet", "--no-report", ...overrides.flatMap((pair) => ["--set", pair])];
  const run = await measureProcess(process.execPath, args, WATCH);
  if (run.exitCode !== 0) throw new Error(run.stderr);
  const manifest = JSON.parse(await readFile(join(out, "manifest.json"), "utf8")) as {
    counts: { num_read: number; num_tokens: number };
    duration_ms_by_phase: Record<string, number>;
  };
  const { score, load } = manifest.duration_ms_by_phase;
  const row = { samples: manifest.counts.num_read, tokens: manifest.counts.num_tokens, peakBytes: run.peakBytes };
  return { warm: { ...row, seconds: (score! - (load ?? 0)) / 1000 }, whole: { ...row, seconds: run.seconds } };
}

async function runPython({ model, numSamples }: Case, loop: "onnxruntime" | "torch", annotations: string, batch: number): Promise<Row> {
  const args = ["bench/scoring/python_loops.py", loop, model, annotations, flags["image-root"], String(numSamples), String(batch)];
  const run = await measureProcess(flags.python, args, WATCH);
  if (run.exitCode !== 0) throw new Error(run.stderr);
  const result = JSON.parse(run.stdout.trim().split("\n").at(-1)!) as { seconds: number; samples: number; tokens: number };
  return { seconds: result.seconds, samples: result.samples, tokens: result.tokens, peakBytes: run.peakBytes };
}

/** Measures all rows of one model and prints their table. */
async function measure(each: Case, hasPython: boolean): Promise<void> {
  const annotations = await writeAnnotations(each);
  const plan = await limitPlan(each, annotations);
  const measured = new Map<string, Row[]>();
  const add = (name: string, row: Row) => measured.set(name, [...(measured.get(name) ?? []), row]);
  for (let round = 0; round < each.rounds; round++) {
    add("limit: bare session.run, no padding", await runLimit(plan));
    const { warm, whole } = await runOurs(each, annotations);
    add("ours, model loaded", warm);
    add("ours, whole command (start, load, write, select)", whole);
  }
  for (const loop of hasPython ? (["onnxruntime", "torch"] as const) : []) {
    const name = loop === "torch" ? "transformers + torch CPU" : "python onnxruntime";
    for (const batch of [1, 16]) add(`${name}, batch ${batch}`, await runPython(each, loop, annotations, batch));
  }
  const speed = (name: string) => median(measured.get(name)!.map((row) => row.samples / row.seconds));
  const ours = speed("ours, model loaded");
  const rows = [...measured].map(([name, runs]) => ({
    row: name,
    "samples/s": speed(name).toFixed(2),
    "answer tokens/s": Math.round(median(runs.map((run) => run.tokens / run.seconds))),
    "peak MiB": Math.round(median(runs.map((run) => run.peakBytes)) / 2 ** 20),
    "ours / row": (ours / speed(name)).toFixed(2),
  }));
  console.log(`\n${each.model}: ${plan.samples} samples, ${plan.tokens} answer tokens; medians of ${each.rounds} round(s), Python once\n`);
  console.log(table(rows));
}

const hasPython = existsSync(flags.python);
const cases = {
  demo: { model: "data/models/demo", numSamples: Number(flags.samples), rounds: Number(flags.rounds) },
  second: { model: SECOND_MODEL, numSamples: Number(flags["second-samples"]), rounds: 1 },
};
try {
  if (flags.only !== "second") await measure(cases.demo, hasPython);
  if (flags.only !== "demo") {
    if (hasPython && !existsSync(join(SECOND_MODEL, "onnx/decoder_model_merged.onnx"))) {
      const made = await measureProcess(flags.python, ["bench/scoring/make_model.py", SECOND_MODEL]);
      if (made.exitCode !== 0) throw new Error(made.stderr);
      console.log(`\n${made.stdout.trim().split("\n").at(-1)!}`);
    }
    if (existsSync(join(SECOND_MODEL, "onnx/decoder_model_merged.onnx"))) await measure(cases.second, hasPython);
  }
  if (!hasPython) console.log(`\nNot measured: the Python rows and the second model; ${flags.python} is not there (bench/scoring/requirements.txt says how to make it).`);
} finally {
  await rm(folder, { recursive: true });
}
