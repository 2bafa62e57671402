import { create } from "@bufbuild/protobuf";
import {
  type NodeProto,
  NodeProtoSchema,
  type TensorProto,
  TensorProto_DataType,
  TensorProtoSchema,
  type ValueInfoProto,
} from "onnx-buf";
import { InferenceSession, type Tensor } from "onnxruntime-node";
import { tensorValue } from "../../src/model/graph-parts.ts";

/** Graphs of a few nodes, and their outputs. */
export type Node = readonly [op: string, inputs: readonly string[], outputs: readonly string[], attributes?: NodeProto["attribute"]];

export function nodes(list: readonly Node[]): NodeProto[] {
  return list.map(([opType, input, output, attribute = []]) => create(NodeProtoSchema, { opType, input: [...input], output: [...output], attribute }));
}

/** float32. */
export function value(name: string, dims: readonly (number | string)[]): ValueInfoProto {
  return tensorValue(name, TensorProto_DataType.FLOAT, dims);
}

export function floats(name: string, dims: readonly number[], data: readonly number[]): TensorProto {
  return create(TensorProtoSchema, { name, dims: dims.map(BigInt), dataType: TensorProto_DataType.FLOAT, floatData: [...data] });
}

export function ints(name: string, data: readonly number[]): TensorProto {
  return create(TensorProtoSchema, { name, dims: [BigInt(data.length)], dataType: TensorProto_DataType.INT64, int64Data: data.map(BigInt) });
}

export async function run(bytes: Uint8Array, feeds: Record<string, Tensor>): Promise<Record<string, Float32Array>> {
  const session = await InferenceSession.create(bytes, { logSeverityLevel: 3 });
  const results = await session.run(feeds);
  return Object.fromEntries(session.outputNames.map((name) => [name, results[name]!.data as Float32Array]));
}
