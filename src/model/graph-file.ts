import { readFile, realpath } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  type GraphProto,
  type ModelProto,
  ModelProtoSchema,
  type TensorProto,
  TensorProto_DataLocation,
  TensorProto_DataType,
  type ValueInfoProto,
} from "onnx-buf";
import { PlanError } from "../core/errors.ts";

/** One input or output of a graph: a number where the size is fixed, else the axis's name. */
export interface GraphValue {
  readonly name: string;
  /** As onnxruntime names element types: float32, float16, int64, bool, ... */
  readonly type: string;
  readonly dims: readonly (number | string)[];
}

/** An ONNX file whose structure has been read; its weights may lie in other files. */
export interface GraphFile {
  readonly path: string;
  readonly inputs: readonly GraphValue[];
  readonly outputs: readonly GraphValue[];
  /** The other files that hold weights: their names in the graph, and their real paths (symbolic links resolved). */
  readonly external: readonly { readonly location: string; readonly path: string }[];
  /** Whether activations are quantised at run time, all rows of a batch by one scale. */
  readonly quantizes_batches: boolean;
}

/** The parsed file. Weights are views of the bytes that were read. Throws PlanError where it is no ONNX file. */
export async function readModelProto(path: string): Promise<ModelProto> {
  const bytes = await readFile(path).catch((cause: unknown) => {
    throw new PlanError(`the graph ${path} can't be read`, { cause, remedy: "check model.path and model.dtype" });
  });
  try {
    const model = fromBinary(ModelProtoSchema, bytes);
    if (model.graph !== undefined && model.graph.output.length > 0) return model;
  } catch (cause) {
    throw new PlanError(`${path} is no ONNX file`, { cause, remedy: "download or export the model again" });
  }
  throw new PlanError(`${path} is no ONNX file with outputs`, { remedy: "download or export the model again" });
}

export async function readGraphFile(path: string): Promise<GraphFile> {
  const model = await readModelProto(path);
  const graph = model.graph!;
  const constants = new Set(graph.initializer.map((tensor) => tensor.name));
  const folder = dirname(path);
  const external: { location: string; path: string }[] = [];
  for (const location of new Set(externalTensors(graph).map(locationOf))) {
    if (!staysInside(location)) {
      throw new PlanError(`${basename(path)} keeps weights in ${JSON.stringify(location)}, outside its folder`, {
        remedy: "use a model from a source that you trust; external weights lie beside their graph",
      });
    }
    const real = await realpath(join(folder, location)).catch((cause: unknown) => {
      throw new PlanError(`${basename(path)} keeps weights in ${location}, which is missing from ${folder}`, {
        cause,
        remedy: "download the .onnx_data files that belong to the graph",
      });
    });
    external.push({ location, path: real });
  }
  return {
    path,
    inputs: graph.input.filter((value) => !constants.has(value.name)).map(graphValue),
    outputs: graph.output.map(graphValue),
    external,
    quantizes_batches: graph.node.some(({ opType }) => opType === "DynamicQuantizeLinear" || opType === "DynamicQuantizeMatMul"),
  };
}

/** Links are followed, for whoever made the folder made them; what the graph itself says must not lead out. */
function staysInside(location: string): boolean {
  return location !== "" && !/^([/\\]|[a-z]:)/i.test(location) && !location.split(/[/\\]/).includes("..");
}

/** What an onnxruntime session loads: a path, or bytes with the folder that their external weights are in. */
export type SessionSource =
  | { readonly path: string }
  | { readonly bytes: Uint8Array; readonly external_folder: string };

/**
 * The graph in a form that onnxruntime loads wherever its weights really are: it refuses weights behind symbolic
 * links (as in a Hugging Face cache), so such graphs are loaded from bytes that name the real files.
 * Changes `model`. Throws PlanError where one graph's weights lie in several folders.
 */
export async function relocateExternal(path: string, model: ModelProto): Promise<SessionSource | undefined> {
  const tensors = externalTensors(model.graph!);
  if (tensors.length === 0) return undefined;
  const real = new Map<string, string>();
  for (const location of new Set(tensors.map(locationOf))) real.set(location, await realpath(join(dirname(path), location)));
  const folders = new Set([...real.values()].map((file) => dirname(file)));
  if (folders.size > 1) {
    throw new PlanError(`the weights of ${basename(path)} are links into several folders: ${[...folders].join(", ")}`, {
      remedy: "put the real .onnx_data files of one graph into one folder",
    });
  }
  for (const tensor of tensors) {
    const entry = tensor.externalData.find((pair) => pair.key === "location")!;
    entry.value = basename(real.get(entry.value)!);
  }
  return { bytes: toBinary(ModelProtoSchema, model), external_folder: [...folders][0]! };
}

/** The source of a graph as it is, with its external weights found. */
export async function sessionSource(file: GraphFile): Promise<SessionSource> {
  if (file.external.length === 0) return { path: file.path };
  return (await relocateExternal(file.path, await readModelProto(file.path))) ?? { path: file.path };
}

function externalTensors(graph: GraphProto): TensorProto[] {
  const found = graph.initializer.filter((tensor) => tensor.dataLocation === TensorProto_DataLocation.EXTERNAL);
  for (const node of graph.node) {
    for (const attribute of node.attribute) {
      if (attribute.t?.dataLocation === TensorProto_DataLocation.EXTERNAL) found.push(attribute.t);
      if (attribute.g) found.push(...externalTensors(attribute.g));
    }
  }
  return found;
}

function locationOf(tensor: TensorProto): string {
  return tensor.externalData.find((pair) => pair.key === "location")?.value ?? "";
}

const ELEMENT_TYPES: Readonly<Record<number, string>> = {
  [TensorProto_DataType.FLOAT]: "float32",
  [TensorProto_DataType.FLOAT16]: "float16",
  [TensorProto_DataType.BFLOAT16]: "bfloat16",
  [TensorProto_DataType.DOUBLE]: "float64",
  [TensorProto_DataType.INT64]: "int64",
  [TensorProto_DataType.INT32]: "int32",
  [TensorProto_DataType.BOOL]: "bool",
  [TensorProto_DataType.UINT8]: "uint8",
  [TensorProto_DataType.INT8]: "int8",
};

function graphValue(info: ValueInfoProto): GraphValue {
  const type = info.type?.value;
  if (type?.case !== "tensorType") return { name: info.name, type: "unknown", dims: [] };
  const dims = (type.value.shape?.dim ?? []).map((dim) =>
    dim.value.case === "dimValue" ? Number(dim.value.value) : (dim.value.value ?? "?"),
  );
  return { name: info.name, type: ELEMENT_TYPES[type.value.elemType] ?? `type ${type.value.elemType}`, dims };
}
