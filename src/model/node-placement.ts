import { mkdtempSync } from "node:fs";
import { readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { PlanError } from "../core/errors.ts";

/** Where onnxruntime ran the nodes of one graph. */
export interface NodePlacement {
  /** Execution provider -> nodes. */
  readonly nodes: Readonly<Record<string, number>>;
  /** Operators that computed with floats, or products of integers, on the host although the graph is on a device, each once. */
  readonly host_operators: readonly string[];
}

/** Operators that are the model's arithmetic: one of them on the host, and the device waits for it at every layer. */
const ARITHMETIC = /MatMul|Gemm|Conv|Attention|Softmax|Normalization|Einsum|Gelu/;

/** A place for the profile of one session, in a folder of its own. */
export function profilePrefix(): string {
  return join(mkdtempSync(join(tmpdir(), "vig-profile-")), "run");
}

interface ProfileEvent {
  readonly cat?: string;
  readonly args?: {
    readonly op_name?: string;
    readonly provider?: string;
    readonly node_index?: string;
    readonly input_type_shape?: readonly Readonly<Record<string, readonly number[]>>[];
    readonly output_type_shape?: readonly Readonly<Record<string, readonly number[]>>[];
  };
}

/** Reads the profile that a session has written, and removes it. */
export async function readPlacement(prefix: string): Promise<NodePlacement> {
  const folder = dirname(prefix);
  try {
    const file = (await readdir(folder)).find((name) => name.startsWith(basename(prefix)));
    return file === undefined ? { nodes: {}, host_operators: [] } : placementOf(JSON.parse(await readFile(join(folder, file), "utf8")) as ProfileEvent[]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

export function placementOf(events: readonly ProfileEvent[]): NodePlacement {
  const providers = new Map<string, string>();
  const host = new Set<string>();
  for (const { cat, args } of events) {
    if (cat !== "Node" || args?.provider === undefined || args.op_name === undefined) continue;
    providers.set(args.node_index ?? String(providers.size), args.provider);
    if (args.provider !== "CPUExecutionProvider") continue;
    const tensors = [...(args.input_type_shape ?? []), ...(args.output_type_shape ?? [])];
    if (tensors.some(isFloats) || ARITHMETIC.test(args.op_name)) host.add(args.op_name);
  }
  const nodes: Record<string, number> = {};
  for (const provider of providers.values()) nodes[provider] = (nodes[provider] ?? 0) + 1;
  return { nodes, host_operators: [...host].sort() };
}

function isFloats(shaped: Readonly<Record<string, readonly number[]>>): boolean {
  return Object.entries(shaped).some(([type, dims]) => /^(float|float16|bfloat16|double)$/.test(type) && dims.length > 0);
}

/**
 * Throws PlanError where onnxruntime gave arithmetic to the host: it does so without a word for any operator that the
 * device's provider lacks, be it one or all.
 */
export function requireOnDevice(graph: string, device: string, provider: string, placement: NodePlacement): void {
  const fallen = placement.host_operators.filter((operator) => ARITHMETIC.test(operator));
  const num_on_device = placement.nodes[provider] ?? 0;
  if (fallen.length === 0 && num_on_device > 0) return;
  const counts = Object.entries(placement.nodes).map(([name, count]) => `${count} nodes on ${name}`).join(", ");
  throw new PlanError(`device ${device} does not run ${graph}: ${fallen.length > 0 ? `onnxruntime runs ${fallen.join(", ")} on the CPU` : "no node ran there"} (${counts})`, {
    remedy: "choose another model.dtype (int8, uint8 and q8 graphs are for CPUs), export the model with tools/export-onnx, or set model.device to cpu",
  });
}
