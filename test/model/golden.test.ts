import { cpSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Model, Prepared, Scorer } from "../../src/model/contract.ts";
import { loadModel } from "../../src/model/load-model.ts";
import { readGolden, requestOf, sampleOf, sizesOf, sourceRequestOf } from "./golden.ts";

const ALL = ["llava", "llava_onevision", "llava_qwen2", "idefics3", "smolvlm", "qwen2_vl", "qwen2_5_vl", "paligemma", "gemma3"];
const FAMILIES = process.env["VIG_TEST_FAMILIES"]?.split(",") ?? ALL;

const CPU = { num_workers: 1, num_threads: 1, devices: ["cpu"] };

for (const family of FAMILIES) {
  const golden = readGolden(family);
  for (const variant of Object.keys(golden.variants)) {
    const cases = golden.cases.filter((each) => each.variant === variant);
    describe(`${family}, ${variant}`, () => {
      let folder: string;
      let model: Model;
      let scorer: Scorer;

      beforeAll(async () => {
        folder = mkdtempSync(join(tmpdir(), "vig-golden-"));
        cpSync(golden.folder, folder, { recursive: true });
        const { preprocessor } = golden.variants[variant]!;
        if (preprocessor !== "preprocessor_config.json") renameSync(join(folder, preprocessor), join(folder, "preprocessor_config.json"));
        model = await loadModel({
          path: folder,
          dtype: "fp32",
          max_length: 2048,
          ...(variant === "base" ? { split_images: false } : {}),
        });
        scorer = await model.openScorer(CPU, new AbortController().signal);
      });

      afterAll(async () => {
        await scorer.close();
        rmSync(folder, { recursive: true });
      });

      test.each(cases)("$id: tokens and answers are transformers' own", (each) => {
        const prepared = model.prepare(sampleOf(each), sizesOf(golden, each)) as Prepared;
        expect([...prepared.input_ids]).toEqual(each.input_ids);
        expect([...prepared.answer_positions]).toEqual(each.supervised_positions);
        // Some tokenizers compose characters (NFC) before they cut them up.
        const answers = each.messages.filter(({ role }) => role === "assistant").map(({ content }) => content.normalize());
        let text = prepared.token_text.join("").normalize();
        for (const answer of answers) {
          expect(text.startsWith(answer)).toBe(true);
          text = text.slice(answer.length).replace(/^<[^>]*>/, "");
        }
        expect(text).toBe("");
      });

      test.each(Object.entries(golden.images))("%s: sizes of the views are the processor's", (_, image) => {
        const canvas = image.canvases[variant];
        if (!canvas) return;
        const sizes = model.views(image).map(({ size }) => size);
        const wanted = ["main", "tiles", "global"].flatMap((role) => canvas.canvases[role] ?? []);
        // LLaVA-OneVision has one more, for samples with several images.
        expect(sizes.slice(0, wanted.length)).toEqual(wanted.map(({ width, height }) => ({ width, height })));
      });

      test("the head is cut", () => {
        expect(scorer.report.head).toEqual({ kind: "answer_rows" });
      });

      test("every token's NLL is transformers' own, in one padded batch", async () => {
        const { sequences } = await scorer.score(await requestOf(golden, model, cases), new AbortController().signal);
        const worst = { nll_image: 0, nll_blur: 0 };
        sequences.forEach(({ nll_image, nll_blur }, i) => {
          const { nll_image: clean, nll_blur: blurred } = cases[i]!;
          expect(nll_image.length).toBe(clean.length);
          clean.forEach((value, t) => (worst.nll_image = Math.max(worst.nll_image, Math.abs(value - nll_image[t]!))));
          (blurred ?? clean).forEach((value, t) => (worst.nll_blur = Math.max(worst.nll_blur, Math.abs(value - nll_blur[t]!))));
        });
        if (process.env["VIG_PRINT"]) console.log(family, variant, worst);
        expect(worst.nll_image).toBeLessThan(1e-3);
        expect(worst.nll_blur).toBeLessThan(1e-3);
      });

      test("from the source images, by our own resize, every sample's mean is transformers' own", async () => {
        const request = await sourceRequestOf(golden, model, cases, 1);
        const { sequences } = await scorer.score(request, new AbortController().signal);
        const mean = (values: ArrayLike<number>) => Array.from(values).reduce((sum, value) => sum + value, 0) / values.length;
        const differences = cases.map(({ id, nll_image }, i) => ({ id, by: Math.abs(mean(sequences[i]!.nll_image) - mean(nll_image)) }));
        if (process.env["VIG_PRINT"]) console.log(family, variant, differences);
        expect(Math.max(...differences.map(({ by }) => by))).toBeLessThan(1e-3);
      });
    });
  }
}
