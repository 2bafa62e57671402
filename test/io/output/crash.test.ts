/**
 * Kills a run, in thought, at every step it takes on the disk: the folder is copied behind each change, and every
 * copy is opened again, finished and compared with what an undisturbed run leaves.
 */
import { cpSync, existsSync, readdirSync, readFileSync, truncateSync, statSync, writeFileSync } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { temporaryFolder } from "../temporary-folder.ts";
import { digestOf, simulateRun, splitsOf, type TestSplit, visibleFiles, workFiles } from "./simulated-run.ts";

const disk = vi.hoisted(() => ({ afterChange: undefined as (() => void) | undefined }));

vi.mock("node:fs/promises", async (importOriginal) => {
  const real = await importOriginal<typeof import("node:fs/promises")>();
  const watched = <A extends unknown[], R>(act: (...args: A) => Promise<R>) => async (...args: A) => {
    const result = await act(...args);
    disk.afterChange?.();
    return result;
  };
  const open = async (...args: Parameters<typeof real.open>): Promise<FileHandle> => {
    const file = await real.open(...args);
    for (const name of ["writeFile", "appendFile", "truncate"] as const) {
      file[name] = watched((file[name] as (...a: unknown[]) => Promise<void>).bind(file));
    }
    return file;
  };
  return { ...real, open: watched(open), rename: watched(real.rename), rm: watched(real.rm), mkdir: watched(real.mkdir) };
});
vi.mock("../../../src/io/output/part-limits.ts", () => ({ PART_ROWS: 25, PART_ARROW_BYTES: 1e9 }));

/** Copies of the folder behind every change that `act` makes; unchanged copies are left out. */
async function copiesDuring(path: string, act: () => Promise<unknown>): Promise<string[]> {
  const copies: string[] = [];
  let last = "";
  const root = temporaryFolder();
  disk.afterChange = () => {
    if (!existsSync(path)) return;
    const files = readdirSync(path, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    const state = JSON.stringify(files.map((file) => [file.parentPath, file.name, statSync(join(file.parentPath, file.name)).size]));
    if (state === last) return;
    last = state;
    const copy = join(root, String(copies.length).padStart(4, "0"));
    cpSync(path, copy, { recursive: true });
    endProcess(copy);
    copies.push(copy);
  };
  try {
    await act();
  } finally {
    disk.afterChange = undefined;
  }
  return copies;
}

/** Turns the locks of this process, which runs on, into those of one that has ended. */
function endProcess(path: string): void {
  const work = join(path, "_work");
  if (!existsSync(work)) return;
  for (const name of readdirSync(work)) {
    if (!/^lock-[^.]*$/.test(name)) continue;
    const owner = JSON.parse(readFileSync(join(work, name), "utf8")) as object;
    writeFileSync(join(work, name), JSON.stringify({ ...owner, started: "1" }));
  }
}

async function expectEachCopyToEndAs(copies: readonly string[], splits: readonly TestSplit[], expected: Record<string, string>): Promise<void> {
  for (const copy of copies) {
    if (visibleFiles(copy)._SUCCESS) expect(visibleFiles(copy), `${copy}: _SUCCESS beside something else`).toEqual(expected);
    const committed = committedIn(copy, splits);
    expect(await simulateRun(copy, splits), copy).toBe(splits.length - committed);
    expect(visibleFiles(copy), copy).toEqual(expected);
  }
}

/** How many of the splits the journal has a whole line of. */
function committedIn(path: string, splits: readonly TestSplit[]): number {
  const journal = join(path, "_work", "journal.jsonl");
  const lines = existsSync(journal) ? readFileSync(journal, "utf8").split("\n").filter((line) => line.includes('"kind":"split"')) : [];
  return splits.filter((split) => lines.some((line) => line.includes(digestOf(split)))).length;
}

describe("a run that is killed", { timeout: 240_000 }, () => {
  const splits = splitsOf(7, 10);

  it("ends, when run again, as if it had not been, from whatever step", async () => {
    const path = join(temporaryFolder(), "out");
    const copies = await copiesDuring(path, () => simulateRun(path, splits));
    const expected = visibleFiles(path);
    expect(Object.keys(expected)).toEqual([
      "_SUCCESS", "manifest.json", "rejects/part-00000.parquet", "scores/part-00000.parquet", "scores/part-00001.parquet", "scores/part-00002.parquet",
      "selection/part-00000.parquet", "selection/part-00001.parquet", "selection/part-00002.parquet",
    ]);
    expect(copies.length).toBeGreaterThan(60);
    await expectEachCopyToEndAs(copies, splits, expected);
  });

  it("while rows are appended, reuses the full parts and scores only what is new", async () => {
    const path = join(temporaryFolder(), "out");
    await simulateRun(path, splits);
    const before = visibleFiles(path);
    const more = [...splits, ...splitsOf(3, 10, 1_000)];
    let scored = -1;
    const copies = await copiesDuring(path, async () => (scored = await simulateRun(path, more)));
    expect(scored).toBe(3);
    const expected = visibleFiles(path);
    const undisturbed = join(temporaryFolder(), "undisturbed");
    await simulateRun(undisturbed, more);
    expect(expected).toEqual(visibleFiles(undisturbed));
    expect(expected["scores/part-00000.parquet"]).toBe(before["scores/part-00000.parquet"]);
    for (const copy of copies) {
      if (visibleFiles(copy)._SUCCESS && visibleFiles(copy)["manifest.json"] !== expected["manifest.json"]) expect(visibleFiles(copy), copy).toEqual(before);
    }
    const unfinished = copies.filter((copy) => !visibleFiles(copy)._SUCCESS);
    await expectEachCopyToEndAs(unfinished, more, expected);
  });

  it("while splits are inserted in front and one is taken out, keeps the others' scores", async () => {
    const path = join(temporaryFolder(), "out");
    await simulateRun(path, splits);
    const changed = [...splitsOf(2, 10, 2_000), ...splits.slice(0, 3), ...splits.slice(4)];
    const copies = await copiesDuring(path, async () => expect(await simulateRun(path, changed)).toBe(2));
    const expected = visibleFiles(path);
    const undisturbed = join(temporaryFolder(), "undisturbed");
    await simulateRun(undisturbed, changed);
    expect(expected).toEqual(visibleFiles(undisturbed));
    await expectEachCopyToEndAs(copies.filter((copy) => !visibleFiles(copy)._SUCCESS), changed, expected);
  });

  it("with a torn last line in the journal, does that split again", async () => {
    const path = join(temporaryFolder(), "out");
    const copies = await copiesDuring(path, () => simulateRun(path, splits));
    const expected = visibleFiles(path);
    const with_lines = copies.filter((copy) => existsSync(join(copy, "_work", "journal.jsonl")) && statSync(join(copy, "_work", "journal.jsonl")).size > 0);
    for (const copy of with_lines.filter((_, i) => i % 4 === 0)) {
      const journal = join(copy, "_work", "journal.jsonl");
      truncateSync(journal, statSync(journal).size - 17);
      await simulateRun(copy, splits);
      expect(visibleFiles(copy), copy).toEqual(expected);
    }
  });

  it("leaves nothing in the work folder but the plan, the journal and the rejects", async () => {
    const path = join(temporaryFolder(), "out");
    await simulateRun(path, splits);
    const left = workFiles(path).filter((name) => !name.includes(".rejects.arrow"));
    expect(left).toEqual(["_work/journal.jsonl", "_work/plan.json"]);
  });
});
