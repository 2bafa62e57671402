import path from "node:path";
import { describe, expect, it } from "vitest";
import { main } from "../../src/cli/main.ts";
import { VERBS } from "../../src/cli/verbs.ts";
import { Command } from "commander";
import { fakeShell } from "./fake-shell.ts";

const example = path.join(import.meta.dirname, "..", "..", "pipelines", "select.yaml");
const bad = path.join(import.meta.dirname, "..", "config", "bad", "alternatives.yaml");

async function run(argv: readonly string[], options: Parameters<typeof fakeShell>[0] = {}) {
  const shell = fakeShell(options);
  const exitCode = await main(argv, shell);
  return { exitCode, out: shell.out(), err: shell.err() };
}

describe("help", () => {
  it.each(VERBS.map((verb) => verb.declare(new Command()).name()))("%s has examples, on stdout, with exit code 0", async (name) => {
    for (const argv of [[name, "--help"], ["help", name]]) {
      const { exitCode, out, err } = await run(argv);
      expect(exitCode).toBe(0);
      expect(err).toBe("");
      expect(out).toMatch(new RegExp(`Usage: pipeline ${name}`));
      expect(out).toMatch(new RegExp(`Examples:\n(  \\$ pipeline ${name}.*\n)+`));
    }
  });

  it("prints the version of package.json", async () => {
    expect((await run(["--version"])).out).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});

describe("a wrong command line", () => {
  it.each([
    [["validte", "x"], /unknown command 'validte'\n\(Did you mean validate\?\)/],
    [["validate"], /missing required argument 'file'/],
    [["validate", "x", "--qiet"], /unknown option '--qiet'/],
    [["validate", "x", "--log-format", "xml"], /xml/],
    [["doctor", example, "--samples", "x"], /whole number/],
    [["doctor", example, "--tolerance", "-1"], /number of nats/],
    [["run", example, "--threads", "0"], /whole number of at least 1/],
    [["select", example, "--top", "30,x"], /--top 30,x is not a list of percentages/],
    [["run", example, "--shard", "2/2"], /2 shards are numbered from 0\/2 to 1\/2/],
    [["run", example, "--shard", "1"], /--shard 1 is not a shard/],
    [["run", example, "--shard", "0/0"], /is not a shard/],
    [["run", example, "--shard=-1/2"], /is not a shard/],
    [[], /Usage: pipeline/],
  ])("%j ends with 2 and touches nothing", async (argv, message) => {
    const { exitCode, out, err } = await run(argv);
    expect(exitCode).toBe(2);
    expect(out).toBe("");
    expect(err).toMatch(message);
  });
});

describe("validate", () => {
  it("prints the plan's stages on stdout", async () => {
    const { exitCode, out, err } = await run(["validate", example]);
    expect({ exitCode, err }).toEqual({ exitCode: 0, err: "" });
    expect(out).toContain("select, tokenize -> decode -> blur -> paired_inference -> token_delta -> quantile_threshold -> mask");
  });

  it("is quiet where asked", async () => {
    expect(await run(["validate", example, "--quiet"])).toEqual({ exitCode: 0, out: "", err: "" });
  });

  it("shows every mistake with its place and fix, and ends with 2", async () => {
    const { exitCode, out, err } = await run(["validate", bad]);
    expect(exitCode).toBe(2);
    expect(out).toBe("");
    expect(err).toContain(`${bad}:7:13: blur has sigma_fraction and sigma_px, which exclude each other\n    fix: keep one of`);
    expect(err).toContain("the configuration has 2 mistakes");
    expect(err).not.toContain("    at ");
  });

  it("applies --set, also repeated", async () => {
    const fixed = await run(["validate", bad, "--set", "blur.sigma_px=8", "--set", "quantile_threshold.top_percent=50"]);
    expect(fixed.exitCode).toBe(0);
  });

  it("takes environment variables from the shell", async () => {
    const file = path.join(import.meta.dirname, "..", "config", "bad", "environment.yaml");
    const { err } = await run(["validate", file], { env: { UNSET_NAME: "now-set", SET: "1" } });
    expect(err).not.toContain("UNSET_NAME");
  });
});

describe("errors", () => {
  it("are one JSON line for jobs without a terminal, with the exit code in it", async () => {
    const { exitCode, err } = await run(["run", bad]);
    const lines = err.trim().split("\n");
    expect(lines).toHaveLength(1);
    const line = JSON.parse(lines[0]!) as Record<string, unknown>;
    expect(line).toMatchObject({ level: "error", event: "failed", error: "ConfigError", exit_code: exitCode });
    expect(line["diagnostics"]).toHaveLength(2);
    expect(exitCode).toBe(2);
  });

  it("are text on a terminal, coloured only there and unless told otherwise", async () => {
    const escape = "\u001b[";
    expect((await run(["run", bad], { columns: 80 })).err).toContain(escape);
    expect((await run(["run", bad, "--no-color"], { columns: 80 })).err).not.toContain(escape);
    expect((await run(["run", bad], { columns: 80, env: { NO_COLOR: "1" } })).err).not.toContain(escape);
    expect((await run(["validate", bad])).err).not.toContain(escape);
  });

  it("show a stack trace with --debug only", async () => {
    expect((await run(["validate", bad, "--debug"])).err).toContain("    at ");
  });
});

describe("schema", () => {
  it("prints JSON Schema on stdout", async () => {
    const { exitCode, out, err } = await run(["schema"]);
    expect({ exitCode, err }).toEqual({ exitCode: 0, err: "" });
    expect(JSON.parse(out)).toMatchObject({ $schema: "https://json-schema.org/draft/2020-12/schema", type: "object", additionalProperties: false });
  });
});
