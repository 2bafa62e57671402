/**
 * What the batch planner's overhead should be: `npm run bench:packing -- [--samples 768] [--rounds 3]`. Cuts the shipped data
 * set's sequences into batches with several overheads and runs the cut decoder over them. CPU seconds, not wall time: other
 * work on the machine disturbs them less. Quoted in docs/models.md and src/stages/inference-batches.ts.
 */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { packBatches } from "../src/kernels/pack-batches.ts";
import { makeHead } from "../src/model/head-check.ts";
import { familyFolderOf, loadModel } from "../src/model/load-model.ts";
import { modelConfig } from "../src/model/model-config.ts";
import { readModelFolder } from "../src/model/model-folder.ts";
import { median, table } from "./table.ts";

const { values: flags } = parseArgs({ options: { samples: { type: "string", default: "768" }, rounds: { type: "string", default: "3" } } });
const OVERHEADS = [16, 32, 64, 128, 256];
const SPLIT = 256;
const NUM_THREADS = 2;
/** About what the shipped data set has a row. */
const ANSWERS_PER_ROW = 12;

const folder = await mkdtemp(join(tmpdir(), "bench-packing-"));
const config = modelConfig.parse({ path: resolve("data/models/demo") });
const model = await loadModel(config);
const files = await readModelFolder(config.path, config.dtype);
const { head } = await makeHead(
  { model_type: "llava", folder: familyFolderOf(files, config), graphs: files.graphs, device: "cpu", num_threads: NUM_THREADS, max_length: 2048 },
  join(folder, "head.onnx"),
);
if (head.kind !== "answer_rows") throw new Error(head.reason);
const decoder = await InferenceSession.create(head.path, {
  intraOpNumThreads: NUM_THREADS,
  interOpNumThreads: 1,
  enableMemPattern: false,
  extra: { session: { intra_op: { allow_spinning: "0" } } },
});

async function readLengths(): Promise<number[]> {
  const records = JSON.parse(await readFile("data/demo/train.json", "utf8")) as { image?: string; conversations: { from: string; value: string }[] }[];
  return records.slice(0, Number(flags.samples)).flatMap(({ image, conversations }) => {
    if (image === undefined) return [];
    const messages = conversations.map(({ from, value }) => ({ role: from === "human" ? ("user" as const) : ("assistant" as const), content: value }));
    const prepared = model.prepare({ sample_id: "", source: "", images: [image], messages }, []);
    return "code" in prepared ? [] : [prepared.input_ids.length];
  });
}

const size = (dims: readonly number[]) => dims.reduce((a, b) => a * b, 1);
const floats = (dims: readonly number[]) => new Tensor("float32", Float32Array.from({ length: size(dims) }, (_, i) => Math.sin(i)), dims);
const integers = (dims: readonly number[], value: (i: number) => number) => new Tensor("int64", BigInt64Array.from({ length: size(dims) }, (_, i) => BigInt(value(i))), dims);

function feedsOf(rows: number, length: number): Record<string, Tensor> {
  const feeds: Record<string, Tensor> = {};
  for (const input of decoder.inputMetadata) {
    if (!input.isTensor) continue;
    const { name, shape } = input;
    if (name === "inputs_embeds") feeds[name] = floats([rows, length, Number(shape[2])]);
    else if (name === "attention_mask") feeds[name] = integers([rows, length], () => 1);
    else if (name === "position_ids") feeds[name] = integers([rows, length], (i) => i % length);
    else if (name.startsWith("past_key_values")) feeds[name] = floats([rows, Number(shape[1]), 0, Number(shape[3])]);
    else feeds[name] = integers([rows * ANSWERS_PER_ROW], name.endsWith("rows") ? (i) => (i * 7) % (rows * length) : () => 5);
  }
  return feeds;
}

const lengths = await readLengths();
const plans = OVERHEADS.map((overheadPositions) => {
  const calls: Record<string, Tensor>[] = [];
  let numPositions = 0;
  for (let start = 0; start < lengths.length; start += SPLIT) {
    const own = lengths.slice(start, start + SPLIT);
    for (const batch of packBatches(own, { maxBatchPositions: 8192, overheadPositions }).batches) {
      calls.push(feedsOf(2 * batch.length, own[batch[0]!]!));
      numPositions += 2 * batch.length * own[batch[0]!]!;
    }
  }
  return { overheadPositions, calls, numPositions, cpu: [] as number[] };
});
// The first round sets memory up.
for (let round = 0; round <= Number(flags.rounds); round++) {
  for (const { calls, cpu } of plans) {
    const before = process.cpuUsage();
    for (const feeds of calls) for (const output of Object.values(await decoder.run(feeds))) output.dispose();
    const { user, system } = process.cpuUsage(before);
    if (round > 0) cpu.push((user + system) / 1e6);
  }
}
const useful = 2 * lengths.reduce((a, b) => a + b, 0);
console.log(
  table(
    plans.map(({ overheadPositions, calls, numPositions, cpu }) => ({
      "overhead, positions": overheadPositions,
      batches: calls.length,
      "padding %": ((100 * (numPositions - useful)) / numPositions).toFixed(1),
      "decoder, CPU s": median(cpu).toFixed(2),
    })),
  ),
);
await rm(folder, { recursive: true });
process.exit(0);
