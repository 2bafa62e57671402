/**
 * What sigma separates best: `npm run bench:sigma`. Scores the shipped data set with several blurs and holds the VIG
 * against the generator's own truth (data/demo/grounding.json, which the pipeline never reads). Quoted in
 * docs/concepts.md; it is why sigma_fraction is 0.28 by default.
 */
import { readFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { auc } from "../src/kernels/auc.ts";
import { rankCorrelation } from "../src/kernels/rank-correlation.ts";
import { readScores } from "../src/index.ts";
import { columnData, isNull, messagesValue, numericListValue, utf8ListValue, utf8Value } from "../src/core/record-batch.ts";
import { measureProcess } from "./measure-process.ts";
import { table } from "./table.ts";

interface Word {
  readonly turn: number;
  readonly start: number;
  readonly end: number;
  readonly tag: string;
  readonly determined: boolean;
}

interface Grounding {
  readonly samples: Readonly<Record<string, { readonly kind: string; readonly type: string; readonly words: readonly Word[] }>>;
  readonly triples: readonly { readonly match: string; readonly partial: string; readonly contra: string }[];
}

const VISUAL = ["object", "color", "colour", "count", "relation", "background"];
const BLURS: readonly (readonly [string, readonly string[]])[] = [
  ...[0.01, 0.03, 0.07, 0.14, 0.28, 0.5].map((fraction) => [`sigma ${fraction} of the side`, [`blur.sigma_fraction=${fraction}`]] as const),
  ["mean color", ["blur.stand_in=mean_color"]],
  ["flat gray", ["blur.stand_in=gray"]],
];

const truth = JSON.parse(await readFile("data/demo/grounding.json", "utf8")) as Grounding;

interface Scored {
  /** Sample VIG by id. */
  readonly vig: Map<string, number>;
  /** Token VIG of words in samples with the right image, by tag; visual words only where the text leaves them open. */
  readonly byTag: Map<string, number[]>;
  readonly tau: number;
  readonly activeShare: number;
}

async function score(overrides: readonly string[], annotations: string): Promise<Scored> {
  const folder = await mkdtemp(join(tmpdir(), "bench-sigma-"));
  try {
    const settings = [...overrides, `source.annotations=${annotations}`, `output.path=${folder}/out`, "output.report=false"];
    const run = await measureProcess(process.execPath, ["bin/pipeline.js", "run", "pipelines/select.yaml", "--quiet", ...settings.flatMap((pair) => ["--set", pair])]);
    if (run.exitCode !== 0) throw new Error(run.stderr);
    const manifest = JSON.parse(await readFile(`${folder}/out/manifest.json`, "utf8")) as {
      thresholds: { tau: number; counts: { num_vig_active: number; num_vig_tokens: number } }[];
    };
    const { tau, counts } = manifest.thresholds[0]!;
    const scored: Scored = { vig: new Map(), byTag: new Map(), tau, activeShare: counts.num_vig_active / counts.num_vig_tokens };
    for await (const batch of readScores(`${folder}/out`)) {
      const vig = columnData(batch, "vig");
      for (let row = 0; row < batch.numRows; row++) {
        if (isNull(vig, row)) continue;
        const id = utf8Value(columnData(batch, "sample_id"), row);
        scored.vig.set(id, vig.values[row] as number);
        const known = truth.samples[id]!;
        if (known.kind !== "grounded") continue;
        const tokenVig = numericListValue<Float32Array>(columnData(batch, "token_vig"), row)!;
        const texts = utf8ListValue(columnData(batch, "token_text"), row);
        const answers = messagesValue(columnData(batch, "messages"), row).flatMap((message, turn) => (message.role === "assistant" ? [{ turn, length: [...message.content].length }] : []));
        for (const { turn, start, end, vig: value } of placed(texts, tokenVig, answers)) {
          for (const word of known.words) {
            if (word.turn !== turn || word.start >= end || start >= word.end) continue;
            if (VISUAL.includes(word.tag) && word.determined) continue;
            const values = scored.byTag.get(word.tag) ?? [];
            values.push(value);
            scored.byTag.set(word.tag, values);
          }
        }
      }
    }
    return scored;
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Tokens with their place (code points, half-open) in their turn; each answer is followed by its end-of-turn token. */
function* placed(texts: readonly string[], vigs: Float32Array, answers: readonly { readonly turn: number; readonly length: number }[]) {
  let answer = 0;
  let at = 0;
  for (const [t, text] of texts.entries()) {
    const { turn, length } = answers[answer]!;
    if (at >= length) {
      answer++;
      at = 0;
      continue;
    }
    const end = at + [...text].length;
    yield { turn, start: at, end, vig: vigs[t]! };
    at = end;
  }
}

const of = (map: Map<string, number[]>, tags: readonly string[]) => tags.flatMap((tag) => map.get(tag) ?? []);
const rows: Record<string, string | number>[] = [];
let reference: Map<string, number> | undefined;
const results: { readonly name: string; readonly train: Scored; readonly triples: Scored }[] = [];
for (const [name, overrides] of BLURS) {
  const [train, triples] = [await score(overrides, "../data/demo/train.json"), await score(overrides, "../data/demo/triples.json")];
  results.push({ name, train, triples });
  if (name.startsWith("sigma 0.28")) reference = train.vig;
}
for (const { name, train, triples } of results) {
  const functions = train.byTag.get("function")!;
  const samples = (keep: (kind: string, type: string) => boolean) => [...train.vig].filter(([id]) => keep(truth.samples[id]!.kind, truth.samples[id]!.type)).map(([, vig]) => vig);
  const types = new Set(Object.values(truth.samples).filter(({ kind }) => kind === "wrong_image").map(({ type }) => type));
  const ordered = truth.triples.filter(({ match, partial, contra }) => {
    const [m, p, c] = [match, partial, contra].map((id) => triples.vig.get(id)!);
    return m! > p! && p! > c!;
  });
  const ids = [...reference!.keys()];
  const vigs = (map: Map<string, number>) => ids.map((id) => map.get(id)!);
  rows.push({
    blur: name,
    object: auc(of(train.byTag, ["object"]), functions).toFixed(2),
    color: auc(of(train.byTag, ["color", "colour"]), functions).toFixed(2),
    count: auc(of(train.byTag, ["count"]), functions).toFixed(2),
    relation: auc(of(train.byTag, ["relation"]), functions).toFixed(2),
    "all visual": auc(of(train.byTag, VISUAL), functions).toFixed(2),
    sample: auc(samples((kind) => kind === "grounded"), samples((kind) => kind === "prior" || kind === "chat")).toFixed(2),
    "right image": auc(samples((kind, type) => kind === "grounded" && types.has(type)), samples((kind) => kind === "wrong_image")).toFixed(2),
    "triples in order": (ordered.length / truth.triples.length).toFixed(2),
    tau: train.tau.toFixed(4),
    "active %": Math.round(100 * train.activeShare),
    "rank corr. with 0.28": rankCorrelation(vigs(train.vig), vigs(reference!)).toFixed(2),
  });
}
console.log(table(rows));
console.log("\nColumns object to all visual: AUC of token VIG against function words. sample: grounded against prior and chat. right image: against wrong images of the same kinds.");
