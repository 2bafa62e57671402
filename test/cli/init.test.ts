import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { main } from "../../src/cli/main.ts";
import { parseConfig } from "../../src/config/load-config.ts";
import { fakeShell } from "./fake-shell.ts";

let folder: string;
const at = (...parts: string[]): string => path.join(folder, ...parts);

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "vig-init-"));
  for (const name of ["pictures/coco", "model"]) mkdirSync(at(name), { recursive: true });
  const record = (id: string, image: string) => ({ id, image, conversations: [{ from: "human", value: "<image>\nWhat is it?" }, { from: "gpt", value: "A cat." }] });
  writeFileSync(at("train.json"), JSON.stringify([record("a", "coco/1.jpg"), record("b", "coco/2.jpg"), ...["c", "d", "e"].map((id) => record(id, `coco/${id}-gone.jpg`))]));
  writeFileSync(at("notes.json"), "{}");
  for (const name of ["1.jpg", "2.jpg"]) writeFileSync(at("pictures", "coco", name), "");
  for (const name of ["config.json", "tokenizer.json"]) writeFileSync(at("model", name), "{}");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function init(...argv: string[]) {
  const shell = fakeShell();
  const exitCode = await main(["init", ...argv], shell);
  return { exitCode, out: shell.out(), err: shell.err() };
}
const written = (file: string) => parseConfig(readFileSync(file, "utf8"), file, { environment: {} });

describe("pipeline init", () => {
  it("finds annotations, the images' folder and the model in a folder, and writes a configuration that is valid", async () => {
    const { exitCode, out, err } = await init(folder, "--out", at("job.yaml"), "--name", "mine");
    expect({ exitCode, err }).toEqual({ exitCode: 0, err: "" });
    expect(out).toContain("npx pipeline doctor");
    const config = written(at("job.yaml"));
    expect(config).toMatchObject({
      name: "mine",
      source: { kind: "llava_json", annotations: at("train.json"), image_root: at("pictures") },
      model: { path: at("model") },
      output: { path: at("out", "mine") },
    });
    expect(readFileSync(at("job.yaml"), "utf8")).toContain('annotations: "train.json"');
  });

  it("takes flags before what it finds", async () => {
    await init(folder, "--out", at("job.yaml"), "--images", at("model"), "--model", at("pictures"));
    expect(written(at("job.yaml"))).toMatchObject({ source: { image_root: at("model") }, model: { path: at("pictures") } });
  });

  it("knows Parquet and tar by their names", async () => {
    writeFileSync(at("a.parquet"), "");
    await init(at("a.parquet"), "--model", at("model"), "--out", at("p.yaml"));
    expect(written(at("p.yaml")).source).toMatchObject({ kind: "parquet", files: at("a.parquet") });
    writeFileSync(at("a.tar"), "");
    await init(at("a.tar"), "--model", at("model"), "--out", at("t.yaml"));
    expect(written(at("t.yaml")).source).toMatchObject({ kind: "webdataset", shards: at("a.tar") });
  });

  it("says what is missing where it can't ask, and writes nothing", async () => {
    const { exitCode, err } = await init(at("train.json"), "--out", at("job.yaml"));
    expect(exitCode).toBe(2);
    expect(err).toContain("the model folder could not be found");
    expect(() => readFileSync(at("job.yaml"))).toThrow();
  });

  it("replaces nothing unless told to", async () => {
    writeFileSync(at("job.yaml"), "precious");
    expect((await init(folder, "--out", at("job.yaml"))).exitCode).toBe(2);
    expect(readFileSync(at("job.yaml"), "utf8")).toBe("precious");
    expect((await init(folder, "--out", at("job.yaml"), "--force")).exitCode).toBe(0);
  });

  it("names a path that does not exist", async () => {
    const { exitCode, err } = await init(at("nowhere"), "--out", at("job.yaml"));
    expect(exitCode).toBe(2);
    expect(err).toContain("nowhere does not exist");
  });
});
