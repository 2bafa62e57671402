/** The pieces that graph surgery adds: nodes, attributes, constants, inputs and outputs. */
import { create } from "@bufbuild/protobuf";
import {
  AttributeProto_AttributeType,
  AttributeProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  type TensorProto,
  TensorProto_DataType,
  TensorProtoSchema,
  TensorShapeProto_DimensionSchema,
  TensorShapeProtoSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from "onnx-buf";

/** Named after its first output. */
export function makeNode(opType: string, input: string[], output: string[], attribute: NodeProto["attribute"] = []): NodeProto {
  return create(NodeProtoSchema, { opType, input, output, attribute, name: `${output[0]}_node` });
}

export function integerAttribute(name: string, value: number): NodeProto["attribute"][number] {
  return create(AttributeProtoSchema, { name, i: BigInt(value), type: AttributeProto_AttributeType.INT });
}

/** int64 [values]. */
export function int64Constant(name: string, int64Data: bigint[]): TensorProto {
  return create(TensorProtoSchema, { name, dims: [BigInt(int64Data.length)], dataType: TensorProto_DataType.INT64, int64Data });
}

/** A graph's input or output; a dimension is a number where it is fixed, else its name. */
export function tensorValue(name: string, elemType: number, dims: readonly (number | string)[]): ValueInfoProto {
  const dim = dims.map((size) =>
    create(TensorShapeProto_DimensionSchema, {
      value: typeof size === "number" ? { case: "dimValue", value: BigInt(size) } : { case: "dimParam", value: size },
    }),
  );
  const value = create(TypeProto_TensorSchema, { elemType, shape: create(TensorShapeProtoSchema, { dim }) });
  return create(ValueInfoProtoSchema, { name, type: create(TypeProtoSchema, { value: { case: "tensorType", value } }) });
}
