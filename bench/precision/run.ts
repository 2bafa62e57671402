/**
 * What a reduced precision does to scores and selection: `npm run bench:precision`. Runs the pipeline on the shipped data
 * set once a row, and holds every row against the first. Quoted in docs/models.md.
 *
 *   npm run bench:precision -- [--python .venv/bin/python] [--set model.device=cuda] [--annotations FILE]
 *   npm run bench:precision -- --model DIR --row fp16 --row q4 --row decoder=q4
 *
 * Without --model, bench/precision/make_graphs.py makes the reduced graphs of data/models/demo in a temporary folder.
 * --row names a dtype for all three graphs, or decoder=DTYPE for the decoder alone; fp32 always comes first.
 */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { columnData, isNull, numericListValue, utf8Value } from "../../src/core/record-batch.ts";
import { readScores } from "../../src/index.ts";
import { rankCorrelation } from "../../src/kernels/rank-correlation.ts";
import { measureProcess } from "../measure-process.ts";
import { table } from "../table.ts";

const { values: flags } = parseArgs({
  options: {
    python: { type: "string", default: ".venv/bin/python" },
    model: { type: "string" },
    annotations: { type: "string", default: "data/demo/train.json" },
    row: { type: "string", multiple: true, default: ["fp16", "decoder=q8", "decoder=q4"] },
    set: { type: "string", multiple: true, default: [] },
  },
});
const folder = await mkdtemp(join(tmpdir(), "bench-precision-"));

interface Scored {
  readonly tau: number;
  readonly samples: Map<string, { readonly vig: number; readonly tokens: Float32Array }>;
}

async function score(model: string, name: string): Promise<Scored> {
  const output = join(folder, "out");
  await rm(output, { recursive: true, force: true });
  const [graph, dtype] = name.includes("=") ? name.split("=") : [undefined, name];
  const dtypes = graph === undefined ? [`model.dtype=${dtype}`] : [`model.dtype={decoder_model_merged: ${dtype}}`];
  const settings = [`model.path=${model}`, ...dtypes, `source.annotations=${resolve(flags.annotations)}`, `output.path=${output}`, ...flags.set];
  const run = await measureProcess(process.execPath, ["bin/pipeline.js", "run", "pipelines/select.yaml", "--quiet", "--no-report", ...settings.flatMap((pair) => ["--set", pair])]);
  if (run.exitCode !== 0) throw new Error(run.stderr);
  const { thresholds } = JSON.parse(await readFile(join(output, "manifest.json"), "utf8")) as { thresholds: readonly { tau: number }[] };
  const samples: Scored["samples"] = new Map();
  for await (const batch of readScores(output)) {
    const vig = columnData(batch, "vig");
    for (let row = 0; row < batch.numRows; row++) {
      if (isNull(vig, row)) continue;
      const tokens = numericListValue<Float32Array>(columnData(batch, "token_vig"), row)!.slice();
      samples.set(utf8Value(columnData(batch, "sample_id"), row), { vig: vig.values[row] as number, tokens });
    }
  }
  return { tau: thresholds[0]!.tau, samples };
}

function compare(name: string, reference: Scored, other: Scored): Record<string, string | number> {
  const ids = [...reference.samples.keys()];
  const vigs = ({ samples }: Scored) => ids.map((id) => samples.get(id)!.vig);
  const kept = ({ samples, tau }: Scored) => new Set(ids.filter((id) => samples.get(id)!.vig >= tau));
  const [ours, theirs] = [kept(reference), kept(other)];
  const both = [...ours].filter((id) => theirs.has(id)).length;
  let [numTokens, numFlipped, sum] = [0, 0, 0];
  for (const id of ids) {
    const [a, b] = [reference.samples.get(id)!.tokens, other.samples.get(id)!.tokens];
    a.forEach((value, t) => {
      const flips = (ours.has(id) && value >= reference.tau) !== (theirs.has(id) && b[t]! >= other.tau);
      numTokens++;
      numFlipped += flips ? 1 : 0;
      sum += Math.abs(value - b[t]!);
    });
  }
  return {
    graphs: name,
    "rank correlation of VIG": rankCorrelation(vigs(reference), vigs(other)).toFixed(4),
    "kept samples in common": `${((100 * both) / ours.size).toFixed(1)} %`,
    "tokens whose mask flips": `${((100 * numFlipped) / numTokens).toFixed(2)} %`,
    "mean |token VIG difference|": (sum / numTokens).toExponential(1),
    tau: other.tau.toFixed(4),
  };
}

try {
  let model = flags.model && resolve(flags.model);
  if (model === undefined) {
    model = join(folder, "model");
    const made = await measureProcess(flags.python, ["bench/precision/make_graphs.py", "data/models/demo", model]);
    if (made.exitCode !== 0) throw new Error(made.stderr);
  }
  const reference = await score(model, "fp32");
  const rows = [compare("fp32", reference, reference)];
  for (const name of flags.row) rows.push(compare(name, reference, await score(model, name)));
  console.log(`${reference.samples.size} samples with a VIG, top 70 percent\n\n${table(rows)}`);
} finally {
  await rm(folder, { recursive: true });
}
