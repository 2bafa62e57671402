/** An output folder as a run leaves it, of made-up samples: captions, yes/no questions, text-heavy ones, text-only ones. */
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import type { RecordBatch } from "apache-arrow";
import sharp from "sharp";
import { rejectsSchema, scoresSchema } from "../../src/core/columns.ts";
import {
  float32ListColumn,
  float64Column,
  int32Column,
  int32ListColumn,
  makeRecordBatch,
  messagesColumn,
  utf8Column,
  utf8ListColumn,
} from "../../src/core/record-batch.ts";
import type { Message } from "../../src/core/sample.ts";
import { FolderDatasetWriter } from "../../src/io/output/dataset-writer.ts";
import { RandomStream } from "../../src/kernels/random-stream.ts";
import { topPercentRank } from "../../src/kernels/top-percent.ts";

export interface SyntheticSample {
  readonly sample_id: string;
  readonly source: string;
  readonly images: readonly string[];
  readonly messages: readonly Message[];
  readonly tokens: readonly { readonly text: string; readonly vig: number; readonly nll_image: number }[];
}

const COLORS = ["red", "blue", "green", "yellow", "white", "black"] as const;
const THINGS = ["ball", "kettle", "whale", "lamp", "carrot", "bicycle", "drum"] as const;
const PLACES = ["above", "below", "beside", "behind"] as const;

/** Tokens with realistic shapes: what names something gains, function words are near zero. */
export function syntheticSamples(num: number, seed = 1): SyntheticSample[] {
  const random = new RandomStream(seed);
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - random.uniform())) * Math.cos(2 * Math.PI * random.uniform());
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random.uniform() * from.length)]!;
  const token = (text: string, gain: number): SyntheticSample["tokens"][number] => {
    const nll_image = Math.abs(0.15 + 0.2 * normal());
    return { text, vig: Math.fround(Math.max(-nll_image * 4, gain + 0.12 * normal() * (1 + Math.abs(gain)))), nll_image: Math.fround(nll_image) };
  };
  const words = (text: string): SyntheticSample["tokens"] =>
    text.split(/(?=[ .])/).map((word) => {
      const bare = word.trim().toLowerCase();
      if ((COLORS as readonly string[]).includes(bare)) return token(word, 3);
      if ((THINGS as readonly string[]).includes(bare)) return token(word, 2.2);
      if ((PLACES as readonly string[]).includes(bare)) return token(word, 1.3);
      return token(word, 0.02);
    });
  return Array.from({ length: num }, (_, i): SyntheticSample => {
    const scene = `scene-${i % 24}.png`;
    const kind = random.uniform();
    const [color, thing, place, other] = [pick(COLORS), pick(THINGS), pick(PLACES), pick(THINGS)];
    const make = (source: string, question: string, answer: string, tokens = words(answer), images: readonly string[] = [scene]): SyntheticSample => ({
      sample_id: `${source}-${i}`,
      source,
      images,
      messages: [
        { role: "user", content: images.length > 0 ? `<image>\n${question}` : question },
        { role: "assistant", content: answer },
      ],
      tokens: [...tokens, token("</s>", 0)],
    });
    if (kind < 0.35) return make("captions", "Describe the picture.", `A ${color} ${thing} is ${place} the ${other}.`);
    if (kind < 0.65) {
      const answer = pick(["Yes", "No"]);
      return make("yes_no", `Is there a ${thing}?`, `${answer}.`, [token(answer, 0.7 + 0.5 * normal()), token(".", 0)]);
    }
    if (kind < 0.75) {
      const tokens = words(`The ${thing} is ${color}.`).map((one) => (COLORS.some((name) => one.text.trim() === name) ? { ...one, vig: Math.fround(-1.5 - random.uniform() * 3) } : one));
      return make("mislabelled", `What colour is the ${thing}?`, `The ${thing} is ${color}.`, tokens);
    }
    if (kind < 0.95) {
      const answer = "It depends on the year of the report and on what the law says.";
      return make("documents", "What does the law say?", answer, words(answer).map((one) => ({ ...one, vig: Math.fround(0.15 * normal()) })));
    }
    return make("chat", "Who are you?", "I am here to help with that.", undefined, []);
  });
}

export function scoresOf(samples: readonly SyntheticSample[]): RecordBatch {
  const isText = (sample: SyntheticSample): boolean => sample.images.length === 0;
  const mean = (sample: SyntheticSample, read: (token: SyntheticSample["tokens"][number]) => number): number | null =>
    isText(sample) ? null : sample.tokens.reduce((sum, one) => sum + read(one), 0) / sample.tokens.length;
  return makeRecordBatch(scoresSchema, {
    sample_id: utf8Column(samples.map((sample) => sample.sample_id)),
    source: utf8Column(samples.map((sample) => sample.source)),
    images: utf8ListColumn(samples.map((sample) => sample.images)),
    messages: messagesColumn(samples.map((sample) => sample.messages)),
    num_tokens: int32Column(Int32Array.from(samples, (sample) => sample.tokens.length)),
    nll_image: float64Column(samples.map((sample) => mean(sample, (one) => one.nll_image))),
    nll_blur: float64Column(samples.map((sample) => mean(sample, (one) => one.nll_image + one.vig))),
    vig: float64Column(samples.map((sample) => mean(sample, (one) => one.vig))),
    token_id: int32ListColumn(samples.map((sample) => Int32Array.from(sample.tokens, (_, t) => t))),
    token_text: utf8ListColumn(samples.map((sample) => sample.tokens.map((one) => one.text))),
    token_nll_image: float32ListColumn(samples.map((sample) => (isText(sample) ? null : Float32Array.from(sample.tokens, (one) => one.nll_image)))),
    token_vig: float32ListColumn(samples.map((sample) => (isText(sample) ? null : Float32Array.from(sample.tokens, (one) => one.vig)))),
  });
}

export interface SyntheticRun {
  readonly path: string;
  readonly samples: readonly SyntheticSample[];
  readonly tau: number;
}

export interface SyntheticRunOptions {
  readonly samples: readonly SyntheticSample[];
  readonly top_percent?: number;
  readonly with_images?: boolean;
  readonly rejects?: readonly { readonly sample_id: string; readonly code: string; readonly message: string }[];
  /** Merged over the manifest. */
  readonly manifest?: Readonly<Record<string, unknown>>;
}

export async function writeSyntheticRun(folder: string, options: SyntheticRunOptions): Promise<SyntheticRun> {
  const { samples, top_percent = 70, rejects = [] } = options;
  const out = path.join(folder, "out");
  await mkdir(path.join(out, "_work"), { recursive: true });
  const scores = scoresOf(samples);
  await writeDataset(out, "scores", scores, scoresSchema);
  await writeDataset(
    out,
    "rejects",
    makeRecordBatch(rejectsSchema, {
      sample_id: utf8Column(rejects.map((reject) => reject.sample_id)),
      split: int32Column(new Int32Array(rejects.length)),
      stage: utf8Column(rejects.map(() => "decode")),
      code: utf8Column(rejects.map((reject) => reject.code)),
      message: utf8Column(rejects.map((reject) => reject.message)),
    }),
    rejectsSchema,
  );
  const image_root = path.join(folder, "images");
  if (options.with_images ?? true) await writeScenes(image_root);
  await writeFile(path.join(folder, "train.json"), JSON.stringify(samples.map((sample) => ({
    id: sample.sample_id,
    ...(sample.images.length > 0 ? { image: sample.images[0] } : {}),
    conversations: sample.messages.map(({ role, content }) => ({ from: role === "user" ? "human" : "gpt", value: content })),
  }))));
  const { tau, threshold, counts } = select(samples, top_percent, rejects);
  const manifest = {
    manifest_version: 1,
    name: "synthetic",
    run_id: "00000000-0000-4000-8000-000000000000",
    started_at: "2026-01-02T03:04:05.000Z",
    finished_at: "2026-01-02T03:05:17.500Z",
    success: true,
    plan_hash: "0".repeat(64),
    scores_hash: "1".repeat(64),
    input: { num_splits: 1, num_records: samples.length, source: { kind: "llava_json", annotations: path.join(folder, "train.json"), image_root } },
    model: { path: "data/models/tiny", model_type: "llava", dtype: "fp32", execution_provider: "cpu" },
    blur: { stand_in: "gaussian", sigma_fraction: 0.28, at: "model_input" },
    counts,
    thresholds: [threshold],
    words: { highest: [], lowest: [] },
    warnings: [],
    duration_ms: 72_500,
    duration_ms_by_phase: { scan: 120, score: 70_000, publish: 800, select: 1_580 },
    stage_ms: {},
    inference: { session_ms: 60_000, num_positions: 1_000_000, num_padding: 40_000 },
    plan: { scores: {}, selection: { stages: [{ kind: "mask", version: 1, config: { granularity: "sample_and_token", seed: 0 } }] } },
    versions: { "vig-pipeline": "0.1.0", node: "20.0.0" },
    ...options.manifest,
  };
  await writeFile(path.join(out, "manifest.json"), JSON.stringify(manifest));
  return { path: out, samples, tau };
}

/** By sorting: what the report's counts are held against. */
export function select(samples: readonly SyntheticSample[], top_percent: number, rejects: readonly { readonly code: string }[] = []) {
  const shown = samples.filter((sample) => sample.images.length > 0);
  const vigs = shown.map((sample) => sample.tokens.reduce((sum, one) => sum + one.vig, 0) / sample.tokens.length);
  const sorted = [...vigs].sort((a, b) => b - a);
  const tau = sorted[topPercentRank(top_percent, shown.length) - 1] ?? Infinity;
  const kept = shown.filter((_, i) => vigs[i]! >= tau);
  const tokensOf = (some: readonly SyntheticSample[]): number => some.reduce((sum, sample) => sum + sample.tokens.length, 0);
  const num_vig_active = kept.reduce((sum, sample) => sum + sample.tokens.filter((one) => one.vig >= tau).length, 0);
  const textTokens = tokensOf(samples) - tokensOf(shown);
  const rejects_by_code: Record<string, number> = {};
  for (const { code } of rejects) rejects_by_code[code] = (rejects_by_code[code] ?? 0) + 1;
  return {
    tau,
    threshold: {
      dataset: "selection",
      top_percent,
      tau: Number.isFinite(tau) ? tau : null,
      k: topPercentRank(top_percent, shown.length),
      counts: {
        num_vig: shown.length,
        num_text_only: samples.length - shown.length,
        num_kept_vig: kept.length,
        num_ties: vigs.filter((vig) => vig === tau).length,
        num_tokens: tokensOf(samples),
        num_vig_tokens: tokensOf(shown),
        num_active: num_vig_active + textTokens,
        num_vig_active,
        near_zero: null,
      },
    },
    counts: {
      num_read: samples.length + rejects.length,
      num_scored: shown.length,
      num_text_only: samples.length - shown.length,
      num_rejected: rejects.length,
      rejects_by_code,
      num_tokens: tokensOf(samples),
      num_truncated_tokens: 0,
      num_unknown_tokens: 0,
    },
  };
}

async function writeDataset(out: string, name: string, batch: RecordBatch, schema: RecordBatch["schema"]): Promise<void> {
  const writer = await FolderDatasetWriter.open(path.join(out, `${name}.tmp`), path.join(out, name), { schema, compression: "zstd", metadata: {} });
  for (let row = 0; row < batch.numRows; row += 1_000) await writer.write(batch.slice(row, Math.min(batch.numRows, row + 1_000)));
  await writer.publish();
}

/** A disc and a box on plain ground, in raw pixels; some images are wide and some tall. */
async function writeScenes(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (let i = 0; i < 24; i++) {
    const width = i % 3 === 0 ? 480 : 320;
    const height = i % 3 === 0 ? 320 : 320 + 40 * (i % 4);
    const [ground, disc, box] = [toRgb(i * 15, 0.45, 0.86), toRgb(i * 53, 0.75, 0.48), toRgb(i * 97, 0.65, 0.38)];
    const data = new Uint8Array(width * height * 3);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const inDisc = (x - width / 3) ** 2 + (y - height / 2) ** 2 < 70 ** 2;
        const inBox = x > width / 2 && x < width / 2 + 110 && y > height / 3 && y < height / 3 + 110;
        data.set(inBox ? box : inDisc ? disc : ground, (y * width + x) * 3);
      }
    }
    await sharp(data, { raw: { width, height, channels: 3 } }).png().toFile(path.join(folder, `scene-${i}.png`));
  }
}

function toRgb(hue: number, saturation: number, lightness: number): [number, number, number] {
  const part = (n: number): number => {
    const k = (n + (hue % 360) / 30) % 12;
    return Math.round(255 * (lightness - saturation * Math.min(lightness, 1 - lightness) * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
  };
  return [part(0), part(8), part(4)];
}
