import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

/** The command as users start it: a process of its own, without a terminal, on a tiny model and data set. */
const root = path.join(import.meta.dirname, "..", "..");
const model = path.join(root, "test", "fixtures", "models", "llava");
const folder = mkdtempSync(path.join(tmpdir(), "vig-run-"));
const config = path.join(folder, "job.yaml");
const NUM_SAMPLES = 120;

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The first run, whose output the other tests build on. */
let first: Ended;

beforeAll(async () => {
  const colors = ["red", "green", "blue", "white"];
  const records = Array.from({ length: NUM_SAMPLES }, (_, i) => ({
    id: `sample-${i}`,
    source: i % 2 === 0 ? "even" : "odd",
    ...(i % 10 === 3 ? {} : { image: ["photo.png", "square.png"][i % 2] }),
    conversations: [
      { from: "human", value: `${i % 10 === 3 ? "" : "<image>\n"}What do you see, number ${i}?` },
      { from: "gpt", value: `It is ${colors[i % 4]}.` },
    ],
  }));
  writeFileSync(path.join(folder, "train.json"), JSON.stringify(records));
  writeFileSync(path.join(folder, "bad.json"), JSON.stringify([...records.slice(0, 10), { id: "lost", image: "nowhere.png", conversations: records[0]!.conversations }]));
  writeFileSync(
    config,
    `version: 1
name: job
source: { kind: llava_json, annotations: train.json, image_root: ${path.join(model, "images")}, split_samples: 8 }
model: { path: ${model} }
stages:
  - decode: {}
  - blur: {}
  - paired_inference: {}
  - token_delta: {}
  - quantile_threshold: { top_percent: 70 }
  - mask: {}
output: { path: out }
`,
  );
  first = await start(["run", config, "--metrics-file", "job.prom"]);
});

interface Ended {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function start(args: readonly string[]): Promise<Ended> {
  const child = spawn(process.execPath, [path.join(root, "bin", "pipeline.js"), ...args], { cwd: folder, stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, NO_COLOR: "1" } });
  const output = { stdout: "", stderr: "" };
  child.stdout.on("data", (bytes: Buffer) => (output.stdout += bytes.toString()));
  child.stderr.on("data", (bytes: Buffer) => (output.stderr += bytes.toString()));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (exitCode) => resolve({ exitCode, ...output }));
  });
}

const linesOf = ({ stderr }: Ended) => stderr.trim().split("\n").map((line) => JSON.parse(line) as Record<string, unknown>);
const manifestOf = (output: string) => JSON.parse(readFileSync(path.join(folder, output, "manifest.json"), "utf8")) as Record<string, unknown>;

describe("pipeline run", () => {
  it("leaves the output of the contract, JSON lines on stderr, metrics, and nothing on stdout", () => {
    expect(first.exitCode, first.stderr).toBe(0);
    expect(first.stdout).toBe("");
    const lines = linesOf(first);
    const manifest = manifestOf("out");
    for (const line of lines) expect(line).toMatchObject({ run_id: manifest["run_id"], job: "job" });
    expect(lines.filter((line) => line["event"] === "split_committed")).toHaveLength(NUM_SAMPLES / 8);
    expect(lines.at(-1)).toMatchObject({ event: "finished", exit_code: 0, up_to_date: false, counts: { num_read: NUM_SAMPLES, num_text_only: NUM_SAMPLES / 10 } });
    expect(readdirSync(path.join(folder, "out")).filter((name) => !name.startsWith("_work")).sort()).toEqual(["_SUCCESS", "manifest.json", "rejects", "report.html", "scores", "selection"]);
    const metrics = readFileSync(path.join(folder, "job.prom"), "utf8");
    expect(metrics).toContain('vig_pipeline_last_exit_code{name="job"} 0\n');
    expect(metrics).toContain('vig_pipeline_samples{name="job",outcome="text_only"} 12\n');
  });

  it("does nothing the second time, and says so", async () => {
    const before = readFileSync(path.join(folder, "out", "manifest.json"), "utf8");
    const ended = await start(["run", config, "--log-format", "text"]);
    expect(ended).toMatchObject({ exitCode: 0 });
    expect(ended.stdout).toMatch(/^nothing to do job: out is complete/);
    expect(readFileSync(path.join(folder, "out", "manifest.json"), "utf8")).toBe(before);
  });

  it("scores nothing again for another threshold", async () => {
    const ended = await start(["run", config, "--set", "quantile_threshold.top_percent=40"]);
    expect(ended.exitCode, ended.stderr).toBe(0);
    expect(linesOf(ended).filter((line) => line["event"] === "split_committed")).toEqual([]);
    expect(linesOf(ended).at(-1)).toMatchObject({ num_splits_reused: NUM_SAMPLES / 8 });
  });

  it("refuses an output of other scores and names the difference", async () => {
    const ended = await start(["run", config, "--set", "blur.sigma_px=3", "--log-format", "text"]);
    expect(ended.exitCode).toBe(2);
    expect(ended.stderr).toMatch(/sigma_px: was absent, now 3/);
    expect(ended.stderr).toContain("what to do:");
    expect(ended.stderr).not.toContain("    at ");
  });

  it("ends with 3 and without _SUCCESS where rejects exceed the limit", async () => {
    const ended = await start(["run", config, "--set", "source.annotations=bad.json", "--set", "output.path=rejected"]);
    expect(ended.exitCode, ended.stderr).toBe(3);
    expect(linesOf(ended).at(-1)).toMatchObject({ event: "finished", success: false, counts: { num_rejected: 1, rejects_by_code: { image_not_found: 1 } } });
    expect(existsSync(path.join(folder, "rejected", "_SUCCESS"))).toBe(false);
    expect(manifestOf("rejected")["success"]).toBe(false);
  });
});

describe("pipeline select", () => {
  it("makes a selection for each percentage from the scores alone", async () => {
    const ended = await start(["select", config, "--top", "30,50", "--log-format", "text"]);
    expect(ended.exitCode, ended.stderr).toBe(0);
    expect(readdirSync(path.join(folder, "out"))).toEqual(expect.arrayContaining(["selection", "selection@30", "selection@50", "_SUCCESS"]));
    const thresholds = manifestOf("out")["thresholds"] as { dataset: string; top_percent: number; k: number }[];
    const scored = NUM_SAMPLES - NUM_SAMPLES / 10;
    expect(thresholds.map(({ dataset, k }) => [dataset, k])).toEqual([
      ["selection", Math.ceil(0.4 * scored)],
      ["selection@30", Math.ceil(0.3 * scored)],
      ["selection@50", Math.ceil(0.5 * scored)],
    ]);
    expect(ended.stdout).toMatch(/^selection@30 /m);
  });

  it("says what to do where nothing was scored", async () => {
    const ended = await start(["select", config, "--top", "30", "--set", "output.path=nothing", "--log-format", "text"]);
    expect(ended.exitCode).toBe(2);
    expect(ended.stderr).toMatch(/what to do: run `pipeline run`/);
  });
});

describe("pipeline plan and doctor", () => {
  it("plan prints what a run would do, and writes nothing", async () => {
    const ended = await start(["plan", config, "--json", "--set", "output.path=planned"]);
    expect(ended.exitCode, ended.stderr).toBe(0);
    const plan = JSON.parse(ended.stdout) as Record<string, unknown>;
    expect(plan).toMatchObject({ input: { kind: "llava_json", num_splits: 15, num_records: NUM_SAMPLES }, resources: { num_workers: expect.any(Number) as unknown } });
    expect(plan["scores_hash"]).toBe(manifestOf("out")["scores_hash"]);
    expect(existsSync(path.join(folder, "planned"))).toBe(false);
  });

  it("doctor shows the model's graphs, its provider and the first scores", async () => {
    const ended = await start(["doctor", config, "--samples", "12"]);
    expect(ended.exitCode, ended.stderr).toBe(0);
    expect(ended.stdout).toMatch(/^provider {3}cpu/m);
    expect(ended.stdout).toMatch(/decoder_model_merged/);
    expect(ended.stdout).toMatch(/^sample-0 .* -?\d+\.\d{3,4} /m);
    expect(ended.stdout).toMatch(/^sample-3 +text-only$/m);
  });

  it("name what is missing", async () => {
    mkdirSync(path.join(folder, "empty-model"), { recursive: true });
    const ended = await start(["doctor", config, "--set", "model.path=empty-model"]);
    expect(ended.exitCode).toBe(2);
    expect(ended.stderr).toContain("onnx/vision_encoder.onnx");
    expect(ended.stderr).toContain("what to do:");
  });
});
