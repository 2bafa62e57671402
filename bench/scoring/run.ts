/**
 * Speed of scoring, in one table from one run: the limit (bare session.run), this pipeline, and the loops that people
 * write in Python, on the same model and samples. `npm run bench:scoring -- [--samples 512] [--python .venv/bin/python]
 * [--model DIR] [--rounds 3]`. Quoted in docs/performance.md.
 */
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { samplesSchema } from "../../src/core/columns.ts";
import { columnData, messagesValue, utf8ListValue, utf8Value } from "../../src/core/record-batch.ts";
import { openSource, sourceConfig } from "../../src/io/sources/open-source.ts";
import { makeHead } from "../../src/model/head-check.ts";
import { familyFolderOf, loadModel } from "../../src/model/load-model.ts";
import { modelConfig } from "../../src/model/model-config.ts";
import { readModelFolder } from "../../src/model/model-folder.ts";
import { resolveResources } from "../../src/config/resources.ts";
import { measureProcess } from "../measure-process.ts";
import { median, table } from "../table.ts";
import type { LimitPlan } from "./limit.ts";

const { values: flags } = parseArgs({
  options: {
    samples: { type: "string", default: "768" },
    rounds: { type: "string", default: "3" },
    python: { type: "string", default: ".venv/bin/python" },
    model: { type: "string", default: "data/models/demo" },
    annotations: { type: "string", default: "data/demo/train.json" },
    "image-root": { type: "string", default: "data/demo/images" },
    "max-batch-tokens": { type: "string", default: "8192" },
    set: { type: "string", multiple: true, default: [] },
  },
});
const ROUNDS = Number(flags.rounds);
const folder = await mkdtemp(join(tmpdir(), "bench-scoring-"));

interface Row {
  readonly seconds: number;
  readonly samples: number;
  readonly tokens: number;
  readonly peakBytes: number;
}

/** The first samples with exactly one image: the same work for every row. */
async function writeAnnotations(): Promise<string> {
  const records = (JSON.parse(await readFile(flags.annotations, "utf8")) as { image?: unknown }[]).filter((record) => typeof record.image === "string");
  const path = join(folder, "samples.json");
  await writeFile(path, JSON.stringify(records.slice(0, Number(flags.samples))));
  return path;
}

/** Batches without padding: rows of one length only, as many as the token budget holds. */
async function limitPlan(annotations: string): Promise<LimitPlan & { readonly tokens: number; readonly samples: number }> {
  const config = modelConfig.parse({ path: resolve(flags.model) });
  const model = await loadModel(config);
  const files = await readModelFolder(config.path, config.dtype);
  const head = await makeHead(
    { model_type: model.description.model_type, folder: familyFolderOf(files, config), graphs: files.graphs, device: "cpu", num_threads: 2, max_length: 2048 },
    join(folder, "head.onnx"),
  );
  if (head.head.kind !== "answer_rows") throw new Error(`the head was not cut: ${head.head.reason}`);
  const source = await openSource(sourceConfig.parse({ kind: "llava_json", annotations, image_root: flags["image-root"] }), process.cwd());
  if (source.schema.names.length !== samplesSchema.names.length) throw new Error("columns are passed through");

  const signal = new AbortController().signal;
  const byLength = new Map<number, number[]>();
  let tokens = 0;
  let samples = 0;
  let images = 0;
  for await (const split of source.splits(signal)) {
    const { samples: batch } = await source.read(split, signal);
    const keys = new Set<string>();
    for (let row = 0; row < batch.numRows; row++) {
      const prepared = model.prepare(
        {
          sample_id: utf8Value(columnData(batch, "sample_id"), row),
          source: "",
          images: utf8ListValue(columnData(batch, "images"), row),
          messages: messagesValue(columnData(batch, "messages"), row),
        },
        [],
      );
      if ("code" in prepared) throw new Error(prepared.message);
      const { length } = prepared.input_ids;
      byLength.set(length, [...(byLength.get(length) ?? []), prepared.answer_positions.length]);
      utf8ListValue(columnData(batch, "images"), row).forEach((key) => keys.add(key));
      tokens += prepared.answer_positions.length;
      samples++;
    }
    images += keys.size;
  }
  const batches: LimitPlan["batches"][number][] = [];
  for (const [length, answers] of byLength) {
    const size = Math.max(1, Math.floor(Number(flags["max-batch-tokens"]) / (2 * length)));
    for (let at = 0; at < answers.length; at += size) {
      const own = answers.slice(at, at + size);
      const share = Math.round((images * (samples - remaining(batches, samples) + own.length)) / samples) - batches.reduce((sum, batch) => sum + batch.numImages, 0);
      batches.push({ numSamples: own.length, length, numAnswers: own.reduce((a, b) => a + b, 0), numImages: share });
    }
  }
  const [width, height] = [model.views({ width: 640, height: 480 })[0]!.size.width, model.views({ width: 640, height: 480 })[0]!.size.height];
  const hidden = files.graphs.embed_tokens.outputs[0]!.dims.at(-1) as number;
  return {
    vision: files.graphs.vision_encoder.path,
    embed: files.graphs.embed_tokens.path,
    decoder: head.head.path,
    pixelShape: [3, height, width],
    hidden,
    batches,
    tokens,
    samples,
  };
}

function remaining(batches: LimitPlan["batches"], samples: number): number {
  return samples - batches.reduce((sum, batch) => sum + batch.numSamples, 0);
}

async function runLimit(plan: Awaited<ReturnType<typeof limitPlan>>): Promise<Row> {
  const path = join(folder, "limit.json");
  await writeFile(path, JSON.stringify(plan));
  const { num_workers, num_threads } = resolveResources({}, ["cpu"]);
  const workers = Array.from({ length: num_workers }, (_, worker) =>
    spawn(process.execPath, ["--import", "tsx", "bench/scoring/limit.ts", path, String(worker), String(num_workers), String(num_threads)], { stdio: ["pipe", "pipe", "inherit"] }),
  );
  const outputs = workers.map(() => "");
  workers.forEach((worker, i) => worker.stdout.on("data", (text: Buffer) => (outputs[i] += text.toString())));
  while (!outputs.every((output) => output.includes("ready"))) await new Promise((done) => setTimeout(done, 20));
  const peaks = await Promise.all(workers.map(async (worker) => peakResident(worker.pid!)));
  const ended = Promise.all(workers.map((worker) => new Promise((done) => worker.on("close", done))));
  workers.forEach((worker) => worker.stdin.write("go\n"));
  await ended;
  const seconds = Math.max(...outputs.map((output) => (JSON.parse(output.split("\n")[1]!) as { seconds: number }).seconds));
  return { seconds, samples: plan.samples, tokens: plan.tokens, peakBytes: peaks.reduce((a, b) => a + b, 0) };
}

async function peakResident(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return 1024 * Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0);
}

async function runOurs(annotations: string): Promise<{ warm: Row; whole: Row }> {
  const out = join(folder, "out");
  await rm(out, { recursive: true, force: true });
  const overrides = [
    `source.annotations=${annotations}`,
    `source.image_root=${resolve(flags["image-root"])}`,
    `model.path=${resolve(flags.model)}`,
    `paired_inference.max_batch_tokens=${flags["max-batch-tokens"]}`,
    `output.path=${out}`,
    ...flags.set,
  ];
  const args = ["bin/pipeline.js", "run", "pipelines/select.yaml", "--quiet", ...overrides.flatMap((pair) => ["--set", pair])];
  const run = await measureProcess(process.execPath, args);
  if (run.exitCode !== 0) throw new Error(run.stderr);
  const manifest = JSON.parse(await readFile(join(out, "manifest.json"), "utf8")) as {
    counts: { num_read: number; num_tokens: number };
    duration_ms_by_phase: Record<string, number>;
  };
  const { score, load } = manifest.duration_ms_by_phase;
  const row = { samples: manifest.counts.num_read, tokens: manifest.counts.num_tokens, peakBytes: run.peakBytes };
  return { warm: { ...row, seconds: (score! - (load ?? 0)) / 1000 }, whole: { ...row, seconds: run.seconds } };
}

async function runPython(loop: "onnxruntime" | "torch", annotations: string, batch: number): Promise<Row> {
  const args = ["bench/scoring/python_loops.py", loop, flags.model, annotations, flags["image-root"], flags.samples, String(batch)];
  const run = await measureProcess(flags.python, args);
  if (run.exitCode !== 0) throw new Error(run.stderr);
  const result = JSON.parse(run.stdout.trim().split("\n").at(-1)!) as { seconds: number; samples: number; tokens: number };
  return { seconds: result.seconds, samples: result.samples, tokens: result.tokens, peakBytes: run.peakBytes };
}

try {
  const annotations = await writeAnnotations();
  const plan = await limitPlan(annotations);
  const measured = new Map<string, Row[]>();
  const add = (name: string, row: Row) => measured.set(name, [...(measured.get(name) ?? []), row]);
  const hasPython = existsSync(flags.python);
  for (let round = 0; round < ROUNDS; round++) {
    add("limit: bare session.run, no padding", await runLimit(plan));
    const ours = await runOurs(annotations);
    add("ours, model loaded", ours.warm);
    add("ours, whole command (start, load, write, select)", ours.whole);
    if (!hasPython) continue;
    for (const batch of [1, 16]) {
      add(`python onnxruntime, batch ${batch}`, await runPython("onnxruntime", annotations, batch));
      add(`transformers + torch, batch ${batch}`, await runPython("torch", annotations, batch));
    }
  }
  const speed = (name: string) => median(measured.get(name)!.map((row) => row.samples / row.seconds));
  const ours = speed("ours, model loaded");
  const rows = [...measured].map(([name, runs]) => ({
    row: name,
    "samples/s": speed(name).toFixed(1),
    "answer tokens/s": Math.round(median(runs.map((run) => run.tokens / run.seconds))),
    "peak MiB": Math.round(median(runs.map((run) => run.peakBytes)) / 2 ** 20),
    "ours / row": (ours / speed(name)).toFixed(2),
  }));
  console.log(`${plan.samples} samples, ${plan.tokens} answer tokens, ${flags.model}, medians of ${ROUNDS} rounds\n`);
  console.log(table(rows));
  if (!hasPython) console.log(`\nThe Python rows were not measured: ${flags.python} is not there (tools/export-onnx/requirements.txt makes it).`);
} finally {
  await rm(folder, { recursive: true });
}
