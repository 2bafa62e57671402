import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EVALUATE_METRICS } from "../../src/cli/evaluate.ts";
import { main } from "../../src/cli/main.ts";
import { METRIC_NAMES } from "../../src/metrics/metrics.ts";
import type { Evaluation } from "../../src/analysis/evaluate-file.ts";
import { fakeShell } from "./fake-shell.ts";

const examples = path.join(import.meta.dirname, "..", "..", "examples", "evaluate");
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "evaluate-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function run(...argv: readonly string[]) {
  const shell = fakeShell();
  const exitCode = await main(["evaluate", ...argv], shell);
  return { exitCode, out: shell.out(), err: shell.err() };
}

async function file(name: string, text: string): Promise<string> {
  await writeFile(path.join(folder, name), text);
  return path.join(folder, name);
}

it("offers every metric", () => {
  expect(EVALUATE_METRICS).toEqual(METRIC_NAMES);
});

describe("the shipped examples", () => {
  it.each([
    ["mmhal", "mmhal.jsonl", [], { score: 17 / 6, hallucination: 0.5 }],
    ["choice", "choice.jsonl", [], { accuracy: 4 / 6 }],
    // 1, 8 of 9 characters, nothing, 5 of 6.
    ["docvqa", "docvqa.json", [], { anls: (1 + 8 / 9 + 0 + 5 / 6) / 4, accuracy: 0.25 }],
  ] as const)("%s: %s", async (metric, name, more, expected) => {
    const { exitCode, out, err } = await run("--metric", metric, path.join(examples, name), ...more, "--json");
    expect({ exitCode, err }).toEqual({ exitCode: 0, err: "" });
    const { groups, num_wrong } = JSON.parse(out) as Evaluation;
    expect(num_wrong).toBe(0);
    const all = groups.find(({ name: group }) => group === "all")!.measures;
    for (const [measure, value] of Object.entries(expected)) expect(all[measure]!.value).toBeCloseTo(value, 12);
  });

  it("of the demo model's captions", async () => {
    const { exitCode, out } = await run("--metric", "chair", path.join(examples, "demo-chair.jsonl"), "--synonyms", path.join(examples, "demo-objects.txt"));
    expect(exitCode).toBe(0);
    expect(out).toMatch(/^chair +rows +chair_i +chair_s +recall +mentions\nall +200 +\d+\.\d \[/);
  });

  it("of the demo model's answers, as a table", async () => {
    const { exitCode, out } = await run("--metric", "pope", path.join(examples, "demo-pope.jsonl"));
    expect(exitCode).toBe(0);
    expect(out).toMatch(/^pope +rows +accuracy +precision +recall +f1 +yes\nrandom +400 /);
  });

  it("name every thing of the demo world, once", async () => {
    const names = (await readFile(path.join(examples, "..", "..", "experiments", "demo-model", "classes.txt"), "utf8")).trim().split("\n");
    const table = await readFile(path.join(examples, "demo-objects.txt"), "utf8");
    expect(table.split("\n").filter((line) => /^[a-z]/.test(line)).map((line) => line.split(",")[0])).toEqual(names);
  });
});

describe("rows that can't be used", () => {
  it("are named with their line, left out, and end with 3", async () => {
    const rows = await file("wrong.jsonl", '{"response": "Yes", "label": "yes"}\n\n{"response": "Yes"}\n{"response": \n{"response": "No", "label": "no"}');
    const { exitCode, out, err } = await run("--metric", "pope", rows);
    expect(exitCode).toBe(3);
    expect(err.split("\n")).toEqual([`wrong row ${rows}:3: no column label`, expect.stringMatching(/^wrong row .*:4: /), ""]);
    expect(out).toMatch(/all +2 +100\.0/);
    expect(out).toContain("2 of 4 rows can't be used");
  });

  it("of an array have their lines too", async () => {
    const rows = await file("wrong.json", '\n[\n  {"response": "Yes",\n   "label": "yes"},\n  {"label": "no"}\n]\n');
    expect((await run("--metric", "pope", rows)).err).toBe(`wrong row ${rows}:5: no column response\n`);
  });

  it("end the command where an array is damaged, or no row can be used", async () => {
    const damaged = await file("damaged.json", '[{"response": "Yes", "label": "yes"},\n{"response": "No" "label": \n');
    expect(await run("--metric", "pope", damaged)).toMatchObject({ exitCode: 1, out: "", err: expect.stringMatching(/damaged\.json:2: the JSON array is damaged/) as string });
    const theirs = await file("theirs.jsonl", '{"prediction": "Yes", "label": "yes"}\n');
    const { exitCode, err } = await run("--metric", "pope", theirs);
    expect(exitCode).toBe(2);
    expect(err).toMatch(/theirs\.jsonl:1: no column response; none of its 1 rows/);
    expect(err).toMatch(/--column/);
    expect((await run("--metric", "pope", theirs, "--column", "response=prediction")).out).toMatch(/all +1 +100\.0/);
  });

  it("are many: the first ten are shown", async () => {
    const rows = await file("many.jsonl", `${'{"response": "Yes"}\n'.repeat(30)}{"response": "Yes", "label": "yes"}\n`);
    const { err } = await run("--metric", "pope", rows);
    expect(err.match(/wrong row/g)).toHaveLength(10);
    expect(err).toContain("and 20 more");
  });
});

describe("mistakes on the command line", () => {
  it.each([
    [["x.jsonl"], /required option '--metric <name>'/],
    [["--metric", "bleu", "x.jsonl"], /Allowed choices are pope, chair, mmhal, choice, docvqa/],
    [["--metric", "pope", "missing.jsonl"], /can't read missing\.jsonl: it does not exist/],
    [["--metric", "chair", "missing.jsonl"], /chair needs a table of objects[^]*--synonyms FILE/],
    [["--metric", "pope", "x.jsonl", "--column", "response"], /NAME=THEIRS/],
  ])("%j end with 2", async (argv, message) => {
    const { exitCode, out, err } = await run(...argv);
    expect({ exitCode, out }).toEqual({ exitCode: 2, out: "" });
    expect(err).toMatch(message);
  });

  it("an empty file has no rows", async () => {
    expect(await run("--metric", "pope", await file("empty.jsonl", ""))).toMatchObject({ exitCode: 2, err: expect.stringContaining("has no rows") as string });
  });

  it("a table of synonyms is named with its line", async () => {
    const table = await file("table.txt", "cat\ndog, cat\n");
    expect((await run("--metric", "chair", "x.jsonl", "--synonyms", table)).err).toMatch(/table\.txt: line 2: "cat" stands for dog/);
  });
});
