/** Questions about a graph's nodes and tensors. */
import type { GraphProto, NodeProto, TensorProto } from "onnx-buf";

/** The node that makes each tensor. */
export function producersOf(graph: GraphProto): Map<string, NodeProto> {
  const producers = new Map<string, NodeProto>();
  for (const node of graph.node) for (const output of node.output) producers.set(output, node);
  return producers;
}

/** Whether a tensor depends on weights alone. */
export function constantTest(graph: GraphProto, producers: ReadonlyMap<string, NodeProto>): (tensor: string) => boolean {
  const known = new Map<string, boolean>();
  for (const { name } of graph.initializer) known.set(name, true);
  for (const { name } of graph.input) if (!known.has(name)) known.set(name, false);
  const test = (tensor: string): boolean => {
    const seen = known.get(tensor);
    if (seen !== undefined) return seen;
    const node = producers.get(tensor);
    const constant = node !== undefined && node.input.every((input) => input === "" || test(input));
    known.set(tensor, constant);
    return constant;
  };
  return test;
}

/** The tensors that the graph holds: initializers and the values of Constant nodes. */
export function heldTensors(graph: GraphProto): Map<string, TensorProto> {
  const held = new Map(graph.initializer.map((tensor) => [tensor.name, tensor]));
  for (const { opType, output, attribute } of graph.node) {
    const value = opType === "Constant" ? attribute.find(({ name }) => name === "value")?.t : undefined;
    if (value) held.set(output[0]!, value);
  }
  return held;
}

/** The numbers of an int64 tensor that lies in the graph itself. */
export function integersOf({ int64Data, rawData }: TensorProto): readonly bigint[] {
  if (int64Data.length > 0) return int64Data;
  const view = new DataView(rawData.buffer, rawData.byteOffset, rawData.byteLength);
  return Array.from({ length: Math.floor(rawData.byteLength / 8) }, (_, i) => view.getBigInt64(8 * i, true));
}

/** Outer tensors that a node's branches or loop bodies may read. */
export function subgraphInputs(parent: NodeProto): string[] {
  return parent.attribute.flatMap(({ g }) =>
    g ? [...g.node.flatMap((inner) => [...inner.input, ...subgraphInputs(inner)]), ...g.output.map(({ name }) => name)] : [],
  );
}

/** Removes nodes and weights that no output needs any more. */
export function pruneUnused(graph: GraphProto): void {
  const producers = producersOf(graph);
  const needed = new Set<NodeProto>();
  const names = new Set<string>();
  const pending = graph.output.map(({ name }) => name);
  while (pending.length > 0) {
    const name = pending.pop()!;
    if (names.has(name)) continue;
    names.add(name);
    const producer = producers.get(name);
    if (producer === undefined || needed.has(producer)) continue;
    needed.add(producer);
    pending.push(...producer.input, ...subgraphInputs(producer));
  }
  graph.node = graph.node.filter((each) => needed.has(each));
  graph.initializer = graph.initializer.filter(({ name }) => names.has(name));
}
