/**
 * How many floats of pixels should go into one run of a vision encoder on a CPU (`maxCallValues` in src/model/device.ts):
 * `npm run bench:encoder -- [--rounds 3] [--views 1024] [--second-views 16]`. For each number a process of its own opens the
 * encoder as an inference process does, and nothing else, and encodes the same views. Two models: the shipped one, and, once,
 * one in the shape of SmolVLM-256M where `npm run bench:scoring` or bench/scoring/make_model.py has made it. Quoted in
 * docs/models.md.
 */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { encodeViews, encoderCalls } from "../src/model/encode-views.ts";
import { familyOf } from "../src/model/families/registry.ts";
import { sessionSource } from "../src/model/graph-file.ts";
import { openSession } from "../src/model/graph-session.ts";
import { familyFolderOf } from "../src/model/load-model.ts";
import { modelConfig } from "../src/model/model-config.ts";
import { readModelFolder } from "../src/model/model-folder.ts";
import { HEAP_OPTIONS } from "../src/model/worker-process.ts";
import { measureProcess } from "./measure-process.ts";
import { median, table } from "./table.ts";

const { values: flags } = parseArgs({
  options: {
    rounds: { type: "string", default: "3" },
    views: { type: "string", default: "1024" },
    "second-views": { type: "string", default: "16" },
    threads: { type: "string", default: "2" },
    encode: { type: "string", multiple: true },
  },
});
const LIMITS = [17, 18, 19, 20, 21, 22].map((bits) => 3 * 2 ** bits);
const SECOND_MODEL = "out/bench-models/smolvlm-256m";

interface Encoded {
  readonly views_a_call: number;
  readonly cpu_s: number;
  readonly peak_mib: number;
}

/** In the process of its own. */
async function encode(path: string, numViews: number, maxValues: number): Promise<Encoded> {
  const config = modelConfig.parse({ path: resolve(path) });
  const files = await readModelFolder(config.path, config.dtype);
  const family = familyOf(String(files.config["model_type"])).open(familyFolderOf(files, config));
  const vision = await openSession("vision_encoder", await sessionSource(files.graphs.vision_encoder), { device: "cpu", num_threads: Number(flags.threads) });
  const source_size = { width: 640, height: 480 };
  const views = family.views(source_size).map(({ size }) => ({ ...size, pixels: Uint8Array.from({ length: 3 * size.width * size.height }, (_, i) => i) }));
  const images = Array.from({ length: numViews / views.length }, () => ({ views, source_size }));
  const before = process.cpuUsage();
  await encodeViews(vision, family, images, maxValues);
  const { user, system } = process.cpuUsage(before);
  const [call] = encoderCalls(family, images.flatMap((image) => image.views), maxValues);
  return { views_a_call: call!.tiles.length, cpu_s: (user + system) / 1e6, peak_mib: process.resourceUsage().maxRSS / 1024 };
}

async function encodeApart(model: string, numViews: string, limit: number): Promise<Encoded> {
  const args = [...HEAP_OPTIONS, "--import", "tsx", "bench/encoder.ts", "--threads", flags.threads, ...[model, numViews, String(limit)].flatMap((value) => ["--encode", value])];
  const { exitCode, stdout, stderr } = await measureProcess(process.execPath, args, { env: { ...process.env, MALLOC_ARENA_MAX: "2" }, sampleMs: 1000 });
  if (exitCode !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as Encoded;
}

async function measure(model: string, numViews: string, numRounds: number): Promise<void> {
  const rows = new Map<number, Encoded[]>();
  for (let round = 0; round < numRounds; round++) {
    for (const limit of LIMITS) rows.set(limit, [...(rows.get(limit) ?? []), await encodeApart(model, numViews, limit)]);
  }
  const text = [...rows].map(([limit, runs]) => ({
    "floats a run": limit,
    "views a run": runs[0]!.views_a_call,
    "CPU s": median(runs.map(({ cpu_s }) => cpu_s)).toFixed(2),
    "peak MiB": Math.round(median(runs.map(({ peak_mib }) => peak_mib))),
  }));
  console.log(`\n${model}: ${numViews} views, ${flags.threads} threads, medians of ${numRounds} round(s)\n\n${table(text)}`);
}

const [model, numViews, limit] = flags.encode ?? [];
if (model !== undefined) {
  console.log(JSON.stringify(await encode(model, Number(numViews), Number(limit))));
  process.exit(0);
}
await measure("data/models/demo", flags.views, Number(flags.rounds));
if (existsSync(SECOND_MODEL)) await measure(SECOND_MODEL, flags["second-views"], 1);
