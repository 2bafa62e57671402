import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { parseConfig } from "../../src/config/load-config.ts";
import { ConfigError } from "../../src/core/errors.ts";

/**
 * Every file in bad/ beside the exact diagnostics a user sees. Comments of the form `# set: path=value` and
 * `# environment: NAME=value ...` give the overrides and the environment. UPDATE_GOLDENS=1 rewrites the .txt files:
 * read the difference before committing it.
 */
const folder = path.join(import.meta.dirname, "bad");
const files = readdirSync(folder).filter((name) => name.endsWith(".yaml"));

function diagnose(name: string): string {
  const text = readFileSync(path.join(folder, name), "utf8");
  const overrides = [...text.matchAll(/^# set: (.*)$/gm)].map((match) => match[1]!);
  const assignments = [...text.matchAll(/^# environment: (.*)$/gm)].flatMap((match) => match[1]!.match(/\w+=(?:\{[^}]*\}|\S*)/g) ?? []);
  const environment = Object.fromEntries(assignments.map((a) => [a.slice(0, a.indexOf("=")), a.slice(a.indexOf("=") + 1)]));
  try {
    parseConfig(text, name, { overrides, environment });
  } catch (error) {
    if (error instanceof ConfigError) return `${error.message}\n`;
    throw error;
  }
  return "no mistake found\n";
}

describe("bad configurations", () => {
  it("are many", () => expect(files.length).toBeGreaterThan(15));

  it.each(files)("%s", (name) => {
    const golden = path.join(folder, name.replace(/\.yaml$/, ".txt"));
    const actual = diagnose(name);
    if (process.env["UPDATE_GOLDENS"]) writeFileSync(golden, actual);
    expect(actual).toBe(readFileSync(golden, "utf8"));
    expect(actual).not.toBe("no mistake found\n");
  });
});
