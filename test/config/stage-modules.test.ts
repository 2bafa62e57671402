import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { checkPlan } from "../../src/config/build-plan.ts";
import { parseConfig } from "../../src/config/load-config.ts";
import { loadStageModules } from "../../src/config/stage-modules.ts";
import { ConfigError } from "../../src/core/errors.ts";

const folder = mkdtempSync(path.join(tmpdir(), "modules-"));
afterAll(() => rmSync(folder, { recursive: true }));

const config = "export const config = { safeParse: (data) => ({ success: true, data }) };\n";
const stageOf = (parts: string) =>
  `${config}export const stage = (options) => ({ kind: "mine", version: 1, concurrency: 1, config: options, outputSchema: (schema) => schema, open: async () => ({ process: async (batch) => ({ batch, rejects: [] }), close: async () => {} }), ${parts} });\n`;

let count = 0;
function write(code: string, name = `module-${count++}.mjs`): string {
  writeFileSync(path.join(folder, name), code);
  return name;
}

function configOf(...items: readonly string[]) {
  const text = `version: 1
name: t
source: { kind: llava_json, annotations: a.json, image_root: img }
model: { path: m }
stages:
${items.map((item) => `  - module: ${item}\n`).join("")}  - decode: {}
  - blur: {}
  - paired_inference: {}
  - token_delta: {}
  - quantile_threshold: { top_percent: 70 }
  - mask: {}
output: { path: out }
`;
  return parseConfig(text, path.join(folder, "job.yaml"));
}

async function diagnose(...items: readonly string[]): Promise<string> {
  const error: unknown = await checkPlan(configOf(...items)).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(ConfigError);
  return (error as Error).message.replaceAll(`${folder}${path.sep}`, "");
}

describe("a module's stage", () => {
  it("stands before the next stage of the configuration", async () => {
    const plan = await checkPlan(configOf(`{ path: ./${write(stageOf(""))} }`, `{ path: ${write(stageOf('kind: "second"'))} }`));
    expect(plan.stages).toEqual(["tokenize", "mine", "second", "decode", "blur", "paired_inference", "token_delta", "quantile_threshold", "mask"]);
  });

  it("is not loaded by parsing", () => {
    const name = write("globalThis.wasLoaded = true;\n");
    expect(configOf(`{ path: ${name} }`).modules.map((module) => module.path)).toEqual([path.join(folder, name)]);
    expect(globalThis).not.toHaveProperty("wasLoaded");
  });

  it("may be an instance of a class", async () => {
    const name = write(`${config}class Mine { kind = "mine"; version = 1; concurrency = 1; config = {}; outputSchema(schema) { return this.same(schema); } same(schema) { return schema; } open() {} }\nexport const stage = () => new Mine();\n`);
    await expect(checkPlan(configOf(`{ path: ${name} }`))).resolves.toBeDefined();
  });

  it("carries its options and its file's digest", async () => {
    const item = (options: string) => `{ path: ${write(stageOf(""), "same.mjs")}, options: ${options} }`;
    const [one] = await loadStageModules(configOf(item("{ a: 1 }")).modules);
    expect(one!.stage.config).toEqual({ a: 1 });
    expect(one!.digest).toMatch(/^[0-9a-f]{64}$/);
    const [other] = await loadStageModules(configOf(`{ path: ${write(stageOf("version: 2"))} }`).modules);
    expect(other!.digest).not.toBe(one!.digest);
  });
});

describe("mistakes name file, line and column", () => {
  it.each([
    ["a missing file", "{ path: nowhere.mjs }", "job.yaml:6:21: nowhere.mjs: there is no such file"],
    ["code that throws", `{ path: ${write('throw new Error("no luck\\nmore")')} }`, /^job\.yaml:6:21: module-\d+\.mjs can't be loaded: no luck\n    fix: mend/],
    ["no config", `{ path: ${write("export const stage = () => ({});")} }`, /^job\.yaml:6:21: module-\d+\.mjs exports no config\n.*it exports: stage/],
    ["no stage", `{ path: ${write(config)} }`, /^job\.yaml:6:21: module-\d+\.mjs exports no function stage\n.*it exports: config/],
    ["another thing in place of a stage", `{ path: ${write(`${config}export const stage = () => 7;`)} }`, /is no MapStage: it is number/],
    ["a stage without a version", `{ path: ${write(stageOf("version: 0"))} }`, /version must be a whole number of at least 1/],
    ["a kind that is taken", `{ path: ${write(stageOf('kind: "blur"'))} }`, /the kind blur is another stage's/],
    ["a factory that throws", `{ path: ${write(`${config}export const stage = () => { throw new Error("what now"); };`)}, options: { a: 1 } }`, /^job\.yaml:6:\d+: .* refuses its options: what now/],
    ["options that can't be hashed", `{ path: ${write(`export const config = { safeParse: () => ({ success: true, data: { a: Infinity } }) };\nexport const stage = () => 1;`)} }`, /a plan can't hold a number \(Infinity\)/],
  ])("%s", async (_name, item, expected) => {
    expect(await diagnose(item)).toMatch(expected);
  });

  it("every wrong option, where it stands", async () => {
    const zod = import.meta.resolve("zod");
    const name = write(`import { z } from ${JSON.stringify(zod)};\nexport const config = z.strictObject({ words: z.int().min(1), deep: z.strictObject({ a: z.string() }) });\nexport const stage = () => 1;\n`);
    const lines = (await diagnose(`{ path: ${name}, options: { words: 0, deep: { a: 1 }, wrods: 2 } }`)).split("\n").filter((line) => line.startsWith("job"));
    const columnOf = (text: string) => `  - module: { path: ${name}, options: { words: 0, deep: { a: 1 }, wrods: 2 } }`.indexOf(text) + 1;
    expect(lines).toEqual([
      expect.stringMatching(`^job.yaml:6:${columnOf("0, deep")}: options.words: .*>=1`),
      expect.stringMatching(`^job.yaml:6:${columnOf("1 }, wrods")}: options.deep.a: .*expected string`),
      expect.stringMatching(`^job.yaml:6:${columnOf("wrods")}: options.wrods: .*nrecognized key`),
    ]);
  });

  it("of all modules at once", async () => {
    expect((await diagnose("{ path: nowhere.mjs }", "{ path: elsewhere.mjs }")).match(/no such file/g)).toHaveLength(2);
  });
});
