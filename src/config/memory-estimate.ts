/** What a run will need, roughly, before it starts: so that a budget is chosen by arithmetic and not by a crash. */
import { readFile, stat } from "node:fs/promises";
import path from "node:path";
import type { Resources } from "../core/plan.ts";
import { IMAGE_PLACEHOLDER } from "../core/sample.ts";
import type { Model } from "../model/contract.ts";

export interface MemoryEstimate {
  /** One inference process on the host: itself, and where it computes on the processor weights and activations of one batch. */
  readonly worker_bytes: number;
  /** Weights and activations are on a device. */
  readonly on_device: boolean;
  readonly weights_bytes: number;
  readonly activations_bytes: number;
  /** The main process: pixels and rows in flight, Parquet encoders, the process itself. */
  readonly main_bytes: number;
  readonly pixels_bytes: number;
  readonly total_bytes: number;
}

const MB = 1e6;
/** Node with onnxruntime loaded; Node with Arrow, sharp and the Parquet encoders loaded and one row group buffered. */
const WORKER_BASE_BYTES = 90 * MB;
const MAIN_BASE_BYTES = 300 * MB;
/** A process on CUDA with the kernels loaded; and what it holds for each value of a layer in float16 (a 7B model, batches of 8192). */
const CARD_BASE_BYTES = 1000 * MB;
const CARD_BYTES_PER_VALUE = 12;
/** On the host, where weights and activations are on a card. */
const DEVICE_WORKER_BYTES = 1000 * MB;
/** Batches that may hold pixels at once in a lane: two each in decode, blur and inference. */
const BATCHES_WITH_PIXELS = 6;
/** Attention scores are held for sequences up to this length; longer ones come few at a time. */
const TYPICAL_LENGTH = 1024;
const TYPICAL_IMAGE = { width: 640, height: 480 };

/** Reads file sizes and config.json of the model's folder; no graph is opened. On a card: what the host holds. */
export async function estimateMemory(model: Model, maxBatchTokens: number, resources: Resources, onCpu = true): Promise<MemoryEstimate> {
  const { path: folder, max_length } = model.description;
  const weights_bytes = await weightsOf(model);
  const { hidden, intermediate, heads } = await readShape(folder);
  const length = Math.min(max_length, TYPICAL_LENGTH);
  const activations_bytes = maxBatchTokens * 4 * (8 * hidden + 3 * intermediate + heads * length);
  const worker_bytes = onCpu ? WORKER_BASE_BYTES + weights_bytes + activations_bytes : DEVICE_WORKER_BYTES;

  const pixels_bytes = resources.num_lanes * BATCHES_WITH_PIXELS * imagesInBatch(model, maxBatchTokens) * 2 * viewBytes(model);
  const main_bytes = MAIN_BASE_BYTES + pixels_bytes;
  return { worker_bytes, on_device: !onCpu, weights_bytes, activations_bytes, main_bytes, pixels_bytes, total_bytes: main_bytes + resources.num_workers * worker_bytes };
}

/**
 * Device memory of one inference process on CUDA: at least what was measured (docs/gpu.md). onnxruntime's arena grows by
 * doubling and never shrinks, so it holds several times what a batch needs.
 */
export async function estimateCardProcess(model: Model, maxBatchTokens: number): Promise<number> {
  const { path: folder, dtype } = model.description;
  const { hidden, intermediate } = await readShape(folder);
  const bytesPerValue = dtype === "fp16" ? CARD_BYTES_PER_VALUE : 2 * CARD_BYTES_PER_VALUE;
  return (await weightsOf(model)) + CARD_BASE_BYTES + maxBatchTokens * bytesPerValue * (8 * hidden + 3 * intermediate);
}

/** Bytes of the graphs that are loaded, weights among them. */
export async function weightsOf({ description: { path: folder, digests } }: Model): Promise<number> {
  const sizes = await Promise.all(Object.keys(digests).filter((file) => file.includes(".onnx")).map((file) => sizeOf(path.join(folder, file))));
  return sizes.reduce((sum, size) => sum + size, 0);
}

async function sizeOf(file: string): Promise<number> {
  return stat(file).then(({ size }) => size, () => 0);
}

interface Shape {
  readonly hidden: number;
  readonly intermediate: number;
  readonly heads: number;
}

async function readShape(folder: string): Promise<Shape> {
  const config = JSON.parse(await readFile(path.join(folder, "config.json"), "utf8")) as Record<string, unknown>;
  const text = { ...config, ...(config["text_config"] as Record<string, unknown> | undefined) };
  const numberOf = (key: string, fallback: number): number => (typeof text[key] === "number" ? text[key] : fallback);
  const hidden = numberOf("hidden_size", 4096);
  return { hidden, intermediate: numberOf("intermediate_size", 4 * hidden), heads: numberOf("num_attention_heads", 32) };
}

function viewBytes(model: Model): number {
  return model.views(TYPICAL_IMAGE).reduce((sum, { size }) => sum + size.width * size.height * 3, 0);
}

/** At most: each image with a short text, both variants counted. */
function imagesInBatch(model: Model, maxBatchTokens: number): number {
  const messages = [{ role: "user", content: `${IMAGE_PLACEHOLDER}\nWhat is this?` }, { role: "assistant", content: "A photograph." }] as const;
  const prepared = model.prepare({ sample_id: "", source: "", images: ["image"], messages }, model.needs_image_sizes ? [TYPICAL_IMAGE] : []);
  const length = "code" in prepared ? 1 : prepared.input_ids.length;
  return Math.max(1, Math.floor(maxBatchTokens / (2 * length)));
}
