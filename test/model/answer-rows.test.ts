import { create, toBinary } from "@bufbuild/protobuf";
import { GraphProtoSchema, type ModelProto, ModelProtoSchema, OperatorSetIdProtoSchema } from "onnx-buf";
import { Tensor } from "onnxruntime-node";
import { describe, expect, test } from "vitest";
import { readModelProto } from "../../src/model/graph-file.ts";
import { integerAttribute } from "../../src/model/graph-parts.ts";
import { cutHead, LOG_PROBS_OUTPUT, ROWS_INPUT, TARGETS_INPUT } from "../../src/model/scoring-head.ts";
import { fixtureFolder } from "./golden.ts";
import { floats, ints, type Node, nodes, run, value } from "./small-graphs.ts";

const [BATCH, LENGTH, WIDTH, INNER, VOCABULARY] = [2, 3, 4, 6, 5];

const waves = (count: number, step: number) => Array.from({ length: count }, (_, i) => Math.sin(1 + i * step));

/** "Attention": every row becomes the mean of its sequence, and its output projection. */
const MIXED: readonly Node[] = [
  ["ReduceMean", ["x", "middle_axis"], ["mean"]],
  ["Mul", ["ones", "mean"], ["mixed"]],
  ["MatMul", ["mixed", "w_out"], ["projected"]],
];

/** Residual sum, RMS norm, gated MLP, residual sum: an exporter's last layer. */
const LAYER: readonly Node[] = [
  ["Add", ["x", "projected"], ["stream"]],
  ["Pow", ["stream", "two"], ["squares"]],
  ["ReduceMean", ["squares", "last_axis"], ["mean_square"]],
  ["Sqrt", ["mean_square"], ["root"]],
  ["Div", ["stream", "root"], ["scaled"]],
  ["Mul", ["gamma", "scaled"], ["norm"]],
  ["MatMul", ["norm", "w_up"], ["up"]],
  ["Sigmoid", ["up"], ["gate"]],
  ["Mul", ["up", "gate"], ["silu"]],
  ["MatMul", ["silu", "w_down"], ["down"]],
  ["Add", ["stream", "down"], ["hidden"]],
];

const HEAD: readonly Node[] = [["MatMul", ["hidden", "w_head"], ["logits"]]];

function decoder(list: readonly Node[], declared: readonly string[]): ModelProto {
  return create(ModelProtoSchema, {
    irVersion: 8n,
    opsetImport: [create(OperatorSetIdProtoSchema, { version: 18n })],
    graph: create(GraphProtoSchema, {
      name: "decoder",
      node: nodes(list),
      input: [value("x", ["batch", "length", WIDTH]), value("ones", ["batch", "length", WIDTH])],
      output: [value("logits", ["batch", "length", VOCABULARY])],
      valueInfo: declared.map((name) => value(name, ["batch", "length", WIDTH])),
      initializer: [
        floats("w_out", [WIDTH, WIDTH], waves(WIDTH * WIDTH, 0.7)),
        floats("w_up", [WIDTH, INNER], waves(WIDTH * INNER, 1.3)),
        floats("w_down", [INNER, WIDTH], waves(INNER * WIDTH, 0.9)),
        floats("w_head", [WIDTH, VOCABULARY], waves(WIDTH * VOCABULARY, 1.9)),
        floats("gamma", [1, 1, WIDTH], [1, 2, 0.5, 1.5]),
        floats("of_a_position", [1, LENGTH, 1], [1, 2, 3]),
        floats("two", [], [2]),
        ints("last_axis", [-1]),
        ints("middle_axis", [1]),
      ],
    }),
  });
}

/** Cuts the head; which tensors' rows are gathered, and the largest difference of a log-probability from full logits. */
async function cut(list: readonly Node[], declared: readonly string[]): Promise<{ gathered: string[]; difference: number }> {
  const x = new Tensor("float32", Float32Array.from(waves(BATCH * LENGTH * WIDTH, 1.7)), [BATCH, LENGTH, WIDTH]);
  const ones = new Tensor("float32", new Float32Array(BATCH * LENGTH * WIDTH).fill(1), [BATCH, LENGTH, WIDTH]);
  const logits = (await run(toBinary(ModelProtoSchema, decoder(list, declared)), { x, ones }))["logits"]!;
  const model = decoder(list, declared);
  const { bytes } = cutHead(model) as { bytes: Uint8Array };
  const [rows, targets] = [[5, 0, 4, 4], [4, 1, 0, 2]];
  const int64 = (data: readonly number[]) => new Tensor("int64", BigInt64Array.from(data.map(BigInt)), [data.length]);
  const found = (await run(bytes, { x, ones, [ROWS_INPUT]: int64(rows), [TARGETS_INPUT]: int64(targets) }))[LOG_PROBS_OUTPUT]!;
  const wanted = rows.map((row, i) => {
    const own = Array.from(logits.subarray(row * VOCABULARY, (row + 1) * VOCABULARY));
    return own[targets[i]!]! - Math.log(own.reduce((sum, each) => sum + Math.exp(each), 0));
  });
  return { gathered: gatheredTensors(model), difference: Math.max(...wanted.map((each, i) => Math.abs(each - found[i]!))) };
}

function gatheredTensors(model: ModelProto): string[] {
  return model.graph!.node.filter(({ output }) => output[0]!.startsWith("vig_rows/")).map(({ output }) => output[0]!.slice("vig_rows/".length));
}

const OTHER_ROWS_NORM = LAYER.map((node): Node => (node[2][0] === "mean_square" ? ["ReduceMean", ["squares", "middle_axis"], ["mean_square"]] : node));

/** The MLP's result times `factor`. */
function scaledBy(factor: string): Node[] {
  return [...LAYER.slice(0, -1), ["Mul", ["down", factor], ["moved"]], ["Add", ["stream", "moved"], ["hidden"]]];
}

describe("answer rows", () => {
  test.each<[string, readonly Node[], readonly string[], readonly string[]]>([
    ["are gathered behind the attention", LAYER, ["mixed"], ["x", "mixed"]],
    ["are gathered where shapes are known: nothing says that the attention's output is [batch, sequence, width]", LAYER, [], ["hidden"]],
    ["are gathered behind a norm that looks at other rows", OTHER_ROWS_NORM, ["mixed", "norm"], ["stream", "norm"]],
    ["are gathered behind a constant that differs by position", scaledBy("of_a_position"), ["mixed", "moved"], ["stream", "moved"]],
    ["are gathered behind a factor that all rows make", [["ReduceMean", ["x", "middle_axis"], ["of_all"]], ...scaledBy("of_all")], ["mixed", "moved"], ["stream", "moved"]],
  ])("%s", async (_, layer, declared, wanted) => {
    const { gathered, difference } = await cut([...MIXED, ...layer, ...HEAD], declared);
    expect(gathered.toSorted()).toEqual(wanted.toSorted());
    expect(difference).toBeLessThan(1e-5);
  });

  test("an average that drops its axis is not row-wise", async () => {
    const layer: Node[] = LAYER.flatMap((node): Node[] =>
      node[2][0] === "mean_square" ? [["ReduceMean", ["squares", "last_axis"], ["dropped"], [integerAttribute("keepdims", 0)]], ["Unsqueeze", ["dropped", "last_axis"], ["mean_square"]]] : [node],
    );
    const { gathered, difference } = await cut([...MIXED, ...layer, ...HEAD], ["mixed"]);
    expect(gathered).not.toContain("x");
    expect(difference).toBeLessThan(1e-5);
  });

  test.each([
    ["an export of transformers", "llava/onnx/decoder_model_merged.onnx", ["view_7"]],
    ["one of onnxruntime's fused operators", "llava_fused/onnx_fused/decoder_model_merged.onnx", ["layers.1.attended", "layers.1.norm.sum"]],
    ["one whose activations are quantised by the batch: behind its last product", "llava/onnx/decoder_model_merged_quantized.onnx", ["linear_13"]],
  ])("%s", async (_, path, wanted) => {
    const model = await readModelProto(`${fixtureFolder("")}/${path}`);
    expect(cutHead(model)).toHaveProperty("bytes");
    expect(gatheredTensors(model)).toEqual(expect.arrayContaining(wanted));
  });
});
