import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { expect, it } from "vitest";
import { parseConfig } from "../../src/config/load-config.ts";
import { ConfigError, PipelineError } from "../../src/core/errors.ts";
import { llavaJsonConfig, openLlavaJson } from "../../src/io/sources/llava-json.ts";
import { readAll } from "../io/sources/read-all.ts";
import { temporaryFolder } from "../io/temporary-folder.ts";
import { fuzz } from "./fuzz.ts";

const root = path.join(import.meta.dirname, "..", "..");

it("configurations: a configuration, or every mistake with its place", async () => {
  const bad = path.join(root, "test", "config", "bad");
  const files = [path.join(root, "pipelines", "select.yaml"), ...readdirSync(bad).filter((name) => name.endsWith(".yaml")).map((name) => path.join(bad, name))];
  const count = await fuzz({
    name: "configuration.yaml",
    corpus: files.map((file) => readFileSync(file)),
    dictionary: ["&a ", "*a", "<<: *a", "!!js/function ", "!!binary ", "!!set ", "? ", "|\n", ">\n", "- ", "{}", "[", "]", "{", "}", "'", '"', "${HOME}", "${", "${A:-", "\t", "\n", "---\n", "...\n", "%YAML 1.1\n", "__proto__: ", "constructor: ", "1e999", ".inf", "0x10", "~", "\u2028", "\ufeff", "\ue000"],
    check(input) {
      try {
        parseConfig(input.toString("utf8"), "job.yaml", { environment: { HOME: "/root", A: "[1" } });
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error;
        expect(error.diagnostics.length).toBeGreaterThan(0);
        for (const { line, column, message } of error.diagnostics) expect(line >= 1 && column >= 1 && message !== "").toBe(true);
      }
    },
  });
  expect(count).toBeGreaterThan(100);
});

it("LLaVA JSON: every record a sample or a reject, or an error that names the file", async () => {
  const file = path.join(temporaryFolder(), "train.json");
  const records = (JSON.parse(readFileSync(path.join(root, "data", "demo", "broken.json"), "utf8")) as object[]).slice(0, 6);
  const count = await fuzz({
    name: "train.json",
    corpus: [Buffer.from(JSON.stringify(records)), Buffer.from(JSON.stringify(records, undefined, 2)), Buffer.from(records.map((record) => JSON.stringify(record)).join("\n")), Buffer.from("[]")],
    dictionary: ["{", "}", "[", "]", ",", ":", '"', "\\", '\\"', "\\u0000", "\\ud800", "null", "1e999", "-0", "\n", "\ufeff", "\0", '"id":', '"image":', '"conversations":[', '{"from":"gpt","value":"x"}', "<image>", "[[[[[[[[[[[[[[[[", "{\"a\":{\"a\":{\"a\":", Buffer.from([0xff]), Buffer.from([0xc3])],
    async check(input) {
      writeFileSync(file, input);
      try {
        const source = await openLlavaJson(llavaJsonConfig.parse({ kind: "llava_json", annotations: file, image_root: path.dirname(file), split_samples: 3, max_record_bytes: 4_096, max_depth: 8 }));
        const { splits, samples, rejects } = await readAll(source);
        expect(samples.length + rejects.length).toBe(splits.reduce((sum, split) => sum + split.num_records, 0));
        expect(new Set(samples.map((sample) => sample.sample_id)).size).toBe(samples.length);
      } catch (error) {
        if (!(error instanceof PipelineError)) throw error;
        expect(error.name === "InternalError" ? error : undefined).toBeUndefined();
        expect(error.message).toContain("train.json");
      }
    },
  });
  expect(count).toBeGreaterThan(100);
});
