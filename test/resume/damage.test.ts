/** What else a folder meets over months of cron: damage, full disks, changed plans, mended inputs. */
import { execFileSync } from "node:child_process";
import { appendFileSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { dataFiles, lastingManifest, logLines, makeJob, pipeline, run, TINY_MODEL } from "./job.ts";

const folder = makeJob();
const undisturbed = path.join(folder, "undisturbed");
const into = (output: string): string[] => ["--set", `output.path=${output}`];

beforeAll(async () => {
  const ended = await run(folder, {}, into("undisturbed"));
  expect(ended.exit_code, ended.stderr).toBe(0);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A copy of the finished folder, to be damaged. */
function copy(name: string): string {
  const output = path.join(folder, name);
  cpSync(undisturbed, output, { recursive: true });
  return output;
}

function flipByte(file: string): void {
  const bytes = readFileSync(file);
  bytes[bytes.length >> 1]! ^= 0x10;
  writeFileSync(file, bytes);
}

// Each test runs the command several times.
vi.setConfig({ testTimeout: 240_000 });

describe("a finished folder", () => {
  it("whose part is damaged is not taken for whole: select refuses it, run does again what it held", async () => {
    const output = copy("flipped");
    flipByte(path.join(output, "scores", "part-00000.parquet"));
    const selecting = await pipeline(folder, ["select", "job.yaml", "--top", "30", ...into("flipped")]);
    expect(selecting.exit_code, selecting.stderr).toBe(1);
    expect(String(logLines(selecting).at(-1)!["reason"])).toMatch(/part-00000\.parquet is damaged/);
    expect(dataFiles(output)["_SUCCESS"]).toBeUndefined();
    const ended = await run(folder, {}, into("flipped"));
    expect(ended.exit_code, ended.stderr).toBe(0);
    expect(logLines(ended).filter((line) => line["code"] === "part_damaged")).toHaveLength(1);
    expect(logLines(ended).at(-1)).toMatchObject({ num_splits_reused: 0 });
    expect(dataFiles(output)).toEqual(dataFiles(undisturbed));
  });

  it("that lacks a part is not taken for whole either", async () => {
    const output = copy("lacking");
    rmSync(path.join(output, "scores", "part-00000.parquet"));
    const selecting = await pipeline(folder, ["select", "job.yaml", "--top", "30", ...into("lacking")]);
    expect(selecting.exit_code, selecting.stderr).toBe(1);
    expect(String(logLines(selecting).at(-1)!["reason"])).toMatch(/has 0 samples where its manifest says 23/);
    const ended = await run(folder, {}, into("lacking"));
    expect(ended.exit_code, ended.stderr).toBe(0);
    expect(dataFiles(output)).toEqual(dataFiles(undisturbed));
  });

  it("whose selections or rejects are damaged, missing or added to gets them again from its scores", async () => {
    const output = copy("selections");
    const selected = await pipeline(folder, ["select", "job.yaml", "--top", "30", ...into("selections")]);
    expect(selected.exit_code, selected.stderr).toBe(0);
    const whole = dataFiles(output);
    expect(logLines(await run(folder, {}, into("selections"))).at(-1)).toMatchObject({ exit_code: 0, up_to_date: true });
    flipByte(path.join(output, "selection", "part-00000.parquet"));
    rmSync(path.join(output, "selection@30"), { recursive: true });
    cpSync(path.join(output, "rejects", "part-00000.parquet"), path.join(output, "rejects", "part-00001.parquet"));
    const ended = await run(folder, {}, into("selections"));
    expect(ended.exit_code, ended.stderr).toBe(0);
    const damaged = logLines(ended).filter((line) => line["code"] === "part_damaged");
    expect(damaged.map((line) => /selections\/(\S+) is not as it was written/.exec(String(line["msg"]))?.[1])).toEqual([
      "rejects/part-00001.parquet",
      "selection/part-00000.parquet",
      "selection@30/part-00000.parquet",
    ]);
    expect(logLines(ended).at(-1)).toMatchObject({ num_splits_reused: 3, up_to_date: false });
    expect(dataFiles(output)).toEqual(whole);
    expect(logLines(await run(folder, {}, into("selections"))).at(-1)).toMatchObject({ exit_code: 0, up_to_date: true });
  });

  it("of another plan is refused with the difference named, and started over with --fresh alone", async () => {
    copy("changed");
    const changes = [...into("changed"), "--set", "blur.sigma_fraction=0.3"];
    const refused = await run(folder, {}, changes);
    expect(refused.exit_code, refused.stderr).toBe(2);
    expect(String(logLines(refused).at(-1)!["reason"])).toMatch(/sigma_fraction: was 0\.28, now 0\.3/);
    expect(dataFiles(path.join(folder, "changed"))).toEqual(dataFiles(undisturbed));
    const fresh = await run(folder, {}, [...changes, "--fresh"]);
    expect(fresh.exit_code, fresh.stderr).toBe(0);
    expect(logLines(fresh).at(-1)).toMatchObject({ num_splits_reused: 0 });
    expect(dataFiles(path.join(folder, "changed"))).not.toEqual(dataFiles(undisturbed));
  });
});

describe("an unfinished folder", () => {
  it("whose staged split is damaged and whose journal ends in half a line does those splits again", async () => {
    const killed = await run(folder, { fault: "kill 1 rename parts/writing.tmp" }, into("staged"));
    expect(killed.signal, killed.stderr).toBe("SIGKILL");
    const work = path.join(folder, "staged", "_work");
    flipByte(path.join(work, "splits", readdirSync(path.join(work, "splits")).find((name) => name.endsWith("scores.arrow"))!));
    truncateSync(path.join(work, "journal.jsonl"), statSync(path.join(work, "journal.jsonl")).size - 40);
    const ended = await run(folder, {}, into("staged"));
    expect(ended.exit_code, ended.stderr).toBe(0);
    expect(logLines(ended).at(-1)!["num_splits_reused"]).toBeLessThanOrEqual(2);
    expect(dataFiles(path.join(folder, "staged"))).toEqual(dataFiles(undisturbed));
  });
});

describe("a disk", () => {
  /** Enough for the scores and not for the rest. */
  const mount = (target: string, options: string): void => void execFileSync("mount", ["-t", "tmpfs", "-o", options, "tmpfs", target], { stdio: "ignore" });

  it("that is full ends the run with what to do; with room the run goes on", async (context) => {
    const small = path.join(folder, "small");
    mkdirSync(small);
    try {
      mount(small, "size=24k");
    } catch {
      return context.skip("mounting needs root");
    }
    onTestFinished(() => void execFileSync("umount", ["-l", small]));
    const full = await run(folder, {}, into("small/out"));
    expect(full.exit_code, full.stderr).toBe(1);
    expect(String(logLines(full).at(-1)!["reason"])).toMatch(/the disk is full \(ENOSPC\)/);
    expect(dataFiles(path.join(small, "out"))["_SUCCESS"]).toBeUndefined();
    execFileSync("mount", ["-o", "remount,size=8m", small]);
    const ended = await run(folder, {}, into("small/out"));
    expect(ended.exit_code, ended.stderr).toBe(0);
    expect(dataFiles(path.join(small, "out"))).toEqual(dataFiles(undisturbed));
    execFileSync("mount", ["-o", "remount,ro", small]);
    const read_only = await run(folder, {}, into("small/out"));
    expect(read_only.exit_code, read_only.stderr).toBe(2);
    expect(String(logLines(read_only).at(-1)!["reason"])).toMatch(/read-only/);
  });
});

describe("--retry-rejects", () => {
  it("after the input was mended gives what a run over the mended input gives", async () => {
    const mended = makeJob();
    onTestFinished(() => rmSync(mended, { recursive: true, force: true }));
    const images = path.join(mended, "images");
    cpSync(path.join(TINY_MODEL, "images"), images, { recursive: true });
    const with_images = ["--set", "source.image_root=images"];
    const first = await run(mended, {}, with_images);
    expect(logLines(first).at(-1)).toMatchObject({ exit_code: 0, counts: { rejects_by_code: { image_not_found: 1 } } });
    cpSync(path.join(images, "photo.png"), path.join(images, "nowhere.png"));
    const killed = await run(mended, { fault: "kill 1 append journal.jsonl" }, [...with_images, "--retry-rejects"]);
    expect(killed.signal, killed.stderr).toBe("SIGKILL");
    const retried = await run(mended, {}, [...with_images, "--retry-rejects"]);
    expect(logLines(retried).at(-1)).toMatchObject({ exit_code: 0, num_splits_reused: 2, counts: { num_rejected: 0 } });

    const expected = await run(mended, {}, [...with_images, ...into("expected")]);
    expect(expected.exit_code, expected.stderr).toBe(0);
    expect(dataFiles(path.join(mended, "out"))).toEqual(dataFiles(path.join(mended, "expected")));
    expect(lastingManifest(path.join(mended, "out"))).toEqual(lastingManifest(path.join(mended, "expected")));
  });
});

describe("--check-images", () => {
  it("scores again what shows an image that changed under its name, and nothing else", async () => {
    const changing = makeJob({ num_samples: 24, with_reject: false });
    onTestFinished(() => rmSync(changing, { recursive: true, force: true }));
    const images = path.join(changing, "images");
    cpSync(path.join(TINY_MODEL, "images"), images, { recursive: true });
    const records = JSON.parse(readFileSync(path.join(changing, "train.json"), "utf8")) as { image?: string }[];
    for (const record of records.slice(0, 16)) if (record.image) record.image = "square.png";
    writeFileSync(path.join(changing, "train.json"), JSON.stringify(records));
    const with_images = ["--set", "source.image_root=images"];
    expect((await run(changing, {}, with_images)).exit_code).toBe(0);
    const unchanged = await run(changing, {}, [...with_images, "--check-images"]);
    expect(logLines(unchanged).at(-1)).toMatchObject({ exit_code: 0, up_to_date: true });

    cpSync(path.join(images, "wide.png"), path.join(images, "photo.png")); // shown by the third split alone
    const changed = await run(changing, {}, [...with_images, "--check-images"]);
    expect(logLines(changed).at(-1)).toMatchObject({ exit_code: 0, num_splits: 3, num_splits_reused: 2 });
    expect(logLines(changed).filter((line) => line["code"] === "images_changed")).toHaveLength(1);
    const expected = await run(changing, {}, [...with_images, ...into("expected")]);
    expect(expected.exit_code, expected.stderr).toBe(0);
    expect(dataFiles(path.join(changing, "out"))).toEqual(dataFiles(path.join(changing, "expected")));
  });
});

describe("an input that grows", () => {
  it("keeps its scores; when it shrinks, no selection of other scores stays", async () => {
    const growing = makeJob({ num_samples: 16 });
    onTestFinished(() => rmSync(growing, { recursive: true, force: true }));
    expect((await run(growing)).exit_code).toBe(0);
    const records = JSON.parse(readFileSync(path.join(growing, "train.json"), "utf8")) as object[];
    const more = records.slice(0, 8).map((record, i) => ({ ...record, id: `more-${i}` }));
    writeFileSync(path.join(growing, "train.json"), JSON.stringify([...records, ...more]));
    const grown = await run(growing);
    expect(logLines(grown).at(-1)).toMatchObject({ exit_code: 0, num_splits: 3, num_splits_reused: 2 });
    expect((await pipeline(growing, ["select", "job.yaml", "--top", "30"])).exit_code).toBe(0);
    expect(Object.keys(dataFiles(path.join(growing, "out")))).toContain("selection@30/part-00000.parquet");
    writeFileSync(path.join(growing, "train.json"), JSON.stringify(records));
    expect(logLines(await run(growing)).at(-1)).toMatchObject({ exit_code: 0, num_splits: 2, num_splits_reused: 2 });
    expect(Object.keys(dataFiles(path.join(growing, "out"))), "a selection of other scores").not.toContain("selection@30/part-00000.parquet");
    appendFileSync(path.join(growing, "out", "_work", "journal.jsonl"), "\0\0\0\0");
    expect(logLines(await run(growing)).at(-1)).toMatchObject({ exit_code: 0, up_to_date: true });
  });
});
