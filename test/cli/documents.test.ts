import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { Command } from "commander";
import { describe, expect, it } from "vitest";
import { VERBS } from "../../src/cli/verbs.ts";
import { parseConfig } from "../../src/config/load-config.ts";

/** What documents say is checked: configurations parse, commands exist with their options, links lead somewhere. */
const root = path.join(import.meta.dirname, "..", "..");
const documents = ["README.md", "CHANGELOG.md", ...readdirSync(path.join(root, "docs"), { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".md")).map((name) => `docs/${name}`)];
const read = (file: string): string => readFileSync(path.join(root, file), "utf8");

function fences(text: string, language: string): string[] {
  return [...text.matchAll(/^```(\w+)\n(.*?)^```/gms)].filter((match) => match[1] === language).map((match) => match[2]!);
}

/** Whole configurations; excerpts of one begin otherwise. */
const configurations = documents.flatMap((file) => fences(read(file), "yaml").filter((text) => /^version: /m.test(text)).map((text, index) => [`${file} #${index}`, text] as const));

describe("configurations in documents", () => {
  it("exist", () => expect(configurations.length).toBeGreaterThanOrEqual(2));
  it.each(configurations)("%s is valid", (_name, text) => {
    expect(() => parseConfig(text, "x.yaml", { environment: {} })).not.toThrow();
  });
});

/** `npx pipeline ...` and `pipeline ...` in code blocks and in `code` with a verb and more. */
function pipelineCommands(text: string): string[] {
  const lines = fences(text, "sh").flatMap((block) => block.split("\n"));
  const inline = [...text.matchAll(/`((?:npx )?pipeline [^`]+)`/g)].map((match) => match[1]!);
  return [...lines, ...inline].map((line) => line.replace(/\s+#.*$/, "").trim()).filter((line) => /^(npx )?pipeline /.test(line));
}

function parseWords(command: string): void {
  const program = new Command("pipeline").exitOverride().version("0").configureOutput({ writeErr: () => undefined, writeOut: () => undefined });
  for (const verb of VERBS) {
    const declared = verb.declare(program);
    declared.exitOverride().configureOutput(program.configureOutput()).action(() => undefined);
  }
  const words = command.replace(/^(npx )?pipeline /, "").replace(/\s*(\||2?>>?|<).*$/, "").split(/\s+/);
  program.parse(words, { from: "user" });
}

const commands = documents.flatMap((file) => pipelineCommands(read(file)).map((command) => [file, command] as const));

describe("commands in documents", () => {
  it("exist", () => expect(commands.length).toBeGreaterThanOrEqual(8));
  it.each(commands)("%s: %s", (_file, command) => {
    try {
      parseWords(command);
    } catch (error) {
      // A verb named in a sentence has no arguments.
      expect((error as { readonly code?: string }).code).toMatch(/^commander\.missing(?:Argument|MandatoryOptionValue)$/);
    }
  });

  it("npm scripts exist", () => {
    const { scripts } = JSON.parse(read("package.json")) as { scripts: Record<string, string> };
    const named = documents.flatMap((file) => [...read(file).matchAll(/npm run ([\w:-]+)/g)].map((match) => match[1]!));
    expect(named.length).toBeGreaterThan(3);
    expect(named.filter((name) => !(name in scripts))).toEqual([]);
  });
});

describe("links in documents", () => {
  const anchorsOf = (file: string): string[] => [...read(file).matchAll(/^#+ (.*)$/gm)].map((match) => match[1]!.toLowerCase().replace(/[^\w\s-]/g, "").trim().replace(/\s/g, "-"));

  it.each(documents)("%s", (file) => {
    const links = [...read(file).matchAll(/\]\(([^)\s]+)\)/g)].map((match) => match[1]!).filter((link) => !/^https?:/.test(link));
    const broken = links.filter((link) => {
      const [target, anchor] = link.split("#") as [string, string | undefined];
      const resolved = target === "" ? file : path.posix.join(path.posix.dirname(file), target);
      if (!existsSync(path.join(root, resolved))) return true;
      return anchor !== undefined && resolved.endsWith(".md") && !anchorsOf(resolved).includes(anchor);
    });
    expect(broken).toEqual([]);
  });
});
