import type { GraphProto, NodeProto, TensorProto } from "onnx-buf";
import { int64Constant, integerAttribute, makeNode } from "./graph-parts.ts";
import { constantTest, heldTensors, integersOf, producersOf, subgraphInputs } from "./graph-walk.ts";

/** Operators that treat every row of [batch, sequence, width] alone, with their inputs that are rows; the others are constants. */
const ROW_WISE: Readonly<Record<string, readonly number[]>> = {
  ...withRows([0], "Abs", "Cast", "Erf", "Exp", "FastGelu", "Gelu", "Identity", "Neg", "QuickGelu", "Reciprocal", "Relu", "Sigmoid", "Sqrt", "Tanh"),
  ...withRows([0], "LayerNormalization", "ReduceMean", "RMSNormalization", "SimplifiedLayerNormalization"),
  ...withRows([0], "MatMul", "MatMulBnb4", "MatMulNBits"),
  ...withRows([0, 1], "SkipLayerNormalization", "SkipSimplifiedLayerNormalization"),
  ...withRows([0, 1], "Add", "Div", "Mul", "Pow", "Sub"),
};

/** Of these either input may also be a constant, one for all rows. */
const ARITHMETIC = new Set(["Add", "Div", "Mul", "Pow", "Sub"]);

/** They mix rows; their first output is [batch, sequence, width]. */
const ATTENTION = new Set(["Attention", "GroupQueryAttention", "MultiHeadAttention"]);

function withRows(rows: readonly number[], ...operators: string[]): Record<string, readonly number[]> {
  return Object.fromEntries(operators.map((operator) => [operator, rows]));
}

/**
 * Lets `readers` see the rows `rowsInput` (int64 [n]) of `activation`, flat [n, width], and computes no more of it than
 * those: rows are gathered where they were last mixed, so that behind the last layer's attention its output projection and
 * its MLP run for answer tokens alone. `leading` are the first two dimensions of [batch, sequence, width] as the graph
 * names them. Changes `graph`, whose nodes are in the order of their computation.
 */
export function gatherAnswerRows(graph: GraphProto, activation: string, readers: ReadonlySet<NodeProto>, rowsInput: string, leading: readonly string[]): void {
  const rules = new RowRules(graph, leading);
  const narrowed = narrowedNodes(graph, readers, rules);
  const produced = new Set([...narrowed].flatMap(({ output }) => output));
  const nodes = [makeNode("Reshape", [rowsInput, "vig_one_row_shape"], ["vig_row_indices"])];
  const gathered = new Map<string, string>();
  const narrow = (tensor: string): string => {
    const known = produced.has(tensor) ? tensor : gathered.get(tensor);
    if (known !== undefined) return known;
    const [flat, rows] = [`vig_flat/${tensor}`, `vig_rows/${tensor}`];
    nodes.push(makeNode("Flatten", [tensor], [flat], [integerAttribute("axis", -1)]));
    nodes.push(makeNode("Gather", [flat, "vig_row_indices"], [rows], [integerAttribute("axis", 0)])); // [1, n, width]
    gathered.set(tensor, rows);
    return rows;
  };
  let flatRows: string | undefined;
  for (const node of graph.node) {
    if (readers.has(node)) {
      if (flatRows === undefined) nodes.push(makeNode("Flatten", [narrow(activation)], [(flatRows = "vig_hidden_rows")], [integerAttribute("axis", -1)]));
      node.input = node.input.map((input) => (input === activation ? flatRows! : input));
    } else if (narrowed.has(node)) {
      for (const at of rules.rowInputs(node)!) node.input[at] = narrow(node.input[at]!);
    }
    nodes.push(node);
  }
  graph.node = nodes;
  graph.initializer.push(int64Constant("vig_one_row_shape", [1n, -1n]));
  graph.valueInfo = graph.valueInfo.filter(({ name }) => !produced.has(name));
}

/** The row-wise nodes whose results nobody sees but `readers` and each other. */
function narrowedNodes(graph: GraphProto, readers: ReadonlySet<NodeProto>, rules: RowRules): Set<NodeProto> {
  const consumers = new Map<string, NodeProto[]>();
  for (const node of graph.node) {
    for (const input of [...node.input, ...subgraphInputs(node)]) consumers.set(input, [...(consumers.get(input) ?? []), node]);
  }
  const narrowed = new Set<NodeProto>();
  for (const node of graph.node.toReversed()) {
    const used = node.output.filter((output) => output !== "" && consumers.has(output));
    const isNarrow = (output: string) => rules.isRows(output) && consumers.get(output)!.every((consumer) => readers.has(consumer) || narrowed.has(consumer));
    if (!readers.has(node) && rules.rowInputs(node) !== undefined && used.length > 0 && used.every(isNarrow)) narrowed.add(node);
  }
  return narrowed;
}

type Dims = readonly (bigint | string | undefined)[];

/** Tells which tensors are [batch, sequence, width], and which operators treat their rows alone. */
class RowRules {
  readonly #leading: readonly string[];
  readonly #producers: ReadonlyMap<string, NodeProto>;
  readonly #isConstant: (tensor: string) => boolean;
  readonly #held: ReadonlyMap<string, TensorProto>;
  readonly #declared = new Map<string, Dims>();
  readonly #known = new Map<string, boolean>();

  constructor(graph: GraphProto, leading: readonly string[]) {
    this.#leading = leading;
    this.#producers = producersOf(graph);
    this.#isConstant = constantTest(graph, this.#producers);
    this.#held = heldTensors(graph);
    for (const { name, type } of [...graph.valueInfo, ...graph.input]) {
      if (type?.value.case === "tensorType") this.#declared.set(name, (type.value.value.shape?.dim ?? []).map(({ value }) => value.value));
    }
  }

  isRows(tensor: string): boolean {
    const known = this.#known.get(tensor);
    if (known !== undefined) return known;
    const isRows = this.#isDeclaredRows(tensor) || this.#isMadeOfRows(tensor);
    this.#known.set(tensor, isRows);
    return isRows;
  }

  #isDeclaredRows(tensor: string): boolean {
    const dims = this.#declared.get(tensor);
    return dims?.length === 3 && this.#leading.length === 2 && this.#leading.every((name, axis) => name !== "" && dims[axis] === name);
  }

  #isMadeOfRows(tensor: string): boolean {
    const node = this.#producers.get(tensor);
    if (node === undefined) return false;
    const at = node.output.indexOf(tensor);
    if (ATTENTION.has(node.opType)) return at === 0;
    // A skip normalisation's fourth output is the sum that it normalised.
    return (at === 0 || (at === 3 && node.opType.startsWith("Skip"))) && this.rowInputs(node) !== undefined;
  }

  /** Which inputs of a row-wise node are rows; undefined where it is none. */
  rowInputs(node: NodeProto): readonly number[] | undefined {
    const places = ROW_WISE[node.opType];
    if (places === undefined || !this.#treatsRowsAlone(node)) return undefined;
    const rows = places.filter((at) => this.isRows(node.input[at]!));
    const others = node.input.filter((input, at) => input !== "" && !rows.includes(at));
    if (rows.length === 0 || !others.every(this.#isConstant)) return undefined;
    const isComplete = ARITHMETIC.has(node.opType) ? others.every((other) => this.#isOneForAllRows(other)) : rows.length === places.length;
    return isComplete ? rows : undefined;
  }

  #treatsRowsAlone({ opType, input, attribute }: NodeProto): boolean {
    const integer = (name: string, otherwise: number) => Number(attribute.find((each) => each.name === name)?.i ?? otherwise);
    const isLast = (axis: number | bigint) => Number(axis) === -1 || Number(axis) === 2;
    if (opType === "MatMul") return this.#constantDims(input[1]!)?.length === 2;
    if (opType === "ReduceMean") {
      const held = this.#held.get(input[1] ?? "");
      const axes = held ? integersOf(held) : (attribute.find(({ name }) => name === "axes")?.ints ?? []);
      return axes.length === 1 && isLast(axes[0]!) && integer("keepdims", 1) === 1;
    }
    return !opType.endsWith("Normalization") || isLast(integer("axis", -1));
  }

  #isOneForAllRows(constant: string): boolean {
    const dims = this.#constantDims(constant);
    return dims !== undefined && dims.length <= 3 && dims.slice(0, -1).every((size) => size === 1n);
  }

  #constantDims(tensor: string): Dims | undefined {
    return this.#held.get(tensor)?.dims ?? this.#declared.get(tensor);
  }
}
