import { toBinary } from "@bufbuild/protobuf";
import { type GraphProto, type ModelProto, ModelProtoSchema, type NodeProto, TensorProto_DataType, type ValueInfoProto } from "onnx-buf";
import { gatherAnswerRows } from "./answer-rows.ts";
import { int64Constant, integerAttribute, makeNode, tensorValue } from "./graph-parts.ts";
import { constantTest, producersOf, pruneUnused } from "./graph-walk.ts";

export const ROWS_INPUT = "vig_answer_rows";
export const TARGETS_INPUT = "vig_answer_targets";
export const LOG_PROBS_OUTPUT = "vig_log_probs";

/** Operators that multiply by the head's weights, and which input is the activation. */
const HEAD_OPERATORS = new Set([
  "MatMul",
  "Gemm",
  "MatMulNBits",
  "MatMulBnb4",
  "MatMulInteger",
  "MatMulIntegerToFloat",
  "DynamicQuantizeMatMul",
  "FusedMatMul",
]);

/** Operators between the weights and `logits` that treat every row alone. */
const ROW_WISE_OPERATORS = new Set(["Cast", "Add", "Sub", "Mul", "Div", "Tanh", "Where", "Identity", "Clip", "Reshape"]);

/** Of these only the first input is data. */
const ONE_DATA_INPUT = new Set(["Cast", "Clip", "Reshape", "Identity"]);

/** How exact the cut graph can be expected to be: rows quantised together share one scale. */
export type HeadPrecision = "exact" | "row_group_quantized";

/** WebGPU has no LogSoftmax; in steps it takes opset 18, where ReduceMax has its axes as an input. */
export type Softmax = "one_operator" | "steps";

export type HeadCut = { readonly bytes: Uint8Array; readonly precision: HeadPrecision } | { readonly reason: string };

/**
 * The decoder graph with `logits` and `present.*` replaced by log_probs [n]: the natural log-probability of
 * targets[i] (int64 [n]) at row rows[i] (int64 [n]) of the flattened [batch * sequence] positions.
 * No other row is multiplied by the vocabulary, nor computed behind the last layer's attention.
 * Changes `model`. Gives the reason where the head can't be found for certain.
 */
export function cutHead(model: ModelProto, softmax: Softmax = "one_operator"): HeadCut {
  const graph = model.graph!;
  const logits = graph.output.find(({ name }) => name === "logits");
  if (!logits) return { reason: `the decoder has no output "logits"; it has ${graph.output.map(({ name }) => name).join(", ")}` };
  const found = findHead(graph, logits.name);
  if ("reason" in found) return found;
  appendLogProbs(graph, found.logits, elementType(logits), softmax);
  graph.input.push(answersValue(ROWS_INPUT, TensorProto_DataType.INT64), answersValue(TARGETS_INPUT, TensorProto_DataType.INT64));
  graph.output = [answersValue(LOG_PROBS_OUTPUT, TensorProto_DataType.FLOAT)];
  graph.valueInfo = graph.valueInfo.filter(({ name }) => !found.outputs.has(name));
  pruneUnused(graph);
  gatherAnswerRows(graph, found.activation, found.readers, ROWS_INPUT, dimNames(logits).slice(0, 2));
  return { bytes: toBinary(ModelProtoSchema, model), precision: found.quantizes ? "row_group_quantized" : "exact" };
}

interface Head {
  /** The tensor whose rows are gathered: the last hidden state. */
  readonly activation: string;
  /** The nodes that read it and belong to the head. */
  readonly readers: ReadonlySet<NodeProto>;
  /** The head's last tensor, [rows, vocabulary] after the cut. */
  readonly logits: string;
  /** Tensors inside the head, whose stored shapes no longer hold. */
  readonly outputs: ReadonlySet<string>;
  readonly quantizes: boolean;
}

/** Walks back from `logits` over row-wise operators to the multiplication by the head's weights. */
function findHead(graph: GraphProto, logits: string): Head | { reason: string } {
  const producers = producersOf(graph);
  const isConstant = constantTest(graph, producers);
  const activations = new Set<string>();
  const readers = new Set<NodeProto>();
  const reshapes = new Set<NodeProto>();
  const outputs = new Set<string>();
  let quantizes = false;
  let reason: string | undefined;

  const read = (node: NodeProto, activation: string) => {
    activations.add(activation);
    readers.add(node);
  };
  const walk = (tensor: string): void => {
    const node = producers.get(tensor);
    if (node === undefined) {
      reason ??= `${tensor} is a graph input`;
      return;
    }
    for (const output of node.output) outputs.add(output);
    if (node.opType === "DynamicQuantizeLinear") {
      quantizes = true;
      read(node, node.input[0]!);
      return;
    }
    if (HEAD_OPERATORS.has(node.opType)) {
      const activation = node.input[0]!;
      if (!isConstant(node.input[1]!)) reason ??= `${node.opType} ${node.name} multiplies two computed tensors`;
      if (isTransposedGemm(node)) reason ??= `Gemm ${node.name} transposes its activation`;
      if (node.opType === "DynamicQuantizeMatMul") quantizes = true;
      if (producers.get(activation)?.opType === "DynamicQuantizeLinear") walk(activation);
      else read(node, activation);
      return;
    }
    if (!ROW_WISE_OPERATORS.has(node.opType)) {
      reason ??= `the walk back from logits meets ${node.opType} ${node.name}`;
      return;
    }
    if (node.opType === "Reshape") reshapes.add(node);
    const data = ONE_DATA_INPUT.has(node.opType) ? node.input.slice(0, 1) : node.input;
    for (const input of data) if (input !== "" && !isConstant(input)) walk(input);
  };
  walk(logits);
  if (reason !== undefined) return { reason };
  if (activations.size !== 1) return { reason: `the head reads ${activations.size} tensors: ${[...activations].join(", ")}` };
  for (const reshape of reshapes) bypass(graph, reshape);
  const last = reshapes.size > 0 ? resolveBypassed(logits, reshapes) : logits;
  return { activation: [...activations][0]!, readers, logits: last, outputs, quantizes };
}

function isTransposedGemm(node: NodeProto): boolean {
  return node.opType === "Gemm" && node.attribute.some(({ name, i }) => name === "transA" && i !== 0n);
}

/** Everything that read the reshape's output reads its input: rows stay flat. */
function bypass(graph: GraphProto, reshape: NodeProto): void {
  const [from, to] = [reshape.output[0]!, reshape.input[0]!];
  for (const node of graph.node) node.input = node.input.map((input) => (input === from ? to : input));
}

function resolveBypassed(tensor: string, reshapes: ReadonlySet<NodeProto>): string {
  let name = tensor;
  for (let changed = true; changed; ) {
    changed = false;
    for (const reshape of reshapes) {
      if (reshape.output[0] === name) [name, changed] = [reshape.input[0]!, true];
    }
  }
  return name;
}

/** log-softmax over the vocabulary in float32, then the target's entry of each row. */
function appendLogProbs(graph: GraphProto, logits: string, type: number, softmax: Softmax): void {
  graph.initializer.push(int64Constant("vig_column_shape", [-1n, 1n]), int64Constant("vig_flat_shape", [-1n]), int64Constant("vig_last_axis", [-1n]));
  let scores = "vig_logits_flat";
  graph.node.push(makeNode("Flatten", [logits], [scores], [integerAttribute("axis", -1)]));
  if (type !== Number(TensorProto_DataType.FLOAT)) {
    graph.node.push(makeNode("Cast", [scores], ["vig_logits_float"], [integerAttribute("to", TensorProto_DataType.FLOAT)]));
    scores = "vig_logits_float";
  }
  graph.node.push(
    makeNode("Reshape", [TARGETS_INPUT, "vig_column_shape"], ["vig_targets_column"]),
    ...(softmax === "one_operator" ? logSoftmax(scores) : logSoftmaxInSteps(scores)),
    makeNode("Reshape", ["vig_log_probs_column", "vig_flat_shape"], [LOG_PROBS_OUTPUT]),
  );
}

function logSoftmax(scores: string): NodeProto[] {
  return [
    makeNode("LogSoftmax", [scores], ["vig_log_softmax"], [integerAttribute("axis", -1)]),
    makeNode("GatherElements", ["vig_log_softmax", "vig_targets_column"], ["vig_log_probs_column"], [integerAttribute("axis", 1)]),
  ];
}

function logSoftmaxInSteps(scores: string): NodeProto[] {
  return [
    makeNode("ReduceMax", [scores, "vig_last_axis"], ["vig_largest"], [integerAttribute("keepdims", 1)]),
    makeNode("Sub", [scores, "vig_largest"], ["vig_shifted"]),
    makeNode("Exp", ["vig_shifted"], ["vig_exponentials"]),
    makeNode("ReduceSum", ["vig_exponentials", "vig_last_axis"], ["vig_total"], [integerAttribute("keepdims", 1)]),
    makeNode("Log", ["vig_total"], ["vig_log_total"]),
    makeNode("GatherElements", ["vig_shifted", "vig_targets_column"], ["vig_target_shifted"], [integerAttribute("axis", 1)]),
    makeNode("Sub", ["vig_target_shifted", "vig_log_total"], ["vig_log_probs_column"]),
  ];
}

function elementType(value: ValueInfoProto): number {
  return value.type?.value.case === "tensorType" ? value.type.value.value.elemType : TensorProto_DataType.FLOAT;
}

/** A dimension's name; "" where it is a number or open. */
function dimNames({ type }: ValueInfoProto): string[] {
  const dims = type?.value.case === "tensorType" ? (type.value.value.shape?.dim ?? []) : [];
  return dims.map(({ value }) => (value.case === "dimParam" ? value.value : ""));
}

function answersValue(name: string, elemType: number): ValueInfoProto {
  return tensorValue(name, elemType, ["num_answer_tokens"]);
}
