/** Shards and their merge, with the command as users run it: the merged folder is byte for byte an unsharded run's. */
import { appendFileSync, cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { dataFiles, type Ended, lastingManifest, makeJob, pipeline, run, type StartOptions, whenStopped } from "./job.ts";

// Up to ten commands a test, on machines that do something else, too.
vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 });

const folders: string[] = [];
/** 24 samples in 6 splits; sample 5 is a reject. */
const job = (): string => keep(makeJob({ split_samples: 4 }));
const keep = (folder: string): string => (folders.push(folder), folder);
const shard = (folder: string, name: string, options: StartOptions = {}, more: readonly string[] = []): Promise<Ended> => run(folder, options, ["--shard", name, ...more]);
const merge = (folder: string, more: readonly string[] = []): Promise<Ended> => pipeline(folder, ["merge", "job.yaml", ...more]);
const out = (folder: string): string => path.join(folder, "out");
const journal = (folder: string, name: string): string => path.join(out(folder), "_work", "shards", name, "journal.jsonl");

let whole: string;
/** Both shards of two are done, nothing is merged. */
let sharded: string;

async function copyOf(folder: string): Promise<string> {
  const copy = keep(mkdtempSync(path.join(tmpdir(), "vig-shards-")));
  cpSync(folder, copy, { recursive: true });
  return Promise.resolve(copy);
}

function expectSameAsWhole(folder: string): void {
  expect(dataFiles(out(folder))).toEqual(dataFiles(out(whole)));
  expect(comparable(out(folder))).toEqual(comparable(out(whole)));
}

/** Without the places of files. */
function comparable(output: string): Record<string, unknown> {
  const { input, ...rest } = lastingManifest(output);
  const { digest, num_splits, num_records } = input as Record<string, unknown>;
  return { ...rest, input: { digest, num_splits, num_records } };
}

beforeAll(async () => {
  whole = job();
  sharded = job();
  // At the same time: each has a lock of its own.
  const [ran, ...shards] = await Promise.all([run(whole), shard(sharded, "0/2"), shard(sharded, "1/2")]);
  for (const ended of [ran, ...shards]) expect(ended, ended.stderr).toMatchObject({ exit_code: 0 });
});

afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

describe("shards and merge", () => {
  it("write what an unsharded run writes, to the byte, and do nothing the second time", async () => {
    const folder = await copyOf(sharded);
    expect(existsSync(path.join(out(folder), "scores"))).toBe(false);
    const merged = await merge(folder);
    expect(merged, merged.stderr).toMatchObject({ exit_code: 0 });
    expectSameAsWhole(folder);
    const text = readFileSync(path.join(out(folder), "manifest.json"), "utf8");
    const manifest = JSON.parse(text) as { shards: unknown[]; model: Record<string, unknown>; inference: { num_positions: number } };
    expect(manifest.shards).toMatchObject([{ index: 0, count: 2, num_splits: 3 }, { index: 1, count: 2, num_splits: 3 }]);
    expect(manifest.model["execution_provider"]).toBe("cpu");
    expect(manifest.inference.num_positions).toBeGreaterThan(0);
    expect(existsSync(path.join(out(folder), "_work", "shards"))).toBe(false);

    const rerun = await shard(folder, "1/2", {}, ["--log-format", "text"]);
    expect(rerun).toMatchObject({ exit_code: 0, stdout: expect.stringContaining("nothing to do shard 1/2 of job") as string });
    expect((await merge(folder, ["--log-format", "text"])).stdout).toContain("nothing to do");
    expectSameAsWhole(folder);
    expect(readFileSync(path.join(out(folder), "manifest.json"), "utf8")).toBe(text);
  });

  it("take rows that are appended to a finished run, by any number of shards", async () => {
    const folder = await copyOf(whole);
    const more = keep(makeJob({ split_samples: 4, num_samples: 31 }));
    cpSync(path.join(more, "train.json"), path.join(folder, "train.json"));
    expect(await merge(folder)).toMatchObject({ exit_code: 2, stderr: expect.stringContaining("2 of 8 splits are not scored") as string });
    for (const name of ["0/3", "1/3", "2/3"]) expect(await shard(folder, name)).toMatchObject({ exit_code: 0 });
    expect(await merge(folder)).toMatchObject({ exit_code: 0 });
    await run(more);
    expect(dataFiles(out(folder))).toEqual(dataFiles(out(more)));
  });

  it("leave the rest to a plain run, which continues from the shards", async () => {
    const folder = job();
    await shard(folder, "1/3");
    const ended = await run(folder, {}, ["--log-format", "text"]);
    expect(ended.stdout).toContain("2 of 6 splits were scored before");
    expectSameAsWhole(folder);
  });

  it("may be more than there are splits", async () => {
    const folder = keep(makeJob({ split_samples: 24 }));
    for (const name of ["0/2", "1/2"]) expect(await shard(folder, name)).toMatchObject({ exit_code: 0 });
    expect(await merge(folder)).toMatchObject({ exit_code: 0 });
    const unsharded = keep(makeJob({ split_samples: 24 }));
    await run(unsharded);
    expect(dataFiles(out(folder))).toEqual(dataFiles(out(unsharded)));
  });

  it("judge rejects at the merge alone", async () => {
    const folder = await copyOf(sharded);
    const strict = ["--set", "max_reject_fraction=0.01"];
    expect(await shard(folder, "1/2", {}, strict)).toMatchObject({ exit_code: 0 });
    expect(await merge(folder, strict)).toMatchObject({ exit_code: 3 });
    expect(await shard(folder, "1/2", {}, ["--retry-rejects"])).toMatchObject({ exit_code: 0 });
    expect(await merge(folder)).toMatchObject({ exit_code: 0 });
    expectSameAsWhole(folder);
  });
});

describe("what goes wrong names the shard", () => {
  const refusal = async (ended: Promise<Ended>): Promise<string> => {
    const { exit_code, stderr } = await ended;
    expect(exit_code).toBe(2);
    return stderr;
  };

  it("missing and unfinished shards", async () => {
    const folder = job();
    expect(await refusal(merge(folder))).toContain("no shard has been run there");
    await shard(folder, "0/3");
    expect(await shard(folder, "2/3", { fault: "kill 2 append journal.jsonl" })).toMatchObject({ signal: "SIGKILL" });
    expect(await refusal(merge(folder))).toMatch(/3 of 6 splits are not scored: shard 1\/3 has not been run; shard 2\/3 is not finished \(1 splits are missing\)/);
    expect(existsSync(path.join(out(folder), "_SUCCESS"))).toBe(false);
    // What the failed merge took in is not scored again.
    expect((await shard(folder, "2/3", {}, ["--log-format", "text"])).stdout).toContain("its 2 splits are scored, 1 of them before");
    await shard(folder, "1/3");
    expect(await merge(folder)).toMatchObject({ exit_code: 0 });
    expectSameAsWhole(folder);
  });

  it("another number of shards", async () => {
    const folder = await copyOf(sharded);
    expect(await refusal(shard(folder, "2/3"))).toMatch(/shard 2\/3: .*out is being made by 2 shards, of which 0\/2 has been begun/);
    expect(readdirSync(path.join(out(folder), "_work", "shards")).sort()).toEqual(["0-of-2", "1-of-2"]);
  });

  it("another plan than the folder's, than the shard's own, than the merge's", async () => {
    const folder = await copyOf(whole);
    const changed = ["--set", "blur.sigma_px=9"];
    const fresh = [...changed, "--fresh"];
    expect(await refusal(shard(folder, "0/2", {}, changed))).toContain("--fresh");
    expect(await shard(folder, "1/2", {}, fresh)).toMatchObject({ exit_code: 0 });
    expect(await refusal(shard(folder, "1/2"))).toMatch(/shard 1\/2 of .*were made by another plan/);
    expect(await refusal(merge(folder))).toMatch(/shard 1\/2 of .*were made by another plan(.|\n)*sigma_px/);
    expect(await shard(folder, "0/2", {}, fresh)).toMatchObject({ exit_code: 0 });
    expectSameAsWhole(folder); // untouched until all of its shards began with --fresh and are merged
    expect(await merge(folder, changed)).toMatchObject({ exit_code: 0 });
    const other = job();
    await run(other, {}, changed);
    expect(dataFiles(out(folder))).toEqual(dataFiles(out(other)));
    expect(dataFiles(out(folder))).not.toEqual(dataFiles(out(whole)));
  });

  it("a staged file that is damaged: its split is scored again", async () => {
    const folder = await copyOf(sharded);
    const staged = path.join(out(folder), "_work", "splits");
    appendFileSync(path.join(staged, readdirSync(staged).find((name) => name.endsWith(".scores.arrow"))!), "x");
    const [, name] = /shard ([01]\/2) is not finished \(1 splits are missing\)/.exec(await refusal(merge(folder)))!;
    await shard(folder, name!);
    expect(await merge(folder)).toMatchObject({ exit_code: 0 });
    expectSameAsWhole(folder);
  });

  it("a torn journal loses its last line alone", async () => {
    const folder = await copyOf(sharded);
    const file = journal(folder, "0-of-2");
    writeFileSync(file, readFileSync(file).subarray(0, -10));
    expect((await shard(folder, "0/2", {}, ["--log-format", "text"])).stdout).toContain("3 splits are scored, 2 of them before");
    expect(await merge(folder)).toMatchObject({ exit_code: 0 });
    expectSameAsWhole(folder);
  });
});

describe.skipIf(process.platform !== "linux")("two at once", () => {
  /** Runs `work` while the shard is being scored. */
  async function during<T>(folder: string, name: string, work: () => Promise<T>): Promise<{ done: T; ended: Ended }> {
    let ending: Promise<Ended> | undefined;
    const pid = await new Promise<number>((resolve) => void (ending = shard(folder, name, whenStopped("1 append journal.jsonl", resolve))));
    try {
      const done = await work();
      process.kill(pid, "SIGCONT");
      return { done, ended: await ending! };
    } catch (error) {
      process.kill(pid, "SIGKILL");
      throw error;
    }
  }

  it("other shards go on; the same shard, a whole run and the merge are refused", async () => {
    const folder = job();
    const { done, ended } = await during(folder, "0/2", async () => [await shard(folder, "0/2"), await run(folder), await merge(folder), await shard(folder, "1/2")]);
    expect(done.map(({ exit_code }) => exit_code)).toEqual([75, 75, 75, 0]);
    for (const refused of done.slice(0, 3)) expect(refused.stderr).toMatch(/shard 0\/2 of .*out is held by process \d+/);
    expect(ended).toMatchObject({ exit_code: 0 });
    expect(await merge(folder)).toMatchObject({ exit_code: 0 });
    expectSameAsWhole(folder);
  });
});

describe("killed at one point after the other", () => {
  it("a merge ends what the ones before it began", async () => {
    const folder = await copyOf(sharded);
    for (const fault of [
      "kill 1 append journal.jsonl", "tear 1 append journal.jsonl", "kill 2 append _work/journal.jsonl", "kill 1 rename writing.tmp",
      "kill 1 rename manifest.json.tmp", "kill 1 rename _SUCCESS.tmp", "kill 1 remove 0-of-2", "kill 1 remove 1-of-2", "kill 1 remove _work/shards$",
    ]) {
      expect(await pipeline(folder, ["merge", "job.yaml"], { fault }), fault).toMatchObject({ signal: "SIGKILL" });
    }
    const ended = await merge(folder);
    expect(ended, ended.stderr).toMatchObject({ exit_code: 0 });
    expectSameAsWhole(folder);
    expect(existsSync(path.join(out(folder), "_work", "shards"))).toBe(false);
  });

  it("a shard continues", async () => {
    const folder = job();
    for (const fault of ["kill 1 sync splits", "tear 2 append journal.jsonl", "kill 1 write report.json"]) {
      expect(await shard(folder, "0/2", { fault }), fault).toMatchObject({ signal: "SIGKILL" });
    }
    for (const name of ["0/2", "1/2"]) expect(await shard(folder, name)).toMatchObject({ exit_code: 0 });
    expect(await merge(folder)).toMatchObject({ exit_code: 0 });
    expectSameAsWhole(folder);
  });
});
