/** A model folder from elsewhere: its graphs run in onnxruntime's own operators alone and read their own weights alone. */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type ModelProto, ModelProtoSchema, OperatorSetIdProtoSchema, StringStringEntryProtoSchema, TensorProto_DataLocation } from "onnx-buf";
import { describe, expect, it, onTestFinished } from "vitest";
import { PlanError } from "../../src/core/errors.ts";
import { loadModel } from "../../src/model/load-model.ts";
import { TINY_MODEL } from "../resume/job.ts";

const src = path.join(import.meta.dirname, "..", "..", "src");

/** Loads the fixture with its embedding graph changed. */
async function openWith(change: (model: ModelProto) => void): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), "vig-model-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  cpSync(TINY_MODEL, folder, { recursive: true });
  const file = path.join(folder, "onnx", "embed_tokens.onnx");
  const model = fromBinary(ModelProtoSchema, readFileSync(file));
  change(model);
  writeFileSync(file, toBinary(ModelProtoSchema, model));
  writeFileSync(path.join(folder, "secret.bin"), Buffer.alloc(561 * 48 * 4));
  const loaded = await loadModel({ path: folder, dtype: "fp32" });
  const scorer = await loaded.openScorer({ num_workers: 1, num_threads: 1, devices: ["cpu"] }, new AbortController().signal);
  await scorer.close();
}

describe("a graph", () => {
  it("with operators of another domain is refused: no library of custom operators is ever loaded", async () => {
    const opening = openWith((model) => {
      model.graph!.node[0]!.domain = "com.example.evil";
      model.opsetImport.push(create(OperatorSetIdProtoSchema, { domain: "com.example.evil", version: 1n }));
    });
    await expect(opening).rejects.toThrow(PlanError);
    await expect(opening).rejects.toThrow(/embed_tokens/);
  });

  it.each(["../secret.bin", "/etc/passwd", "sub/../../secret.bin", "..\\secret.bin", "C:\\secret.bin", ""])("with weights in %j is refused", async (location) => {
    const opening = openWith((model) => {
      const weights = model.graph!.initializer[0]!;
      weights.rawData = new Uint8Array(0);
      weights.dataLocation = TensorProto_DataLocation.EXTERNAL;
      weights.externalData = [create(StringStringEntryProtoSchema, { key: "location", value: location })];
    });
    await expect(opening).rejects.toThrow(PlanError);
    await expect(opening).rejects.toThrow(/outside its folder/);
  });
});

it("the source asks onnxruntime for no library of operators", () => {
  const files = readdirSync(src, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"));
  expect(files.length).toBeGreaterThan(100);
  expect(files.filter((file) => /custom_?op|register_?custom|ops?_?library/i.test(readFileSync(path.join(src, file), "utf8")))).toEqual([]);
});
