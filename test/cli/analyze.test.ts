import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Agreement } from "../../src/analysis/agreement.ts";
import type { Overview } from "../../src/analysis/overview.ts";
import type { SwapComparison } from "../../src/analysis/variants.ts";
import { main } from "../../src/cli/main.ts";
import { readScores } from "../../src/index.ts";
import { columnData, utf8ListValue, utf8Values } from "../../src/core/record-batch.ts";
import { fakeShell } from "./fake-shell.ts";

/** The command on a tiny model with random weights: what it finds means nothing, that it is found right is tested in test/analysis. */
const root = path.join(import.meta.dirname, "..", "..");
const model = path.join(root, "test", "fixtures", "models", "llava");
const folder = mkdtempSync(path.join(tmpdir(), "vig-analyze-"));
const config = path.join(folder, "job.yaml");
const out = path.join(folder, "out");
const beside = `${out}.analysis`;

beforeAll(async () => {
  const colors = ["red", "green", "blue", "white"];
  const records = Array.from({ length: 24 }, (_, i) => ({
    id: `${Math.floor(i / 2)}-${i % 2 === 0 ? "one" : "two"}`,
    source: i % 2 === 0 ? "even" : "odd",
    ...(i % 12 > 9 ? {} : { image: ["photo.png", "square.png"][i % 2] }),
    conversations: [{ from: "human", value: `${i % 12 > 9 ? "" : "<image>\n"}What do you see, number ${i}?` }, { from: "gpt", value: `It is ${colors[i % 4]}.` }],
  }));
  writeFileSync(path.join(folder, "train.json"), JSON.stringify(records));
  writeFileSync(
    config,
    `version: 1
name: job
source: { kind: llava_json, annotations: train.json, image_root: ${path.join(model, "images")}, split_samples: 8 }
model: { path: ${model} }
stages: [decode: {}, blur: {}, paired_inference: {}, token_delta: {}, quantile_threshold: { top_percent: 70 }, mask: {}]
output: { path: out, report: false }
`,
  );
  expect((await start("run", config, "--quiet")).exitCode).toBe(0);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function start(...args: readonly string[]): Promise<{ readonly exitCode: number | null; readonly stdout: string; readonly stderr: string }> {
  const child = spawn(process.execPath, [path.join(root, "bin", "pipeline.js"), ...args], { cwd: folder, stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, NO_COLOR: "1" } });
  const output = { stdout: "", stderr: "" };
  child.stdout.on("data", (bytes: Buffer) => (output.stdout += bytes.toString()));
  child.stderr.on("data", (bytes: Buffer) => (output.stderr += bytes.toString()));
  return new Promise((resolve) => child.on("close", (exitCode) => resolve({ exitCode, ...output })));
}

async function analyze(...argv: readonly string[]) {
  const shell = fakeShell();
  const exitCode = await main(["analyze", ...argv], shell);
  return { exitCode, out: shell.out(), err: shell.err() };
}

/** Every file below a folder, with its time of change. */
function filesIn(where: string): string[] {
  return readdirSync(where, { recursive: true, encoding: "utf8" })
    .map((name) => `${name} ${statSync(path.join(where, name)).mtimeMs}`)
    .sort();
}

async function imagesById(where: string): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for await (const batch of readScores(where)) {
    const images = columnData(batch, "images");
    for (const [row, id] of utf8Values(batch, "sample_id").entries()) found.set(id, utf8ListValue(images as never, row).join());
  }
  return found;
}

describe("analyze OUT_DIR", () => {
  it("prints tables, and writes nothing", async () => {
    const before = filesIn(folder);
    const { exitCode, out: text, err } = await analyze(out);
    expect({ exitCode, err }).toEqual({ exitCode: 0, err: "" });
    expect(text).toMatch(/^source +samples +mean VIG \[95%\]/);
    expect(text).toMatch(/\nall +20 +-?\d/);
    expect(text).toContain("4 text-only samples have no VIG");
    expect(filesIn(folder)).toEqual(before);
  });

  it("prints JSON, takes the configuration for its folder, and draws where asked", async () => {
    const picture = path.join(folder, "sources.svg");
    const { out: text } = await analyze(config, "--json", "--plot", picture);
    const overview = JSON.parse(text) as Overview & { path: string };
    expect(overview).toMatchObject({ path: out, all: { num_samples: 20, num_text_only: 4 } });
    expect(overview.sources.map(({ source }) => source).sort()).toEqual(["even", "odd"]);
    expect(readFileSync(picture, "utf8")).toMatch(/^<svg [^>]*xmlns="http:\/\/www\.w3\.org\/2000\/svg"[^]*>even<[^]*<\/svg>\n$/);
  });

  it("--against a run with itself agrees", async () => {
    const { out: text } = await analyze(out, "--against", out, "--json", "--top", "50");
    expect(JSON.parse(text)).toMatchObject({ num_joined: 24, num_text_only: 4, selections: [{ top_percent: 50, samples: { jaccard: 1 } }] });
    expect((await analyze(out, "--against", out)).out).toMatch(/24 samples in both, 0 only in the first[^]*top 30 %[^]*top 90 %/);
  });

  it("--variants groups by the last part of the id", async () => {
    const { out: text } = await analyze(out, "--variants", "one,two");
    // Pairs 5 and 11 have no image.
    expect(text).toMatch(/in the order one > two: \d+\.\d % \[.*\] of 10\n4 samples left out/);
  });
});

describe("analyze FILE --swap-images", () => {
  it("scores into folders beside, with other images, and only reads the second time", async () => {
    const parquet = (where: string): string[] => filesIn(where).filter((line) => line.includes(".parquet"));
    const before = parquet(out);
    const first = await start("analyze", config, "--swap-images", "both", "--json", "--seed", "7");
    expect(first.exitCode).toBe(0);
    const found = JSON.parse(first.stdout) as SwapComparison & { paths: string[] };
    expect(found.variants.map(({ variant }) => variant)).toEqual(["matching", "similar", "random"]);
    expect(found).toMatchObject({ num_groups: 20, num_without_partner: 0, num_left_out: 4, paths: [out, path.join(beside, "swap-similar-seed7"), path.join(beside, "swap-random-seed7")] });
    expect(parquet(out)).toEqual(before);

    const own = await imagesById(out);
    for (const kind of ["similar", "random"]) {
      const swapped = await imagesById(path.join(beside, `swap-${kind}-seed7`));
      expect([...swapped.keys()]).toEqual([...own.keys()]);
      // Two images: every sample with one has the other.
      for (const [id, image] of own) expect(swapped.get(id)).toBe(image === "" ? "" : image === "photo.png" ? "square.png" : "photo.png");
    }

    const after = parquet(beside);
    const again = await start("analyze", config, "--swap-images", "both", "--json", "--seed", "7");
    expect(again.stdout).toBe(first.stdout);
    expect(parquet(beside)).toEqual(after);
  });

  it("scores the same as a data set whose images are swapped", async () => {
    const records = JSON.parse(readFileSync(path.join(folder, "train.json"), "utf8")) as { image?: string }[];
    const swapped = records.map((record) => (record.image === undefined ? record : { ...record, image: record.image === "photo.png" ? "square.png" : "photo.png" }));
    writeFileSync(path.join(folder, "swapped.json"), JSON.stringify(swapped));
    expect((await start("run", config, "--quiet", "--set", "source.annotations=swapped.json", "--set", "output.path=swapped")).exitCode).toBe(0);
    const { out: text } = await analyze(path.join(folder, "swapped"), "--against", path.join(beside, "swap-random-seed7"), "--json");
    const { samples, mean_vig_a, mean_vig_b } = JSON.parse(text) as Agreement;
    expect(samples.rank_correlation).toBeCloseTo(1, 12);
    expect(mean_vig_a).toBe(mean_vig_b);
  });

  it("never mixes its scores with those of the images as they are", async () => {
    const { exitCode, stderr } = await start("run", config, "--quiet", "--set", `output.path=${path.join(beside, "swap-random-seed7")}`);
    expect(exitCode).toBe(2);
    expect(stderr).toMatch(/swap_images/);
  });
});

describe("analyze FILE --sweep", () => {
  it("compares the run with others, and draws", async () => {
    const picture = path.join(folder, "sweep.svg");
    const { exitCode, stdout } = await start("analyze", config, "--sweep", "blur.sigma_px=1,6", "--plot", picture, "--quiet");
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^blur\.sigma_px, top 70 % +mean VIG +tau[^]*\nas configured [^]*\n1 +-?\d[^]*\n6 +-?\d/);
    expect(existsSync(path.join(beside, "sweep-blur.sigma_px=6", "_SUCCESS"))).toBe(true);
    expect(readFileSync(picture, "utf8")).toContain("blur.sigma_px: agreement with the run as configured");
  });

  it("finds every mistake before the first run", async () => {
    const { exitCode, out: text, err } = await analyze(config, "--sweep", "blur.sigma_px=2,many");
    expect({ exitCode, text }).toEqual({ exitCode: 2, text: "" });
    expect(err).toMatch(/blur\.sigma_px=many/);
    expect(existsSync(path.join(beside, "sweep-blur.sigma_px=2"))).toBe(false);
  });
});

describe("mistakes on the command line", () => {
  it.each([
    [[out, "--swap-images", "both"], /--swap-images runs the model, so it needs the configuration/],
    [[out, "--sweep", "blur.sigma_px=2"], /--sweep runs the model/],
    [[config, "--sweep", "blur.sigma_px"], /--sweep blur\.sigma_px is not a setting with its values/],
    [[config, "--sweep", "blur.sigma_px=2,2"], /is not a setting with its values/],
    [[out, "--against", out, "--variants", "a,b"], /--against and --variants are different analyses/],
    [[out, "--variants", "a"], /is no list of two or more/],
    [[out, "--against", out, "--plot", "x.svg"], /there is no picture of --against/],
    [[out, "--against", out, "--top", "x"], /not a list of percentages/],
    [[config, "--swap-images", "all"], /Allowed choices are random, similar, both/],
    [[config, "--swap-images", "random", "--seed", "-1"], /whole number/],
    [[path.join(folder, "nowhere")], /nowhere holds no finished run/],
    [[out, "--against", folder], /holds no finished run/],
  ])("%j end with 2", async (argv, message) => {
    const { exitCode, out: text, err } = await analyze(...argv);
    expect({ exitCode, text }).toEqual({ exitCode: 2, text: "" });
    expect(err).toMatch(message);
  });
});
