/**
 * SIGKILL at every kind of boundary, each in the folder that the one before left: what comes out in the end is what an
 * undisturbed run writes. (test/io/output/crash.test.ts stands at every single step, in one process; bench/faults
 * kills some hundred times.)
 */
import { existsSync, rmSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { dataFiles, lastingManifest, logLines, makeJob, run } from "./job.ts";

const folder = makeJob();
const out = path.join(folder, "out");
const undisturbed = path.join(folder, "undisturbed");
const undisturbed40 = path.join(folder, "undisturbed40");
const TOP_40 = ["--set", "quantile_threshold.top_percent=40"];

beforeAll(async () => {
  const first = await run(folder, {}, ["--set", "output.path=undisturbed"]);
  expect(first.exit_code, first.stderr).toBe(0);
  const second = await run(folder, {}, ["--set", "output.path=undisturbed40", ...TOP_40]);
  expect(second.exit_code, second.stderr).toBe(0);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

vi.setConfig({ testTimeout: 120_000 });

/** In the order of the protocol: each is reached by the run that continues behind the one before. */
const BOUNDARIES = [
  ["the lock is half written", "tear 1 rename _work/lock-"],
  ["a split's scores are half written", "tear 1 rename scores.arrow.tmp"],
  ["a split's scores are renamed, and no line is in the journal", "kill 1 append journal.jsonl"],
  ["the journal's line is half written", "tear 2 append journal.jsonl"],
  ["the journal's line is written and not synced", "kill 1 sync journal.jsonl"],
  ["a part is half written", "tear 1 rename parts/writing.tmp"],
  ["a part is renamed, and no line is in the journal", "kill 1 append journal.jsonl"],
  ["a part is in the journal, and its splits are staged still", "kill 2 remove scores.arrow"],
  ["all parts are made, and scores/ is empty", "kill 1 rename .part"],
  ["scores/ has its parts, and rejects/ is not there", "kill 1 rename datasets/rejects part-00000.parquet.tmp"],
  ["between scores and selection", "kill 1 remove datasets/selection"],
  ["a part of the selection is half written", "tear 1 rename datasets/selection part-00000.parquet.tmp"],
  ["the selection is whole, and not in its place", "kill 1 rename out/selection$"],
  ["the manifest is half written", "tear 1 rename manifest.json.tmp"],
  ["the selection is moved in, and the folder is not synced", "kill 2 sync /out$"],
  ["the manifest is there, and _SUCCESS is not", "kill 1 write _SUCCESS.tmp"],
  ["_SUCCESS has its temporary name", "kill 1 rename _SUCCESS.tmp"],
] as const;

describe("a run that is killed where", () => {
  it.each(BOUNDARIES)("%s, leaves nothing that looks whole", async (_, fault) => {
    const ended = await run(folder, { fault });
    expect(ended.signal, ended.stderr).toBe("SIGKILL");
    expect(existsSync(path.join(out, "_SUCCESS"))).toBe(false);
    const expected = dataFiles(undisturbed);
    for (const [name, digest] of Object.entries(dataFiles(out))) if (name.endsWith(".parquet")) expect(digest, name).toBe(expected[name]);
  });

  it("ends, when it may, as if nothing had been, and scores no committed split again", async () => {
    const ended = await run(folder);
    expect(ended.exit_code, ended.stderr).toBe(0);
    expect(logLines(ended).at(-1)).toMatchObject({ event: "finished", num_splits: 3, num_splits_reused: 3 });
    expect(dataFiles(out)).toEqual(dataFiles(undisturbed));
    expect(lastingManifest(out)).toEqual(lastingManifest(undisturbed));
  });

  it.each([
    ["the old _SUCCESS is gone and nothing is changed yet", "kill 1 sync /out$"],
    ["the old selection is moved away and the new one is not in its place", "kill 2 rename selection"],
    ["the new selection stands beside the old manifest", "kill 1 write manifest.json.tmp"],
  ])("%s, for another threshold, is not taken for finished", async (_, fault) => {
    const ended = await run(folder, { fault }, TOP_40);
    expect(ended.signal, ended.stderr).toBe("SIGKILL");
    expect(existsSync(path.join(out, "_SUCCESS"))).toBe(false);
  });

  it("ends with the other threshold as if it had been the first", async () => {
    const ended = await run(folder, {}, TOP_40);
    expect(ended.exit_code, ended.stderr).toBe(0);
    expect(dataFiles(out)).toEqual(dataFiles(undisturbed40));
    expect(lastingManifest(out)).toEqual(lastingManifest(undisturbed40));
  });
});
