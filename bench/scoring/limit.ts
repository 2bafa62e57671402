/**
 * The limit: bare session.run over batches that were built beforehand and are perfectly packed (all rows of a batch
 * equally long, so no padding), doing the work of scoring these samples twice. Nothing else is timed: no image is
 * decoded, nothing is tokenised, copied between processes or written. Started by bench/scoring/run.ts, once a worker;
 * waits for a line on stdin, runs, prints one JSON object.
 *
 * usage: limit.ts PLAN.json WORKER NUM_WORKERS NUM_THREADS
 */
import { readFileSync } from "node:fs";
import { once } from "node:events";
import { InferenceSession, Tensor } from "onnxruntime-node";

/** What bench/scoring/run.ts prepares: graphs, the encoder's calls, and for every decoder batch its shape. */
export interface LimitPlan {
  readonly vision: string;
  readonly embed: string;
  /** The decoder with the scoring head, as the pipeline itself caches it. */
  readonly decoder: string;
  /** Inputs of each run of the encoder: both variants of every distinct image, as the family groups them. */
  readonly visionCalls: readonly Readonly<Record<string, { readonly type: string; readonly dims: readonly number[] }>>[];
  readonly hidden: number;
  readonly batches: readonly {
    /** Samples; rows are twice as many. */
    readonly numSamples: number;
    readonly length: number;
    readonly numAnswers: number;
  }[];
}

const [planPath, worker, numWorkers, numThreads] = process.argv.slice(2);
const plan = JSON.parse(readFileSync(planPath!, "utf8")) as LimitPlan;
const options: InferenceSession.SessionOptions = {
  executionProviders: ["cpu"],
  intraOpNumThreads: Number(numThreads),
  interOpNumThreads: 1,
  logSeverityLevel: 3,
  enableMemPattern: false,
};
const [vision, embed, decoder] = await Promise.all([plan.vision, plan.embed, plan.decoder].map((path) => InferenceSession.create(path, options)));

const floats = (shape: readonly number[]) => new Tensor("float32", Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i)), shape);
const integers = (shape: readonly number[], value: (i: number) => number) =>
  new Tensor("int64", BigInt64Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => BigInt(value(i))), shape);
const trues = (shape: readonly number[]) => new Tensor("bool", new Uint8Array(shape.reduce((a, b) => a * b, 1)).fill(1), shape);

type Feeds = Record<string, Tensor>;
const calls: { readonly session: InferenceSession; readonly feeds: Feeds }[] = [];
plan.visionCalls.forEach((inputs, index) => {
  if (index % Number(numWorkers) !== Number(worker)) return;
  const feeds = Object.entries(inputs).map(([name, { type, dims }]) => [name, type === "bool" ? trues(dims) : type === "int64" ? integers(dims, () => 1) : floats(dims)] as const);
  calls.push({ session: vision!, feeds: Object.fromEntries(feeds) });
});
plan.batches.forEach(({ numSamples, length, numAnswers }, index) => {
  if (index % Number(numWorkers) !== Number(worker)) return;
  const rows = 2 * numSamples;
  calls.push({ session: embed!, feeds: { input_ids: integers([numSamples, length], () => 5) } });
  const feeds: Feeds = { inputs_embeds: floats([rows, length, plan.hidden]), attention_mask: integers([rows, length], () => 1) };
  for (const input of decoder!.inputMetadata) {
    if (!input.isTensor || input.name in feeds) continue;
    if (input.name === "position_ids") feeds[input.name] = integers([rows, length], (i) => i % length);
    else if (input.name.startsWith("past_key_values")) feeds[input.name] = floats([rows, Number(input.shape[1]), 0, Number(input.shape[3])]);
    else if (input.name.endsWith("rows")) feeds[input.name] = integers([2 * numAnswers], (i) => (i * 7) % (rows * length));
    else feeds[input.name] = integers([2 * numAnswers], () => 5);
  }
  calls.push({ session: decoder!, feeds });
});
const run = async ({ session, feeds }: (typeof calls)[number]) => {
  for (const tensor of Object.values(await session.run(feeds))) tensor.dispose();
};
// The first call of each graph sets its memory up.
for (const session of [vision, embed, decoder]) {
  const first = calls.find((call) => call.session === session);
  if (first) await run(first);
}

console.log("ready");
await once(process.stdin, "data");
const start = performance.now();
for (const call of calls) await run(call);
console.log(JSON.stringify({ seconds: (performance.now() - start) / 1000, peakBytes: 1024 * process.resourceUsage().maxRSS }));
process.exit(0);
