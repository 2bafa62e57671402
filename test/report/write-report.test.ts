import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openRecordedSource } from "../../src/config/recorded-source.ts";
import { PlanError } from "../../src/core/errors.ts";
import { writeReport } from "../../src/report/write-report.ts";
import { type SyntheticSample, syntheticSamples, writeSyntheticRun } from "./synthetic-run.ts";

const HOSTILE = `</script><script>window.hacked=1</script><img src=x onerror="hacked=1">"'&\u2028\u202e`;
const { signal } = new AbortController();

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), "report-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function report(name: string, options: Parameters<typeof writeSyntheticRun>[1]) {
  const run = await writeSyntheticRun(path.join(folder, name), options);
  const written = await writeReport({ outputPath: run.path, openSource: openRecordedSource, signal });
  return { run, written, page: await readFile(written.path, "utf8") };
}

function dataOf(page: string): { samples: { id: string; pictures: (number | string)[]; groups: string[]; images: string[] }[]; pictures: unknown[]; tau: number[]; run: number } {
  return JSON.parse(/<script type="application\/json" id="data">(.*?)<\/script>/s.exec(page)![1]!) as ReturnType<typeof dataOf>;
}

describe("the report", () => {
  it("is one file that needs no other, with a policy that allows exactly its own style and script", async () => {
    const { page, written, run } = await report("plain", { samples: syntheticSamples(600), rejects: [{ sample_id: "bad", code: "image_corrupt", message: "VipsJpeg: premature end" }] });
    expect(written.path).toBe(path.join(run.path, "report.html"));
    expect(written.num_pictures).toBe(24);
    expect(/(?:src|href)="(?!#|data:)/.exec(page)?.[0]).toBeUndefined();
    expect(/\sstyle="|@import|url\((?!#)/.exec(page)?.[0]).toBeUndefined();
    const policy = /Content-Security-Policy" content="([^"]*)"/.exec(page)![1]!.replaceAll("&#39;", "'");
    const digest = (text: string): string => createHash("sha256").update(text).digest("base64");
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain(`style-src 'sha256-${digest(/<style>(.*?)<\/style>/s.exec(page)![1]!)}'`);
    expect(policy).toContain(`script-src 'sha256-${digest(/<script>(.*?)<\/script>/s.exec(page)![1]!)}'`);
    expect(page.match(/<style/g)).toHaveLength(1);
    for (const text of ["VipsJpeg: premature end", "restore the file"]) expect(page.includes(text), text).toBe(true);
  });

  it("is the same for the same run", async () => {
    const [a, b] = [await report("same-a", { samples: syntheticSamples(200) }), await report("same-b", { samples: syntheticSamples(200) })];
    expect(a.page.replaceAll("same-a", "") === b.page.replaceAll("same-b", "")).toBe(true);
  });

  it("shows each group, and a picture for each image that is there", async () => {
    const { samples, pictures } = dataOf((await report("groups", { samples: syntheticSamples(500) })).page);
    for (const group of ["highest", "lowest", "median", "contradicted"]) expect(samples.filter(({ groups }) => groups.includes(group)), group).toHaveLength(12);
    expect(samples.filter(({ groups }) => groups.includes("random"))).toHaveLength(160);
    for (const sample of samples) expect(sample.pictures.every((picture) => typeof picture === "number" && picture < pictures.length)).toBe(true);
  });

  it("leaves hostile text as text", async () => {
    const samples = syntheticSamples(60).map((sample, i): SyntheticSample => ({
      ...sample,
      sample_id: `${HOSTILE}${i}`,
      source: HOSTILE,
      messages: [
        { role: "user", content: HOSTILE },
        { role: "assistant", content: HOSTILE },
      ],
      tokens: [{ text: HOSTILE, vig: 1 + i / 100, nll_image: 1 }, ...sample.tokens],
    }));
    const { page } = await report("hostile", { samples, rejects: [{ sample_id: HOSTILE, code: "malformed_record", message: HOSTILE }], manifest: { name: HOSTILE, warnings: [{ code: "model", message: HOSTILE }] } });
    for (const markup of ["<script>window", "<img src=x", "\u202e"]) expect(page.includes(markup), markup).toBe(false);
    expect(page.match(/<script/g)).toHaveLength(2);
    expect(dataOf(page).samples[0]!.id).toContain("</script><script>window.hacked=1");
  });

  it("stays below 5 MB where every sample is huge", async () => {
    const long = Array.from({ length: 2_000 }, (_, i) => ({ text: ` word${i}`, vig: Math.sin(i), nll_image: 1 }));
    const samples = syntheticSamples(260).map((sample, i): SyntheticSample => ({
      ...sample,
      source: `source ${i} ${"s".repeat(5_000)}`,
      messages: [
        { role: "user", content: "?".repeat(50_000) },
        { role: "assistant", content: long.map(({ text }) => text).join("") },
      ],
      tokens: long,
    }));
    const { written } = await report("huge", { samples });
    expect(written.num_bytes).toBeLessThan(5_000_000);
  }, 240_000);

  it("says so where the images are gone", async () => {
    const { page, written } = await report("gone", { samples: syntheticSamples(80), with_images: false });
    expect(written.num_pictures).toBe(0);
    expect(dataOf(page).samples.find(({ images }) => images.length > 0)!.pictures[0]).toMatch(/image_root .* can't be opened/);
  });

  it("works where the manifest names no source", async () => {
    const { page } = await report("unknown-source", { samples: syntheticSamples(80), manifest: { input: {} } });
    expect(dataOf(page).samples.find(({ images }) => images.length > 0)!.pictures[0]).toMatch(/does not say/);
  });

  it.each([
    ["no sample has an image", syntheticSamples(400).filter(({ images }) => images.length === 0)],
    ["there is one sample", syntheticSamples(1)],
    ["there is none", []],
  ])("is written where %s", async (name, samples) => {
    const { page } = await report(name, { samples });
    expect(page.trimEnd().endsWith("</html>")).toBe(true);
  });

  it("changes nothing else in the folder", async () => {
    const { run } = await report("untouched", { samples: syntheticSamples(50) });
    const before = await listing(run.path);
    await writeReport({ outputPath: run.path, openSource: openRecordedSource, file: path.join(folder, "elsewhere.html"), signal });
    expect(await listing(run.path)).toEqual(before);
    expect((await stat(path.join(folder, "elsewhere.html"))).size).toBeGreaterThan(10_000);
  });

  it("refuses a folder without a finished run, and a manifest that is none", async () => {
    await expect(writeReport({ outputPath: folder, openSource: openRecordedSource, signal })).rejects.toThrow(PlanError);
    const { run } = await report("damaged", { samples: syntheticSamples(5) });
    await writeFile(path.join(run.path, "manifest.json"), '{"name": 1}');
    await expect(writeReport({ outputPath: run.path, openSource: openRecordedSource, signal })).rejects.toThrow(/manifest\.json: name/);
  });
});

async function listing(root: string): Promise<string[]> {
  const names = await readdir(root, { recursive: true });
  return Promise.all(names.sort().map(async (name) => `${name} ${(await stat(path.join(root, name))).mtimeMs}`));
}

describe("samples asked for", () => {
  it("come first, beside those that the page shows anyway", async () => {
    const run = await writeSyntheticRun(path.join(folder, "asked"), { samples: syntheticSamples(500) });
    const file = path.join(folder, "asked.html");
    const plain = await writeReport({ outputPath: run.path, openSource: openRecordedSource, file, signal });
    const shown = new Set(dataOf(await readFile(plain.path, "utf8")).samples.map(({ id }) => id));
    const hidden = syntheticSamples(500).map((sample) => sample.sample_id).filter((id) => !shown.has(id)).slice(0, 2);
    expect(hidden).toHaveLength(2);
    const samples = [hidden[1]!, hidden[0]!];
    await writeReport({ outputPath: run.path, openSource: openRecordedSource, samples, file, signal });
    const page = dataOf(await readFile(file, "utf8"));
    expect(page.samples.slice(0, 2).map(({ id, groups }) => ({ id, groups }))).toEqual(samples.map((id) => ({ id, groups: ["asked"] })));
    expect(page.samples.length).toBeGreaterThan(shown.size);
  });

  it("are named where the run has not scored them", async () => {
    const run = await writeSyntheticRun(path.join(folder, "unknown"), { samples: syntheticSamples(20) });
    await expect(writeReport({ outputPath: run.path, openSource: openRecordedSource, samples: ["nobody"], signal })).rejects.toThrow(/no such sample in .*: nobody/);
  });
});
