/** A model by script for tests of stages and engine: tokens are words, NLLs are functions of token and pixels. */
import type { ImageSize, Model, Prepared, ScoreRequest, Scorer, ScorerOptions, SequenceNlls, ViewPixels } from "../../src/model/contract.ts";
import type { Sample } from "../../src/core/sample.ts";

export const IMAGE_TOKEN = 1;
export const VIEW_SIDE = 8;

const wordId = (word: string): number => 2 + ([...word].reduce((hash, char) => (hash * 31 + char.codePointAt(0)!) >>> 0, 7) % 1000);

export interface ScriptedModelOptions {
  /** Called before each request is answered; throw here to fail, wait here to be slow. */
  readonly onScore?: (request: ScoreRequest) => void | Promise<void>;
  readonly onOpen?: (options: ScorerOptions) => void;
}

export function scriptedModel({ onScore, onOpen }: ScriptedModelOptions = {}): Model {
  return {
    description: { path: "scripted", model_type: "scripted", dtype: "fp32", digests: {}, max_length: 64, template: "words" },
    warnings: [],
    needs_image_sizes: false,
    prepare,
    views: (size: ImageSize) => [
      {
        steps: [{ op: "resize", width: VIEW_SIDE, height: VIEW_SIDE, kernel: size.width > 1 ? "bicubic" : "nearest" }],
        size: { width: VIEW_SIDE, height: VIEW_SIDE },
      },
    ],
    openScorer: (options) => {
      onOpen?.(options);
      return Promise.resolve(scriptedScorer(onScore));
    },
  };
}

function prepare(sample: Sample): Prepared | { readonly code: "empty_answer"; readonly message: string } {
  const ids: number[] = [];
  const positions: number[] = [];
  const text: string[] = [];
  for (const { role, content } of sample.messages) {
    for (const word of content.split(/\s+/).filter(Boolean)) {
      if (role === "assistant") {
        positions.push(ids.length);
        text.push(`${word} `);
      }
      ids.push(word === "<image>" ? IMAGE_TOKEN : wordId(word));
    }
  }
  if (positions.length === 0) return { code: "empty_answer", message: "no assistant turn has any text" };
  return {
    input_ids: Int32Array.from(ids),
    answer_positions: Int32Array.from(positions),
    token_text: text,
    num_truncated: 0,
    num_unknown: 0,
  };
}

function meanLevel(pixels: Uint8Array): number {
  return pixels.reduce((sum, value) => sum + value, 0) / pixels.length;
}

/** Remembers images per split, as a worker does, so that a key sent twice or never is noticed. */
function scriptedScorer(onScore: ScriptedModelOptions["onScore"]): Scorer {
  const splits = new Map<number, Map<string, readonly ViewPixels[]>>();
  return {
    report: { execution_provider: "script", head: { kind: "answer_rows" }, placement: [], graphs: [] },
    async score(request, signal) {
      signal.throwIfAborted();
      await onScore?.(request);
      const images = splits.get(request.split) ?? new Map<string, readonly ViewPixels[]>();
      splits.set(request.split, images);
      for (const image of request.images) {
        if (images.has(image.key)) throw new Error(`image ${image.key} was sent twice`);
        images.set(image.key, image.views);
      }
      const sequences = request.sequences.map(({ input_ids, answer_positions, images: keys }): SequenceNlls => {
        const views = keys.flatMap((key) => images.get(key) ?? [missing(key)]);
        const level = (side: "pixels" | "pixels_blur") => views.reduce((sum, view) => sum + meanLevel(view[side]), 0) / 255;
        const contrast = (side: "pixels" | "pixels_blur") => Math.max(...views.map((view) => Math.max(...view[side]) - Math.min(...view[side]))) / 255;
        const nll = (side: "pixels" | "pixels_blur") =>
          Float32Array.from(answer_positions, (position) => 2 + Math.sin(input_ids[position]!) - contrast(side) * Math.cos(input_ids[position]!) + level(side) / 100);
        return { nll_image: nll("pixels"), nll_blur: nll("pixels_blur") };
      });
      return { sequences, statistics: { session_ms: 0, host_ms: 0, idle_ms: 0, num_positions: 0, num_padding: 0 } };
    },
    closeSplit(split) {
      splits.delete(split);
      return Promise.resolve();
    },
    close: () => Promise.resolve(),
  };
}

function missing(key: string): never {
  throw new Error(`image ${key} was never sent`);
}
