import { mkdtemp, readFile, rm, stat, utimes } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { RunReporter } from "../../src/cli/run-reporter.ts";
import { openRecordedSource } from "../../src/config/recorded-source.ts";
import type { RunSummary } from "../../src/core/plan.ts";
import type { ProgressEvent } from "../../src/core/progress.ts";
import type { Source } from "../../src/core/source.ts";
import { syntheticSamples, writeSyntheticRun } from "../report/synthetic-run.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), "run-reporter-"));
});
afterAll(() => rm(folder, { recursive: true }));

const RUN_ID = "00000000-0000-4000-8000-000000000000";

function reporter() {
  const events: ProgressEvent[] = [];
  const handles = { observer: { report: (event: ProgressEvent) => void events.push(event) }, signal: new AbortController().signal, run_id: RUN_ID };
  return { events, reporter: new RunReporter(handles, () => 1_000) };
}

const summaryOf = (output_path: string, up_to_date = false) => ({ output_path, up_to_date }) as RunSummary;

describe("the report of a run", () => {
  it("is written beside its data, with the run's timeline, and left alone where nothing was done", async () => {
    const run = await writeSyntheticRun(folder, { samples: syntheticSamples(50) });
    const manifest = JSON.parse(await readFile(path.join(run.path, "manifest.json"), "utf8")) as { input: Record<string, unknown> };
    const source = (await openRecordedSource(manifest.input))!;
    const { reporter: first, events } = reporter();
    first.observer.report({ event: "batch_scored", num_samples: 50, num_tokens: 400 });
    await first.write(summaryOf(run.path), source);
    expect(events.filter(({ event }) => event === "warning")).toEqual([]);
    const file = path.join(run.path, "report.html");
    const timeline = JSON.parse(await readFile(path.join(run.path, "_work", "timeline.json"), "utf8")) as { points: { num_tokens: number }[] };
    expect(timeline.points.at(-1)?.num_tokens).toBe(400);
    const { mtimeMs } = await stat(file);
    await reporter().reporter.write(summaryOf(run.path, true), source);
    expect((await stat(file)).mtimeMs).toBe(mtimeMs);
    // A run that was killed between its manifest and its page.
    await utimes(path.join(run.path, "manifest.json"), new Date(mtimeMs + 5_000), new Date(mtimeMs + 5_000));
    await reporter().reporter.write(summaryOf(run.path, true), source);
    expect((await stat(file)).mtimeMs).not.toBe(mtimeMs);
  });

  it("never fails the run: what goes wrong is a warning", async () => {
    const { reporter: broken, events } = reporter();
    await broken.write(summaryOf(path.join(folder, "nowhere")), {} as Source);
    expect(events).toMatchObject([{ event: "warning", code: "report", message: expect.stringContaining("report.html was not written") as string }]);
  });
});
