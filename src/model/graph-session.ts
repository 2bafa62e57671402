import { readFile } from "node:fs/promises";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { PlanError, ResourceExhaustedError, StageError } from "../core/errors.ts";
import { deviceError, executionProvider } from "./device.ts";
import type { PlainTensor } from "./families/family.ts";
import { fromFloat16, toFloat16 } from "./float16.ts";
import type { GraphValue, SessionSource } from "./graph-file.ts";
import { type NodePlacement, profilePrefix, readPlacement } from "./node-placement.ts";

export interface SessionOptions {
  readonly device: string;
  readonly num_threads: number;
}

/** What a session is opened for; `profile` records where its nodes run, until `placement` is asked for. */
export interface SessionUse {
  readonly profile?: boolean;
}

export interface FloatOutput {
  readonly dims: readonly number[];
  /** Half-precision outputs are widened. Owned by the caller. */
  readonly data: Float32Array;
}

/** One graph in onnxruntime. A process opens each graph once and never reloads it: reloading leaks. */
export interface GraphSession {
  readonly name: string;
  readonly inputs: readonly GraphValue[];
  readonly outputs: readonly GraphValue[];
  /** Milliseconds inside session.run so far. */
  session_ms: number;
  /**
   * Runs the graph for the named outputs, which must be floats.
   * Throws StageError where onnxruntime refuses, ResourceExhaustedError where memory runs out.
   */
  run(feeds: Readonly<Record<string, PlainTensor>>, outputs: readonly string[]): Promise<Record<string, FloatOutput>>;
  /** Where the nodes of the runs so far were run; ends the recording. Only for sessions opened with `profile`. */
  placement(): Promise<NodePlacement>;
  release(): Promise<void>;
}

/** Throws PlanError where the device can't be had or the graph can't be loaded. */
export async function openSession(name: string, source: SessionSource, options: SessionOptions, { profile = false }: SessionUse = {}): Promise<GraphSession> {
  const prefix = profile ? profilePrefix() : undefined;
  const session = await createSession(name, source, options, prefix);
  const inputs = session.inputMetadata.map(graphValue);
  const types = new Map(inputs.map((input) => [input.name, input.type]));
  const graph: GraphSession = {
    name,
    inputs,
    outputs: session.outputMetadata.map(graphValue),
    session_ms: 0,
    async run(feeds, outputs) {
      const tensors: Record<string, Tensor> = {};
      for (const [key, value] of Object.entries(feeds)) tensors[key] = tensorOf(value, types.get(key) ?? value.type);
      const started = performance.now();
      const results = await session.run(tensors, outputs).catch((cause: unknown) => {
        throw runError(name, cause);
      });
      graph.session_ms += performance.now() - started;
      const found: Record<string, FloatOutput> = {};
      for (const key of outputs) {
        const tensor = results[key] as Tensor;
        found[key] = { dims: tensor.dims, data: floatsOf(name, tensor) };
        tensor.dispose();
      }
      return found;
    },
    async placement() {
      session.endProfiling();
      return await readPlacement(prefix!);
    },
    release: () => session.release(),
  };
  return graph;
}

/** Idle threads sleep: decoding and blurring run beside the model, and a spinning thread takes their core. */
const SESSION_SETTINGS = { intra_op: { allow_spinning: "0" } };

/** A device's memory is taken for the weights as they are, not in the doubling steps of the arena. */
const DEVICE_SETTINGS = { ...SESSION_SETTINGS, use_device_allocator_for_initializers: "1" };

async function createSession(name: string, source: SessionSource, { device, num_threads }: SessionOptions, profilePrefix?: string): Promise<InferenceSession> {
  const settings = device === "cpu" ? SESSION_SETTINGS : DEVICE_SETTINGS;
  const options: InferenceSession.SessionOptions = {
    // Never a second provider: onnxruntime would fall back to it without a word.
    executionProviders: [executionProvider(device)],
    intraOpNumThreads: num_threads,
    interOpNumThreads: 1,
    graphOptimizationLevel: "all",
    logSeverityLevel: 3,
    // Batches differ in shape: a pattern planned for one shape is wrong for the next.
    enableMemPattern: false,
    extra: { session: settings },
    ...(profilePrefix === undefined ? {} : { enableProfiling: true, profileFilePrefix: profilePrefix }),
  };
  try {
    if ("path" in source) return await InferenceSession.create(source.path, options);
    const session = { ...settings, model_external_initializers_file_folder_path: source.external_folder };
    return await InferenceSession.create(source.bytes, { ...options, extra: { session } });
  } catch (cause) {
    throw loadError(name, device, cause);
  }
}

function loadError(name: string, device: string, cause: unknown): PlanError {
  if (cause instanceof PlanError) return cause;
  const text = messageOf(cause);
  if (isOutOfMemory(text)) {
    return new PlanError(`not enough memory to load ${name}: ${text}`, { cause, remedy: "use fewer workers, a smaller dtype, or a larger machine" });
  }
  const unavailable = deviceError(device, text, cause);
  if (unavailable) return unavailable;
  return new PlanError(`onnxruntime can't load ${name}: ${text}`, {
    cause,
    remedy: "check that the file is whole and that its operators are in onnxruntime 1.30; custom operator libraries are not loaded",
  });
}

/** What a failed run is: ResourceExhaustedError where onnxruntime could not get memory. */
export function runError(name: string, cause: unknown): StageError | ResourceExhaustedError {
  const text = messageOf(cause);
  if (isOutOfMemory(text)) {
    return new ResourceExhaustedError(`out of memory in ${name}: ${text}`, { cause, remedy: "lower max_batch_tokens or the number of workers" });
  }
  return new StageError(`${name} failed: ${text}`, { cause, remedy: "run pipeline doctor to see the graphs' inputs and outputs" });
}

function isOutOfMemory(text: string): boolean {
  return /bad_alloc|out of memory|failed to allocate|allocat.*failed/i.test(text);
}

/** onnxruntime's own words, without the place in its source and the condition that failed. */
function messageOf(cause: unknown): string {
  const text = cause instanceof Error ? cause.message : String(cause);
  return text.replace(/^\/onnxruntime_src\/.*? was false\. /s, "").trim();
}

function graphValue(value: InferenceSession.ValueMetadata): GraphValue {
  return value.isTensor ? { name: value.name, type: value.type, dims: value.shape } : { name: value.name, type: "no tensor", dims: [] };
}

function tensorOf({ type, dims, data }: PlainTensor, wanted: string): Tensor {
  if (type === "int64") return new Tensor("int64", bigIntegers(data as Int32Array), dims);
  if (type === "bool") return new Tensor("bool", data as Uint8Array, dims);
  if (wanted === "float16") return float16Tensor(toFloat16(data as Float32Array), dims);
  return new Tensor("float32", data as Float32Array, dims);
}

/**
 * Where Node has a Float16Array (from 24 on) onnxruntime-common wants one, but the native side of onnxruntime-node 1.30
 * takes its length for 0; the bits as a Uint16Array are what it reads everywhere.
 */
function float16Tensor(bits: Uint16Array, dims: readonly number[]): Tensor {
  const tensor = new Tensor("float16", bits, dims);
  return Object.defineProperty(tensor, "data", { value: bits });
}

/** int64 values by their 32-bit halves, low half first. */
function bigIntegers(values: Int32Array): BigInt64Array {
  const halves = new Int32Array(values.length * 2);
  for (let i = 0; i < values.length; i++) {
    halves[2 * i] = values[i]!;
    halves[2 * i + 1] = values[i]! < 0 ? -1 : 0;
  }
  return new BigInt64Array(halves.buffer);
}

function floatsOf(name: string, tensor: Tensor): Float32Array {
  if (tensor.type === "float32") return tensor.data as Float32Array;
  if (tensor.type === "float16") {
    const { buffer, byteOffset, length } = tensor.data as unknown as Uint16Array;
    return fromFloat16(new Uint16Array(buffer, byteOffset, length));
  }
  throw new StageError(`${name} gives ${tensor.type} where floats are expected`, { remedy: "export the model with float outputs" });
}

/** Reads a cut graph from the cache in the form that its weights need. */
export async function cutGraphSource(path: string, external_folder: string | undefined): Promise<SessionSource> {
  return external_folder === undefined ? { path } : { bytes: await readFile(path), external_folder };
}
