import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import ts from "typescript";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

/** The examples of docs/library.md, compiled under the project's own rules and run on a small finished run. */
const root = path.join(import.meta.dirname, "..", "..");
const text = readFileSync(path.join(root, "docs", "library.md"), "utf8");
const examples = [...text.matchAll(/^## (.*?)$.*?^```ts\n(.*?)^```/gms)].map(([, title, code]) => ({ title: title!, code: code! }));

// Inside the project, so that packages and types are found.
mkdirSync(path.join(root, ".cache"), { recursive: true });
const folder = mkdtempSync(path.join(root, ".cache", "library-"));
const model = path.join(root, "test", "fixtures", "models", "llava");
const files = examples.map((_, i) => path.join(folder, `example-${i}.ts`));

beforeAll(() => {
  examples.forEach(({ code }, i) => writeFileSync(files[i]!, `${code.replaceAll('"vig-pipeline"', JSON.stringify("../../src/index.ts"))}\nexport {};\n`));
  const colors = ["red", "green", "blue"];
  const records = Array.from({ length: 12 }, (_, i) => ({
    id: `sample-${i}`,
    source: i % 2 === 0 ? "even" : "odd",
    ...(i % 6 === 5 ? {} : { image: ["photo.png", "square.png"][i % 2] }),
    conversations: [{ from: "human", value: `${i % 6 === 5 ? "" : "<image>\n"}What do you see, number ${i}?` }, { from: "gpt", value: `It is ${colors[i % 3]}.` }],
  }));
  mkdirSync(path.join(folder, "pipelines"));
  writeFileSync(path.join(folder, "train.json"), JSON.stringify(records));
  writeFileSync(
    path.join(folder, "pipelines", "select.yaml"),
    `version: 1
name: select
source: { kind: llava_json, annotations: ../train.json, image_root: ${path.join(model, "images")} }
model: { path: ${model} }
stages: [decode: {}, blur: {}, paired_inference: {}, token_delta: {}, quantile_threshold: { top_percent: 70 }, mask: {}]
output: { path: ../out/select }
`,
  );
  execFileSync("node", [path.join(root, "bin", "pipeline.js"), "run", "pipelines/select.yaml", "--quiet"], { cwd: folder, stdio: "pipe" });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const run = (title: string): string =>
  execFileSync("node", ["--import", "tsx", files[examples.findIndex((example) => example.title === title)]!], { cwd: folder, encoding: "utf8", stdio: "pipe" });

describe("examples of docs/library.md", () => {
  it("compile", () => {
    const { config } = ts.readConfigFile(path.join(root, "tsconfig.json"), (file) => ts.sys.readFile(file)) as { config: unknown };
    const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
    const program = ts.createProgram(files, { ...options, noEmit: true });
    const problems = files.flatMap((file) => ts.getPreEmitDiagnostics(program, program.getSourceFile(file)).map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, "\n")));
    expect(problems).toEqual([]);
    expect(files.length).toBe(6);
  });

  it("read scores", () => {
    expect(run("Read scores").trim().split("\n")).toEqual([expect.stringMatching(/^even: mean VIG -?\d\.\d{3} over 6$/), expect.stringMatching(/^odd: mean VIG -?\d\.\d{3} over 4$/)]);
  });

  it("read a selection", () => {
    const lines = run("Read a selection, with the active words").trim().split("\n");
    // ceil(0.7 * 10) samples with an image, and two without, whose answers are whole.
    expect(lines.length).toBe(9);
    expect(lines.filter((line) => /^sample-(5|11): It is blue\.$/.test(line)).length).toBe(2);
  });

  it("run a configuration", () => {
    expect(run("Run a configuration")).toMatch(/^selection: tau -?\d+\.\d{4}, \d+ of \d+ tokens active\n$/);
  });

  it("add a stage of one's own to a run", () => {
    const code = examples.find(({ title }) => title === "A stage of your own")!.code;
    const yaml = /^## A stage of your own$.*?^```yaml\n(.*?)^```/ms.exec(text)![1]!;
    const file = path.join(folder, "pipelines", "own.yaml");
    const head = readFileSync(path.join(folder, "pipelines", "select.yaml"), "utf8").split("\n").filter((line) => !/^(stages|output)/.test(line)).join("\n");
    writeFileSync(path.join(folder, "pipelines", "answer-words.ts"), code);
    writeFileSync(file, `${head}${yaml.replace("min_words: 3", "min_words: 4")}output: { path: ../out/own }\nmax_reject_fraction: 1\n`);
    const pipeline = (...words: string[]) => execFileSync("node", [path.join(root, "bin", "pipeline.js"), ...words], { cwd: folder, encoding: "utf8", stdio: "pipe" });

    expect(pipeline("validate", "pipelines/own.yaml")).toContain("tokenize -> answer_words -> decode");
    // "It is red." has three words.
    expect(pipeline("run", "pipelines/own.yaml", "--quiet", "--set", "module.options.min_words=3")).toBe("");
    const manifest = () => JSON.parse(readFileSync(path.join(folder, "out", "own", "manifest.json"), "utf8")) as { counts: { num_scored: number; rejects_by_code: object }; plan: { scores: { stages: object[] } } };
    expect(manifest().counts).toMatchObject({ num_scored: 10, rejects_by_code: {} });
    expect(manifest().plan.scores.stages[1]).toEqual({ kind: "answer_words", version: 1, config: { min_words: 3 }, module: createHash("sha256").update(code).digest("hex") });
    pipeline("run", "pipelines/own.yaml", "--quiet", "--fresh");
    expect(manifest().counts).toMatchObject({ num_scored: 0, rejects_by_code: { rejected_by_module: 12 } });
  });

  it("find tau with the kernels alone", () => {
    // VIGs 1.4, -0.1, 0.4: the third largest of three.
    expect(run("The equations alone")).toBe("tau -0.1000, mask 111, 3 active\n");
  });

  it("evaluate a model's outputs", () => {
    expect(run("Evaluate a model's outputs")).toBe("random: accuracy 1 of 2\nadversarial: accuracy 0 of 1\naverage: accuracy 0.5 of 3\nB\n");
  });
});
