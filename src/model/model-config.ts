import { z } from "zod";

/** The file-name suffix of each dtype's graphs in the transformers.js / onnx-community layout. */
export const DTYPE_SUFFIX = {
  fp32: "",
  fp16: "_fp16",
  q8: "_quantized",
  int8: "_int8",
  uint8: "_uint8",
  q4: "_q4",
  q4f16: "_q4f16",
  bnb4: "_bnb4",
} as const satisfies Record<string, string>;

export type Dtype = keyof typeof DTYPE_SUFFIX;

export const GRAPH_NAMES = ["vision_encoder", "embed_tokens", "decoder_model_merged"] as const;
export type GraphName = (typeof GRAPH_NAMES)[number];

const dtype = z.enum(["fp32", "fp16", "q8", "int8", "uint8", "q4", "q4f16", "bnb4"]);

const graphDtypes = z.strictObject({
  vision_encoder: dtype.default("fp32"),
  embed_tokens: dtype.default("fp32"),
  decoder_model_merged: dtype.default("fp32"),
});

const device = z
  .string()
  .regex(/^(cpu|webgpu|cuda(:\d+)?)$/, "a device is cpu, webgpu, cuda or cuda:N");

/** The `model:` block of a configuration file. */
export const modelConfig = z.strictObject({
  path: z.string().min(1).describe("Model folder in the transformers.js / onnx-community layout, relative to this file."),
  dtype: z
    .union([z.enum([...dtype.options, "auto"]), graphDtypes])
    .default("auto")
    .describe("Which graphs to load, by their suffix; auto takes the most precise that is complete. A mapping chooses for each graph."),
  device: z
    .union([device, z.array(device).min(1)])
    .default("cpu")
    .describe("cpu, webgpu, cuda or cuda:N (docs/gpu.md); a list is dealt out to the workers in turn. A device that can't be had is an error, never a run on the CPU."),
  max_length: z
    .int()
    .positive()
    .optional()
    .describe("Tokens kept of a sample after image tokens are expanded; the model's own limit, at most 2048, where it is not given."),
  template: z
    .enum(["auto", "folder", "llava_v1"])
    .default("auto")
    .describe("Chat template: the folder's, or LLaVA v1 (Vicuna). auto takes the folder's if it has one."),
  pad_to_square: z
    .boolean()
    .optional()
    .describe("LLaVA only: pad images to a square with the mean colour, as LLaVA's trainer does, in place of a centre crop; the folder's own setting where it is not given."),
  split_images: z
    .boolean()
    .optional()
    .describe("LLaVA-OneVision, Idefics3, SmolVLM: cut large images into tiles; off: one view an image, fewer tokens; the folder's own setting where it is not given."),
});

export type ModelConfig = z.infer<typeof modelConfig>;
export type ModelOptions = z.input<typeof modelConfig>;
