import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { loadConfig, parseConfig } from "../../src/config/load-config.ts";
import { ConfigError } from "../../src/core/errors.ts";

const root = path.join(import.meta.dirname, "..", "..");
const exampleFile = path.join(root, "pipelines", "select.yaml");
const example = readFileSync(exampleFile, "utf8");
const parse = (text: string, overrides: readonly string[] = [], environment: Record<string, string> = {}) =>
  parseConfig(text, "/base/pipelines/x.yaml", { overrides, environment });

/** The example with one line replaced. */
function withLine(pattern: RegExp, line: string): string {
  expect(example).toMatch(pattern);
  return example.replace(pattern, line);
}

describe("parseConfig", () => {
  it("reads the configuration that ships, fills defaults in and makes paths absolute", () => {
    const config = parse(example);
    expect(config.source).toMatchObject({ kind: "llava_json", annotations: "/base/data/demo/train.json", image_root: "/base/data/demo/images" });
    expect(config.model).toMatchObject({ path: "/base/data/models/demo", dtype: "fp32", device: "cpu" });
    expect(config.output).toMatchObject({ path: "/base/out/select", compression: "zstd" });
    expect(config.stages.blur).toEqual({ sigma_fraction: 0.28, at: "model_input", stand_in: "gaussian" });
    expect(config.stages.quantile_threshold).toEqual({ top_percent: 70 });
    expect(config.stages.mask.granularity).toBe("sample_and_token");
    expect(config.max_reject_fraction).toBe(0.01);
  });

  it("keeps absolute paths and resolves tau_from", () => {
    const text = withLine(/quantile_threshold: \{.*?\}/, "quantile_threshold: { tau_from: ../m/manifest.json }").replace("../out/select", "/abs/out");
    expect(parse(text).output.path).toBe("/abs/out");
    expect(parse(text).stages.quantile_threshold).toEqual({ tau_from: "/base/m/manifest.json" });
  });

  it("expands environment variables by the form of the value around them", () => {
    const text = withLine(/top_percent: 70/, "top_percent: ${TOP:-70}").replace("name: select", () => 'name: "${NAME}-$${literal"');
    expect(() => parse(text, [], { NAME: "a" })).toThrow(/name can't be "a-\$\{literal"/);
    const fixed = text.replace("-$${literal", () => "");
    expect(parse(fixed, [], { NAME: "a" }).stages.quantile_threshold.top_percent).toBe(70);
    expect(parse(fixed, [], { NAME: "12", TOP: "30.5" })).toMatchObject({ name: "12", stages: { quantile_threshold: { top_percent: 30.5 } } });
  });

  it("never lets a variable's content change the structure", () => {
    const text = example.replace("name: select", "name: ${NAME}");
    expect(() => parse(text, [], { NAME: "{ a: 1 }" })).toThrow(/name can't be "\{ a: 1 \}"/);
    expect(() => parse(text, [], { NAME: "x\nversion: 2" })).toThrow(/:\d+:7: name can't be/);
  });

  it("counts columns as in the file, whatever the variables before them hold", () => {
    const text = withLine(/top_percent: 70/, "top_percent: ${A}${B}, nope: 1");
    const column = text.split("\n").find((line) => line.includes("nope"))!.indexOf("nope") + 1;
    expect(() => parse(text, [], { A: "1", B: "5" })).toThrow(new RegExp(`:${column}: unknown key nope`));
  });
});

describe("overrides", () => {
  it("name stages by kind, in short, or by position", () => {
    for (const override of ["stages.blur.at=source", "blur.at=source", "stages.1.blur.at=source"]) {
      expect(parse(example, [override]).stages.blur.at).toBe("source");
    }
  });

  it("take alternatives out", () => {
    expect(parse(example, ["blur.sigma_px=8"]).stages.blur).toEqual({ sigma_px: 8, at: "model_input", stand_in: "gaussian" });
    expect(parse(example, ["quantile_threshold.tau=0.1"]).stages.quantile_threshold).toEqual({ tau: 0.1 });
  });

  it("apply in order, make missing blocks, and read values as YAML", () => {
    const config = parse(example, ["resources.num_workers=1", "resources.num_workers=3", "quantile_threshold.top_percent=[30, 50]", "name=n=2".replace("n=2", "n2")]);
    expect(config.resources.num_workers).toBe(3);
    expect(config.stages.quantile_threshold.top_percent).toEqual([30, 50]);
    expect(config.name).toBe("n2");
  });

  it("take a key out with null, so that its default holds", () => {
    expect(parse(example, ["max_reject_fraction=0.5", "max_reject_fraction=null"]).max_reject_fraction).toBe(0.01);
    expect(parse(example, ["blur.sigma_fraction="]).stages.blur).not.toHaveProperty("sigma_fraction");
  });

  it("replace a whole block", () => {
    expect(parse(example, ["blur={ stand_in: gray }"]).stages.blur).toEqual({ stand_in: "gray", at: "model_input" });
  });

  it("never reach a prototype", () => {
    expect(() => parse(example, ["__proto__.polluted=1"])).toThrow(ConfigError);
    expect(() => parse(example, ["output.__proto__.polluted=1"])).toThrow(ConfigError);
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
  });
});

describe("any input", () => {
  const config = fc.constantFrom(...example.split(/(?<=\n)/));
  const noise = fc.oneof(fc.string(), fc.constantFrom("&a ", "*a", "!!js ", "[", "{", "}", ": ", "- ", "\t", "|\n", "${A", "${A:-1}", "$${", "\uE000", "'", '"', "%YAML 1.1\n", "---\n", "? "));

  it("gives a configuration or ConfigError with places inside the text, and nothing else", () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(config, noise), { maxLength: 40 }), (parts) => {
        const text = parts.join("");
        const lines = text.split("\n");
        try {
          parse(text);
        } catch (error) {
          if (!(error instanceof ConfigError)) throw error;
          expect(error.diagnostics.length).toBeGreaterThan(0);
          for (const { line, column } of error.diagnostics) {
            expect(line).toBeGreaterThanOrEqual(1);
            expect(line).toBeLessThanOrEqual(lines.length + 1);
            expect(column).toBeGreaterThanOrEqual(1);
          }
        }
      }),
      { numRuns: 500 },
    );
  });

  it("gives a configuration or ConfigError for any override", () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.string(), fc.constantFrom("stages", "blur", ".", "=", "0", "null", "{", "[", "output", "path")), { maxLength: 8 }), (parts) => {
        try {
          parse(example, [parts.join("")]);
        } catch (error) {
          if (!(error instanceof ConfigError)) throw error;
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe("loadConfig", () => {
  it("says what is wrong with a file that can't be read", async () => {
    const folder = mkdtempSync(path.join(tmpdir(), "vig-config-"));
    const binary = path.join(folder, "binary.yaml");
    writeFileSync(binary, Buffer.from([0xff, 0xfe, 0x00]));
    const large = path.join(folder, "large.yaml");
    writeFileSync(large, "#".repeat(2_000_000));
    await expect(loadConfig(path.join(folder, "missing.yaml"))).rejects.toThrow("missing.yaml:1:1: there is no such file");
    await expect(loadConfig(folder)).rejects.toThrow("this is a folder");
    await expect(loadConfig(binary)).rejects.toThrow("not UTF-8");
    await expect(loadConfig(large)).rejects.toThrow("the file has 2000000 bytes");
  });
});
