import { create } from "@bufbuild/protobuf";
import { GraphProtoSchema, type ModelProto, ModelProtoSchema, OperatorSetIdProtoSchema } from "onnx-buf";
import { Tensor } from "onnxruntime-node";
import { describe, expect, test } from "vitest";
import { cutHead, LOG_PROBS_OUTPUT, ROWS_INPUT, TARGETS_INPUT } from "../../src/model/scoring-head.ts";
import { floats, ints, type Node, nodes, run, value } from "./small-graphs.ts";

const HIDDEN = 3;
const VOCABULARY = 5;

/** A "decoder" whose hidden states are its input, with a head of the given nodes. */
function decoder(list: readonly Node[], outputs: readonly (readonly [string, readonly (number | string)[]])[] = [["logits", ["b", "s", VOCABULARY]]]): ModelProto {
  const weights = Array.from({ length: HIDDEN * VOCABULARY }, (_, i) => Math.sin(i) * 2);
  return create(ModelProtoSchema, {
    irVersion: 8n,
    opsetImport: [create(OperatorSetIdProtoSchema, { version: 17n })],
    graph: create(GraphProtoSchema, {
      name: "decoder",
      node: nodes(list),
      input: [value("x", ["b", "s", HIDDEN])],
      output: outputs.map(([name, dims]) => value(name, dims)),
      initializer: [
        floats("w", [HIDDEN, VOCABULARY], weights),
        floats("bias", [VOCABULARY], [0.1, -0.2, 0.3, 0, 1]),
        floats("cap", [1, 1, 1], [4]),
        ints("flat", [-1, HIDDEN]),
        ints("full", [2, 2, VOCABULARY]),
      ],
    }),
  });
}

const HEADS: Record<string, readonly Node[]> = {
  "a matrix product": [["MatMul", ["h", "w"], ["logits"]]],
  "a product and a bias": [
    ["MatMul", ["h", "w"], ["m"]],
    ["Add", ["m", "bias"], ["logits"]],
  ],
  "a soft cap with constants of three axes": [
    ["MatMul", ["h", "w"], ["m"]],
    ["Div", ["m", "cap"], ["d"]],
    ["Tanh", ["d"], ["t"]],
    ["Mul", ["t", "cap"], ["logits"]],
  ],
  "Gemm between reshapes": [
    ["Reshape", ["h", "flat"], ["f"]],
    ["Gemm", ["f", "w", "bias"], ["g"]],
    ["Reshape", ["g", "full"], ["logits"]],
  ],
  "weights that are computed from constants": [
    ["Neg", ["w"], ["v"]],
    ["MatMul", ["h", "v"], ["logits"]],
  ],
};

describe("cutHead", () => {
  test.each(Object.entries(HEADS))("%s: log-probabilities of the asked rows equal those of full logits", async (_, head) => {
    const { toBinary } = await import("@bufbuild/protobuf");
    const list: Node[] = [["Tanh", ["x"], ["h"]], ...head];
    const hidden = Float32Array.from({ length: 2 * 2 * HIDDEN }, (_, i) => Math.cos(i * 1.7));
    const x = new Tensor("float32", hidden, [2, 2, HIDDEN]);
    const logits = (await run(toBinary(ModelProtoSchema, decoder(list)), { x }))["logits"]!;
    const cut = cutHead(decoder(list));
    expect(cut).toHaveProperty("bytes");
    const [rows, targets] = [[3, 0, 3], [4, 1, 0]];
    const found = await run((cut as { bytes: Uint8Array }).bytes, {
      x,
      [ROWS_INPUT]: new Tensor("int64", BigInt64Array.from(rows.map(BigInt)), [3]),
      [TARGETS_INPUT]: new Tensor("int64", BigInt64Array.from(targets.map(BigInt)), [3]),
    });
    expect(Object.keys(found)).toEqual([LOG_PROBS_OUTPUT]);
    rows.forEach((row, i) => {
      const own = Array.from(logits.subarray(row * VOCABULARY, (row + 1) * VOCABULARY));
      const wanted = own[targets[i]!]! - Math.log(own.reduce((sum, value) => sum + Math.exp(value), 0));
      expect(found[LOG_PROBS_OUTPUT]![i]).toBeCloseTo(wanted, 5);
    });
  });

  test("drops outputs and nodes that nothing needs any more", () => {
    const model = decoder([["Tanh", ["x"], ["h"]], ["MatMul", ["h", "w"], ["logits"]], ["Neg", ["x"], ["present.0.key"]]], [
      ["logits", ["b", "s", VOCABULARY]],
      ["present.0.key", ["b", "s", HIDDEN]],
    ]);
    cutHead(model);
    expect(model.graph!.node.map(({ opType }) => opType)).not.toContain("Neg");
    expect(model.graph!.initializer.map(({ name }) => name)).not.toContain("bias");
  });

  test.each<[string, readonly Node[], RegExp]>([
    ["no output called logits", [["MatMul", ["h", "w"], ["scores"]]], /no output "logits"/],
    ["a head that reads two tensors", [["MatMul", ["h", "w"], ["a"]], ["MatMul", ["x", "w"], ["b"]], ["Add", ["a", "b"], ["logits"]]], /reads 2 tensors/],
    ["an operator that mixes rows", [["MatMul", ["h", "w"], ["a"]], ["Softmax", ["a"], ["logits"]]], /meets Softmax/],
    ["a product of two computed tensors", [["Neg", ["h"], ["n"]], ["MatMul", ["h", "n"], ["logits"]]], /multiplies two computed tensors/],
  ])("refuses %s, and says why", (_, head, reason) => {
    const outputs = [[head.at(-1)![2][0]!, ["b", "s", VOCABULARY]]] as const;
    const cut = cutHead(decoder([["Tanh", ["x"], ["h"]], ...head], outputs));
    expect(cut).toHaveProperty("reason");
    expect((cut as { reason: string }).reason).toMatch(reason);
  });
});
