import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

/** The tarball that `npm run package` makes, installed in an empty folder, far from the clone. */
const root = path.join(import.meta.dirname, "..", "..");
const folder = mkdtempSync(path.join(tmpdir(), "vig-package-"));
const installed = path.join(folder, "node_modules", "vig-pipeline");
const { version, devDependencies } = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8")) as { version: string; devDependencies: Record<string, string> };
const tarball = path.join(folder, `vig-pipeline-${version}.tgz`);

function run(command: string, words: readonly string[], cwd = folder): string {
  try {
    return execFileSync(command, words, { cwd, encoding: "utf8", stdio: "pipe" });
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string };
    throw new Error(`${command} ${words.join(" ")}\n${stdout}\n${stderr}`, { cause: error });
  }
}

const pipeline = (...words: string[]) => run("npx", ["--no-install", "pipeline", ...words]);

beforeAll(() => {
  run("npm", ["run", "package", "--silent", "--", "--pack-destination", folder], root);
  writeFileSync(path.join(folder, "package.json"), '{ "name": "user", "private": true, "type": "module" }');
  run("npm", ["install", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund", tarball, `@types/node@${devDependencies["@types/node"]!}`]);

  const fixture = path.join(root, "test", "fixtures", "models", "llava");
  cpSync(fixture, path.join(folder, "model"), { recursive: true });
  mkdirSync(path.join(folder, "images"));
  const colors = ["red", "green", "blue"];
  const records = Array.from({ length: 12 }, (_, i) => ({
    id: `sample-${i}`,
    source: i % 2 === 0 ? "even" : "odd",
    ...(i % 6 === 5 ? {} : { image: ["photo.png", "square.png"][i % 2] }),
    conversations: [{ from: "human", value: `${i % 6 === 5 ? "" : "<image>\n"}What do you see, number ${i}?` }, { from: "gpt", value: `It is ${colors[i % 3]}.` }],
  }));
  for (const name of ["photo.png", "square.png"]) cpSync(path.join(fixture, "images", name), path.join(folder, "images", name));
  writeFileSync(path.join(folder, "train.json"), JSON.stringify(records));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("the tarball", () => {
  it("holds what a user needs and nothing else", () => {
    const files = run("tar", ["tzf", tarball]).trim().split("\n").map((name) => name.replace(/^package\//, ""));
    for (const needed of ["package.json", "README.md", "LICENSE", "NOTICE", "bin/pipeline.js", "dist/index.js", "dist/index.d.ts", "dist/cli/main.js", "schemas/pipeline.schema.json", "assets/report/page.js", "docs/library.md", "integrations/trl/collator.py"]) {
      expect(files).toContain(needed);
    }
    const tops = [...new Set(files.map((name) => name.split("/")[0]))].sort();
    expect(tops).toEqual(["CHANGELOG.md", "CITATION.cff", "LICENSE", "NOTICE", "README.md", "assets", "bin", "dist", "docs", "examples", "integrations", "package.json", "schemas", "src"]);
    expect(files.filter((name) => /\.test\.|node_modules|__pycache__|\.pyc$|\.env|\.npmrc/.test(name))).toEqual([]);
    expect(statSync(tarball).size).toBeLessThan(2_000_000);
  });
});

function libraryExamples(): string[] {
  const text = readFileSync(path.join(installed, "docs", "library.md"), "utf8");
  return [...text.matchAll(/^```ts\n(.*?)^```/gms)].map((match) => match[1]!);
}

describe("in an empty folder", () => {
  it("the command writes, checks and carries out a configuration", () => {
    expect(pipeline("--version").trim()).toBe(version);
    pipeline("init", "train.json", "images", "--model", "model", "--out", "mine.yaml", "--quiet");
    expect(pipeline("validate", "mine.yaml")).toContain("valid");
    pipeline("run", "mine.yaml", "--quiet", "--set", "output.path=out");
    for (const name of ["_SUCCESS", "manifest.json", "report.html", "scores", "selection", "rejects"]) expect(existsSync(path.join(folder, "out", name)), name).toBe(true);
    const { counts } = JSON.parse(readFileSync(path.join(folder, "out", "manifest.json"), "utf8")) as { counts: object };
    expect(counts).toMatchObject({ num_read: 12, num_scored: 10, num_text_only: 2, num_rejected: 0 });
    pipeline("export", "out", "--to", "jsonl", "--quiet");
    expect(readdirSync(path.join(folder, "out", "export", "jsonl"))).not.toEqual([]);
  });

  it("a stage of one's own in TypeScript is loaded", () => {
    const code = libraryExamples().find((example) => example.includes("export const config"))!;
    // Elsewhere than the package, so that its imports are found by the pipeline alone.
    const elsewhere = mkdtempSync(path.join(tmpdir(), "vig-own-"));
    try {
      writeFileSync(path.join(elsewhere, "answer-words.ts"), code);
      const yaml = readFileSync(path.join(folder, "mine.yaml"), "utf8").replace(/^stages:\n/m, `stages:\n  - module: { path: ${elsewhere}/answer-words.ts, options: { min_words: 4 } }\n`);
      writeFileSync(path.join(folder, "own.yaml"), yaml);
      pipeline("run", "own.yaml", "--quiet", "--set", "output.path=own", "--set", "max_reject_fraction=1");
      expect(JSON.parse(readFileSync(path.join(folder, "own", "manifest.json"), "utf8"))).toMatchObject({ counts: { rejects_by_code: { rejected_by_module: 12 } } });
    } finally {
      rmSync(elsewhere, { recursive: true });
    }
  });

  it("the library's types are found under nodenext, and its examples run compiled", () => {
    const examples = libraryExamples();
    mkdirSync(path.join(folder, "code"));
    examples.forEach((code, i) => writeFileSync(path.join(folder, "code", `example-${i}.ts`), `${code}\nexport {};\n`));
    const compilerOptions = { module: "nodenext", target: "es2023", strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, skipLibCheck: true, outDir: "compiled", rootDir: "code", types: ["node"] };
    writeFileSync(path.join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["code"] }));
    run("node", [path.join(root, "node_modules", "typescript", "bin", "tsc"), "-p", "tsconfig.json"]);

    const compiled = (part: string) => `compiled/example-${examples.findIndex((code) => code.includes(part))}.js`;
    writeFileSync(path.join(folder, "compiled", "read.js"), readFileSync(path.join(folder, compiled('readScores("out/select"')), "utf8").replace('"out/select"', '"out"'));
    expect(run("node", ["compiled/read.js"])).toMatch(/^even: mean VIG -?\d\.\d{3} over 6\nodd: mean VIG -?\d\.\d{3} over 4\n$/);
    expect(run("node", [compiled("KthLargestSearch")])).toBe("tau -0.1000, mask 111, 3 active\n");
    expect(run("node", [compiled("newTally(")])).toBe("random: accuracy 1 of 2\nadversarial: accuracy 0 of 1\naverage: accuracy 0.5 of 3\nB\n");
  });

  it("a tarball packed without a build runs from its sources", () => {
    const dist = path.join(installed, "dist");
    renameSync(dist, `${dist}-away`);
    try {
      pipeline("run", "mine.yaml", "--quiet", "--set", "output.path=out-unbuilt");
    } finally {
      renameSync(`${dist}-away`, dist);
    }
    const parts = (name: string) => readFileSync(path.join(folder, name, "scores", "part-00000.parquet"));
    expect(parts("out-unbuilt").equals(parts("out"))).toBe(true);
  });
});
