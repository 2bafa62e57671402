import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { PlanError } from "../../src/core/errors.ts";
import { deviceClass, deviceEnvironment, deviceError, executionProvider, nativeFolder } from "../../src/model/device.ts";
import { openSession } from "../../src/model/graph-session.ts";
import { loadModel } from "../../src/model/load-model.ts";
import { modelConfig } from "../../src/model/model-config.ts";
import { placementOf, profilePrefix, readPlacement, requireOnDevice } from "../../src/model/node-placement.ts";
import { fixtureFolder } from "./golden.ts";

const never = () => new AbortController().signal;

describe("a device", () => {
  test("is cpu, webgpu, cuda or cuda:N, or a list of them", () => {
    for (const device of ["cpu", "webgpu", "cuda", "cuda:3", ["cuda:0", "cuda:1"]]) expect(modelConfig.parse({ path: "x", device }).device).toEqual(device);
    for (const device of ["gpu", "cuda:", "cuda:-1", "CUDA", []]) expect(modelConfig.safeParse({ path: "x", device }).success).toBe(false);
  });

  test("cuda:1 is handed on as its number", () => {
    expect(executionProvider("cuda:1")).toEqual({ name: "cuda", deviceId: 1 });
    expect(executionProvider("cuda")).toEqual({ name: "cuda", deviceId: 0 });
    expect(executionProvider("webgpu")).toBe("webgpu");
    expect([deviceClass("cuda:1"), deviceClass("cpu")]).toEqual(["cuda", "cpu"]);
  });

  test("CUDA computes float32 as float32; the other devices' environment is left alone", () => {
    expect(deviceEnvironment("cuda:1")).toEqual({ NVIDIA_TF32_OVERRIDE: "0", ORT_ENABLE_CUDNN_FLASH_ATTENTION: "0" });
    expect(deviceEnvironment("cpu")).toEqual({});
  });

  test.skipIf(existsSync(join(nativeFolder(), "libonnxruntime_providers_cuda.so")))("CUDA without onnxruntime's libraries is an error that names them and the folder", async () => {
    const model = await loadModel({ path: fixtureFolder("llava"), dtype: "fp32", device: "cuda" });
    const opening = model.openScorer({ num_workers: 1, num_threads: 1, devices: ["cuda"] }, never());
    await expect(opening).rejects.toThrow(PlanError);
    await expect(opening).rejects.toThrow(/device cuda is not available: libonnxruntime_providers_shared\.so and libonnxruntime_providers_cuda\.so not found in .*onnxruntime-node/);
    await expect(opening).rejects.toMatchObject({ remedy: expect.stringContaining("docs/gpu.md") as string });
  });

  test.skipIf(existsSync("/dev/dri") || existsSync("/dev/nvidia0"))("WebGPU without an adapter is an error, not a run on the CPU", async () => {
    const model = await loadModel({ path: fixtureFolder("llava"), dtype: "fp32", device: "webgpu" });
    await expect(model.openScorer({ num_workers: 1, num_threads: 1, devices: ["webgpu"] }, never())).rejects.toThrow(/device webgpu is not available/);
  });

  test("an error that has nothing to do with the device stays what it is", () => {
    expect(deviceError("cuda", "the graph has no outputs", undefined)).toBeUndefined();
    expect(deviceError("cpu", "no CUDA device", undefined)).toBeUndefined();
  });
});

const event = (op_name: string, provider: string, type: string, node_index: string) => ({
  cat: "Node",
  args: { op_name, provider, node_index, input_type_shape: [{ [type]: [2, 3] }], output_type_shape: [{ [type]: [2, 3] }] },
});
const CUDA = "CUDAExecutionProvider";
const CPU = "CPUExecutionProvider";

describe("node placement", () => {
  test("counts nodes once, and names what computes with floats on the host", () => {
    const events = [event("MatMul", CUDA, "float16", "1"), event("MatMul", CUDA, "float16", "1"), event("Gather", CPU, "int64", "2"), event("Cast", CPU, "float", "3"), { cat: "Session" }];
    expect(placementOf(events)).toEqual({ nodes: { [CUDA]: 1, [CPU]: 2 }, host_operators: ["Cast"] });
  });

  test("index arithmetic on the host is no fall-back; the model's arithmetic is, one node or all", () => {
    const placement = (events: ReturnType<typeof event>[]) => () => requireOnDevice("decoder", "cuda", CUDA, placementOf(events));
    expect(placement([event("MatMul", CUDA, "float16", "1"), event("Cast", CPU, "float", "2")])).not.toThrow();
    expect(placement([event("MatMul", CUDA, "float16", "1"), event("Softmax", CPU, "float", "2")])).toThrow(/device cuda does not run decoder: onnxruntime runs Softmax on the CPU \(1 nodes on CUDA/);
    expect(placement([event("LayerNormalization", CUDA, "float", "1"), event("MatMulInteger", CPU, "int8", "2")])).toThrow(/runs MatMulInteger on the CPU/);
    expect(placement([event("Gather", CPU, "int64", "1")])).toThrow(/no node ran there/);
  });

  test("is read from onnxruntime's own record of a run, which is removed", async () => {
    const graph = { path: join(fixtureFolder("llava"), "onnx", "embed_tokens.onnx") };
    const session = await openSession("embed_tokens", graph, { device: "cpu", num_threads: 1 }, { profile: true });
    await session.run({ input_ids: { type: "int64", dims: [1, 2], data: Int32Array.of(5, 6) } }, [session.outputs[0]!.name]);
    const placement = await session.placement();
    expect(Object.keys(placement.nodes)).toEqual([CPU]);
    expect(placement.nodes[CPU]).toBeGreaterThan(0);
    expect(placement.host_operators).toContain("Gather");
    await session.release();
  });

  test("a record that is no JSON is an error and is removed too", async () => {
    const prefix = profilePrefix();
    await writeFile(`${prefix}_1.json`, "{");
    await expect(readPlacement(prefix)).rejects.toThrow(SyntaxError);
    expect(existsSync(dirname(prefix))).toBe(false);
  });
});
