/** Stand-ins for configurations whose owners have not landed yet. */
import { z } from "zod";

export const llavaJsonConfig = z.strictObject({
  kind: z.literal("llava_json"),
  annotations: z.string().min(1).describe("LLaVA JSON or JSON lines."),
  image_root: z.string().min(1).describe("Folder that image paths are relative to."),
});
export const sourceConfig = z.discriminatedUnion("kind", [llavaJsonConfig]);
export const quantileThresholdConfig = z.strictObject({
  top_percent: z.number().min(0).max(100).optional().describe("Share of samples to keep, percent."),
  tau: z.number().optional().describe("Threshold, nats."),
  tau_from: z.string().optional().describe("Manifest whose tau is used."),
});
export const maskConfig = z.strictObject({
  granularity: z.enum(["sample", "token", "sample_and_token", "random"]).default("sample_and_token").describe("What is masked."),
  seed: z.int().default(0).describe("Seed of random."),
});
