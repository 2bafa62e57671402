import { create } from "@bufbuild/protobuf";
import { type GraphProto, type ModelProto, type NodeProto, OperatorSetIdProtoSchema, TensorProto_DataType } from "onnx-buf";
import { int64Constant, integerAttribute, makeNode, tensorValue } from "./graph-parts.ts";

/** Feature rows [k, hidden] of images that an earlier run encoded. */
export const KEPT_ROWS_INPUT = "vig_kept_rows";
/** int64 [rows, sequence]: for every position its row among the text's, the new images' and the kept images' rows. */
export const SOURCE_ROWS_INPUT = "vig_source_rows";
/** Feature rows [images * tokens, hidden] of the images of this run, for those that a later run shows again. */
export const IMAGE_ROWS_OUTPUT = "vig_image_rows";

export interface JoinParts {
  readonly vision: ModelProto;
  readonly embed: ModelProto;
  /** The decoder with its head cut. */
  readonly decoder: ModelProto;
}

/**
 * One graph of the three, so that neither embeddings nor image features leave the device: `inputs_embeds` becomes
 * Gather(Concat(text rows, image rows, kept rows), source rows). Changes `parts`. Gives the reason where it can't be done.
 */
export function joinGraphs({ vision, embed, decoder }: JoinParts): { readonly model: ModelProto } | { readonly reason: string } {
  const models = [vision, embed, decoder];
  if (models.some(({ functions }) => functions.length > 0)) return { reason: "a graph has functions of its own" };
  const opsets = new Map<string, bigint>();
  for (const { domain, version } of models.flatMap(({ opsetImport }) => opsetImport)) {
    if ((opsets.get(domain) ?? version) !== version) return { reason: `the graphs are of different versions of the operators ${domain || "ai.onnx"}` };
    opsets.set(domain, version);
  }
  const graph = decoder.graph!;
  const embeds = graph.input.find(({ name }) => name === "inputs_embeds");
  if (embeds?.type?.value.case !== "tensorType") return { reason: "the decoder has no input inputs_embeds" };
  const type = embeds.type.value.value.elemType;
  const image = prefixed(vision.graph!, "vision/");
  const text = prefixed(embed.graph!, "embed/");
  const width = widthOf(text);
  if (width === undefined) return { reason: "the graphs leave the width of the embeddings open" };
  graph.node = [...image.node, ...text.node, ...joiningNodes(image.output[0]!.name, text.output[0]!.name, type), ...graph.node];
  graph.initializer.push(...image.initializer, ...text.initializer, int64Constant("vig_flat_rows_shape", [-1n, width]));
  graph.input = [
    ...image.input,
    ...text.input,
    ...graph.input.filter((input) => input !== embeds),
    tensorValue(KEPT_ROWS_INPUT, TensorProto_DataType.FLOAT, ["num_kept_rows", Number(width)]),
    tensorValue(SOURCE_ROWS_INPUT, TensorProto_DataType.INT64, ["batch_size", "sequence_length"]),
  ];
  graph.output.push(tensorValue(IMAGE_ROWS_OUTPUT, TensorProto_DataType.FLOAT, ["num_image_rows", Number(width)]));
  decoder.opsetImport = [...opsets].map(([domain, version]) => create(OperatorSetIdProtoSchema, { domain, version }));
  return { model: decoder };
}

function joiningNodes(image: string, text: string, type: number): NodeProto[] {
  const float = Number(TensorProto_DataType.FLOAT);
  return [
    makeNode("Cast", [text], ["vig_text_typed"], [integerAttribute("to", type)]),
    makeNode("Reshape", ["vig_text_typed", "vig_flat_rows_shape"], ["vig_text_rows"]),
    makeNode("Cast", [image], ["vig_image_float"], [integerAttribute("to", float)]),
    makeNode("Reshape", ["vig_image_float", "vig_flat_rows_shape"], [IMAGE_ROWS_OUTPUT]),
    makeNode("Cast", [IMAGE_ROWS_OUTPUT], ["vig_image_typed"], [integerAttribute("to", type)]),
    makeNode("Cast", [KEPT_ROWS_INPUT], ["vig_kept_typed"], [integerAttribute("to", type)]),
    makeNode("Concat", ["vig_text_rows", "vig_image_typed", "vig_kept_typed"], ["vig_all_rows"], [integerAttribute("axis", 0)]),
    makeNode("Gather", ["vig_all_rows", SOURCE_ROWS_INPUT], ["inputs_embeds"], [integerAttribute("axis", 0)]),
  ];
}

/** The last dimension of the embeddings. */
function widthOf({ output }: GraphProto): bigint | undefined {
  const type = output[0]?.type?.value;
  const dim = type?.case === "tensorType" ? type.value.shape?.dim.at(-1)?.value : undefined;
  return dim?.case === "dimValue" ? dim.value : undefined;
}

/** Renames everything inside the graph but its inputs, so that it can stand beside another. */
function prefixed(graph: GraphProto, prefix: string): GraphProto {
  const initializers = new Set(graph.initializer.map(({ name }) => name));
  const kept = new Set(graph.input.map(({ name }) => name).filter((name) => !initializers.has(name)));
  const rename = (name: string) => (name === "" || kept.has(name) ? name : prefix + name);
  const renameIn = (each: GraphProto): void => {
    for (const node of each.node) {
      node.name = prefix + node.name;
      node.input = node.input.map(rename);
      node.output = node.output.map(rename);
      for (const { g } of node.attribute) if (g) renameIn(g);
    }
    for (const value of [...each.initializer, ...each.output]) value.name = rename(value.name);
    if (each !== graph) for (const value of each.input) value.name = rename(value.name);
    each.valueInfo = [];
  };
  renameIn(graph);
  // Axes of one name are of one size to onnxruntime: these graphs' batches are not the decoder's.
  for (const { type } of [...graph.input, ...graph.output]) {
    const dims = type?.value.case === "tensorType" ? (type.value.value.shape?.dim ?? []) : [];
    for (const { value } of dims) if (value.case === "dimParam") value.value = prefix + value.value;
  }
  graph.input = graph.input.filter(({ name }) => kept.has(name));
  return graph;
}
