import { type Field, Schema } from "apache-arrow";
import { z } from "zod";
import { scoresSchema, selectionSchema } from "../core/columns.ts";
import type { MaskStage } from "../core/selection.ts";
import { RandomMasker } from "./mask-random.ts";
import { ThresholdMasker } from "./mask-threshold.ts";
import { requireColumns } from "./require-columns.ts";

export const maskConfig = z
  .strictObject({
    granularity: z
      .enum(["sample", "token", "sample_and_token", "random"])
      .default("sample_and_token")
      .describe(
        "sample: samples at or above tau, all their tokens. token: all samples, their tokens at or above tau (some samples may have none). " +
          "sample_and_token: samples at or above tau, their tokens at or above the same tau. " +
          "random: as many samples and active tokens as sample_and_token, drawn at random: the baseline to compare with.",
      ),
    seed: z.int().min(0).default(0).describe("Of granularity random; other granularities ignore it."),
  })
  .describe("Decides which samples are kept and which of their tokens keep their loss. Text-only samples are kept whole.");

export type MaskConfig = z.infer<typeof maskConfig>;

/**
 * Cuts `selection/` out of `scores/` at one tau. The rule is src/kernels/loss-mask.ts; text-only samples are kept with
 * every token active whatever the granularity, and take no part in counts of what the threshold did.
 */
export function mask(config: MaskConfig): MaskStage {
  const { granularity, seed } = config;
  return {
    kind: "mask",
    version: 1,
    config,
    outputSchema(scores: Schema, passedThrough: readonly Field[]) {
      requireColumns("mask", scores, scoresSchema.names.map(String));
      requireColumns("mask", scores, passedThrough.map((field) => field.name));
      return new Schema([...selectionSchema.fields, ...passedThrough]);
    },
    open: ({ tau }, passedThrough) =>
      granularity === "random" ? new RandomMasker(tau, seed, passedThrough) : new ThresholdMasker(granularity, tau, passedThrough),
  };
}
