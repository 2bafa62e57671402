/** The shipped model through the stages a run uses, against transformers' numbers (experiments/demo-model/golden.py). */
import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { isImageReject } from "../../src/core/stage.ts";
import type { Message } from "../../src/core/sample.ts";
import { blurPixels } from "../../src/kernels/blur-pixels.ts";
import type { Model, Scorer } from "../../src/model/contract.ts";
import { loadModel } from "../../src/model/load-model.ts";
import { decodeSource } from "../../src/stages/image-decoding.ts";

interface Golden {
  readonly sigma_fraction: number;
  readonly samples: readonly {
    readonly id: string;
    readonly image: string | null;
    readonly input_ids: readonly number[];
    readonly positions: readonly number[];
    readonly nll_image: readonly number[];
    readonly nll_blur: readonly number[] | null;
  }[];
}

interface Record {
  readonly id: string;
  readonly conversations: readonly { readonly from: string; readonly value: string }[];
}

const signal = new AbortController().signal;
let golden: Golden;
let records: Map<string, Record>;
let model: Model;
let scorer: Scorer;

beforeAll(async () => {
  golden = JSON.parse(await readFile("test/golden/demo-nlls.json", "utf8")) as Golden;
  const train = JSON.parse(await readFile("data/demo/train.json", "utf8")) as Record[];
  records = new Map(train.map((record) => [record.id, record]));
  model = await loadModel({ path: "data/models/demo" });
  scorer = await model.openScorer({ num_workers: 1, num_threads: 2, devices: ["cpu"] }, signal);
});
afterAll(() => scorer.close());

it("gives transformers' NLL of every token within 1e-3 nats, clean and blurred by scipy", async () => {
  const worst = { nll_image: 0, nll_blur: 0 };
  let numTokens = 0;
  for (const [split, { id, image, input_ids, positions, nll_image, nll_blur }] of golden.samples.entries()) {
    const messages = records.get(id)!.conversations.map(({ from, value }): Message => ({ role: from === "human" ? "user" : "assistant", content: value }));
    const prepared = model.prepare({ sample_id: id, source: "", images: image === null ? [] : [image], messages }, []);
    if ("code" in prepared) throw new Error(`${id}: ${prepared.message}`);
    expect([...prepared.input_ids], id).toEqual(input_ids);
    expect([...prepared.answer_positions], id).toEqual(positions);
    if (image === null || nll_blur === null) continue;
    const pixels = await decodeSource(await readFile(`data/demo/images/${image}`), { max_pixels: 1e6, apply_exif_orientation: true });
    if (isImageReject(pixels)) throw new Error(pixels.message);
    const { width, height, data } = pixels;
    const sigma = golden.sigma_fraction * Math.min(width, height);
    const pixels_blur = blurPixels(data, width, height, sigma);
    const { sequences } = await scorer.score({ split, images: [{ key: image, uses: 1, views: [{ width, height, pixels: data, pixels_blur }] }], sequences: [{ ...prepared, images: [image] }] }, signal);
    const difference = (ours: Float32Array, theirs: readonly number[]) => theirs.reduce((most, value, t) => Math.max(most, Math.abs(value - ours[t]!)), 0);
    worst.nll_image = Math.max(worst.nll_image, difference(sequences[0]!.nll_image, nll_image));
    worst.nll_blur = Math.max(worst.nll_blur, difference(sequences[0]!.nll_blur, nll_blur));
    numTokens += positions.length;
  }
  if (process.env["VIG_PRINT"]) console.log(worst, numTokens);
  expect(golden.samples.length).toBeGreaterThanOrEqual(50);
  expect(numTokens).toBeGreaterThan(400);
  expect(worst.nll_image).toBeLessThan(1e-3);
  expect(worst.nll_blur).toBeLessThan(1e-3);
});
