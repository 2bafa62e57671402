import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { rejectsSchema, scoresSchema } from "../../../src/core/columns.ts";
import { LockedError, PlanError, StageError } from "../../../src/core/errors.ts";
import { columnData, emptyRecordBatch, utf8Values } from "../../../src/core/record-batch.ts";
import { openOutputFolder } from "../../../src/io/output/output-folder.ts";
import { readParquet } from "../../../src/io/parquet/read-parquet.ts";
import { scoresRows } from "../scores-rows.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { digestOf, optionsFor, resultOf, simulateRun, splitsOf, visibleFiles, workFiles } from "./simulated-run.ts";

vi.mock("../../../src/io/output/part-limits.ts", () => ({ PART_ROWS: 25, PART_ARROW_BYTES: 1e9 }));

const signal = new AbortController().signal;
const splits = splitsOf(4, 10);

async function column(path: string, name: string): Promise<unknown[]> {
  const values: unknown[] = [];
  for (const file of readdirSync(path).sort()) {
    for await (const batch of readParquet(join(path, file), { columns: [name] })) values.push(...batch.getChild(name)!.toArray() as Iterable<unknown>);
  }
  return values;
}

describe("an output folder", () => {
  it("gives back scores and rejects in the order of the splits, however they were committed", async () => {
    const path = join(temporaryFolder(), "out");
    const output = await openOutputFolder(optionsFor(path));
    for (const split of [splits[2]!, splits[0]!, splits[3]!, splits[1]!]) {
      const { record, scores, rejects } = resultOf(split);
      await output.commitSplit(record, scores, rejects);
      expect(output.committed().get(record.split_digest)).toEqual(record);
    }
    await output.publishScores(splits.map(digestOf));
    const ids: string[] = [];
    for await (const batch of output.readScores(["sample_id", "vig"], signal)) ids.push(...utf8Values(batch, "sample_id"));
    expect(ids).toEqual(utf8Values(scoresRows(0, 40), "sample_id"));
    await output.close();
    expect(await column(join(path, "rejects"), "sample_id")).toEqual([6, 13, 20, 27, 34].map((n) => `rejected-${n}`));
    expect(await column(join(path, "rejects"), "split")).toEqual([0, 1, 2, 2, 3]);
  });

  it("writes full parts while the run goes on and takes their splits off the staging", async () => {
    const path = join(temporaryFolder(), "out");
    const output = await openOutputFolder(optionsFor(path));
    const staged = () => workFiles(path).filter((name) => name.endsWith(".scores.arrow")).length;
    let numWritten = 0;
    for (const [i, split] of splits.entries()) {
      const { record, scores, rejects } = resultOf(split);
      await output.commitSplit(record, scores, rejects);
      numWritten += await output.writeFullParts(splits.slice(numWritten, i + 1).map(digestOf));
    }
    expect(numWritten).toBe(splits.length - 1);
    expect(staged()).toBe(1);
    expect(existsSync(join(path, "scores"))).toBe(false);
    expect(workFiles(path).some((name) => name.endsWith(".parquet"))).toBe(false);
    await output.publishScores(splits.map(digestOf));
    expect(staged()).toBe(0);
    expect(readdirSync(join(path, "scores"))).toEqual(["part-00000.parquet", "part-00001.parquet"]);
    await output.close();
  });

  it("has one part without rows where nothing was scored and nothing rejected", async () => {
    const path = join(temporaryFolder(), "out");
    const output = await openOutputFolder(optionsFor(path));
    await output.commitSplit({ ...resultOf(splits[0]!).record }, emptyRecordBatch(scoresSchema), emptyRecordBatch(rejectsSchema));
    await output.publishScores([digestOf(splits[0]!)]);
    await output.close();
    expect(await column(join(path, "scores"), "vig")).toEqual([]);
    expect(await column(join(path, "rejects"), "code")).toEqual([]);
    expect(Object.keys(visibleFiles(path))).toEqual(["rejects/part-00000.parquet", "scores/part-00000.parquet"]);
    const again = await openOutputFolder(optionsFor(path));
    expect(again.committed().size).toBe(1);
    await again.close();
  });

  it("refuses scores of another plan and names what differs, unless told to start over", async () => {
    const path = join(temporaryFolder(), "out");
    await simulateRun(path, splits);
    const before = visibleFiles(path);
    const other = { scores_hash: "hash-2", scores_plan: { model: { dtype: "q4", path: "m" }, blur: { sigma_fraction: 0.28 } } };
    const opening = openOutputFolder(optionsFor(path, other));
    await expect(opening).rejects.toThrow(PlanError);
    await expect(opening).rejects.toThrow(/model\.dtype: was "fp32", now "q4"\n +model\.path: was absent, now "m"$/);
    expect(visibleFiles(path)).toEqual(before);
    expect(await simulateRun(path, splits.slice(0, 2), { ...other, fresh: true })).toBe(2);
    const undisturbed = join(temporaryFolder(), "undisturbed");
    await simulateRun(undisturbed, splits.slice(0, 2), other);
    expect(visibleFiles(path)).toEqual(visibleFiles(undisturbed));
  });

  it("leaves files alone that it did not write, and refuses scores of unknown origin", async () => {
    const path = join(temporaryFolder(), "out");
    await simulateRun(path, splits);
    writeFileSync(join(path, "notes.txt"), "mine");
    await simulateRun(path, splits, { fresh: true });
    expect(readFileSync(join(path, "notes.txt"), "utf8")).toBe("mine");
    rmSync(join(path, "_work"), { recursive: true });
    await expect(openOutputFolder(optionsFor(path))).rejects.toThrow(/scores exists, but nothing in .*_work says what made it/);
  });

  it("leaves a folder alone that Spark writes, until --fresh", async () => {
    const path = join(temporaryFolder(), "out");
    const kept = join(path, "_work", "spark");
    mkdirSync(kept, { recursive: true });
    await expect(openOutputFolder(optionsFor(path))).rejects.toMatchObject({
      message: expect.stringContaining("is written by Spark") as string,
      remedy: expect.stringContaining("integrations/spark/run.py") as string,
    });
    expect(workFiles(path)).toEqual([]);
    await simulateRun(path, splits, { fresh: true });
    expect(existsSync(kept)).toBe(false);
  });

  it("does a split again whose staged file is damaged, and one whose part is", async () => {
    const path = join(temporaryFolder(), "out");
    await simulateRun(path, splits);
    const expected = visibleFiles(path);
    const part = join(path, "scores", "part-00001.parquet");
    const bytes = readFileSync(part);
    bytes[100]! ^= 1;
    writeFileSync(part, bytes);
    expect(await simulateRun(path, splits)).toBe(1);
    expect(visibleFiles(path)).toEqual(expected);
    rmSync(join(path, "scores", "part-00000.parquet"));
    expect(await simulateRun(path, splits)).toBe(3);
    expect(visibleFiles(path)).toEqual(expected);

    const unfinished = join(temporaryFolder(), "unfinished");
    const output = await openOutputFolder(optionsFor(unfinished));
    for (const split of splits.slice(0, 2)) {
      const { record, scores, rejects } = resultOf(split);
      await output.commitSplit(record, scores, rejects);
    }
    await output.close();
    const staged = workFiles(unfinished).find((name) => name.includes(digestOf(splits[1]!).slice(0, 32)) && name.endsWith(".scores.arrow"))!;
    appendFileSync(join(unfinished, staged), "x");
    expect(await simulateRun(unfinished, splits)).toBe(3);
    expect(visibleFiles(unfinished)).toEqual(expected);
  });

  it("leaves out a damaged line in the middle of the journal and does what it spoke of again", async () => {
    const path = join(temporaryFolder(), "out");
    await simulateRun(path, splits);
    const expected = visibleFiles(path);
    const journal = join(path, "_work", "journal.jsonl");
    const lines = readFileSync(journal, "utf8").split("\n");
    const at = lines.findIndex((line) => line.includes(`"split_digest":"${digestOf(splits[1]!)}"`));
    lines[at] = lines[at]!.replace('"num_records":11', '"num_records":12');
    writeFileSync(journal, lines.join("\n"));
    expect(await simulateRun(path, splits)).toBe(1);
    expect(visibleFiles(path)).toEqual(expected);
  });

  it("forgets splits with rejects where told to retry them, also over a crash", async () => {
    const path = join(temporaryFolder(), "out");
    const with_clean = [...splits, { start: 0, end: 5 }];
    await simulateRun(path, with_clean);
    const expected = visibleFiles(path);
    const output = await openOutputFolder(optionsFor(path, { retry_rejects: true }));
    expect([...output.committed().keys()]).toEqual([digestOf(with_clean[4]!)]);
    await output.close();
    expect(await simulateRun(path, with_clean)).toBe(4);
    expect(visibleFiles(path)).toEqual(expected);
  });

  it("writes the same rows again in another compression without scoring", async () => {
    const path = join(temporaryFolder(), "out");
    await simulateRun(path, splits);
    const ids = await column(join(path, "scores"), "sample_id");
    expect(await simulateRun(path, splits, { compression: "snappy" })).toBe(0);
    const undisturbed = join(temporaryFolder(), "undisturbed");
    await simulateRun(undisturbed, splits, { compression: "snappy" });
    expect(visibleFiles(path)["scores/part-00000.parquet"]).toBe(visibleFiles(undisturbed)["scores/part-00000.parquet"]);
    expect(await column(join(path, "scores"), "sample_id")).toEqual(ids);
  });

  it("swaps a data set in whole, and drops one that was discarded", async () => {
    const path = join(temporaryFolder(), "out");
    const output = await openOutputFolder(optionsFor(path));
    const options = { schema: scoresSchema, compression: "zstd", metadata: {} } as const;
    const write = async (count: number, publish: boolean) => {
      const writer = await output.openDataset("selection@30", options);
      for (let n = 0; n < count; n += 10) await writer.write(scoresRows(n, Math.min(count, n + 10)));
      const published = publish ? await writer.publish() : undefined;
      await writer.discard();
      return published;
    };
    expect(await write(60, true)).toEqual({ num_rows: 60, parts: ["part-00000.parquet", "part-00001.parquet", "part-00002.parquet"] });
    expect(await write(30, true)).toEqual({ num_rows: 30, parts: ["part-00000.parquet", "part-00001.parquet"] });
    await write(5, false);
    expect(readdirSync(join(path, "selection@30"))).toEqual(["part-00000.parquet", "part-00001.parquet"]);
    expect(readdirSync(join(path, "_work", "datasets"))).toEqual([]);
    await expect(output.openDataset("../x", options)).rejects.toThrow(/no data set may be called/);
    await output.close();
  });

  it("marks success last and takes the mark away first", async () => {
    const path = join(temporaryFolder(), "out");
    const output = await openOutputFolder(optionsFor(path));
    expect(await output.readManifest()).toBeUndefined();
    await output.finish({ tau: 0.5 }, true);
    expect([await output.isComplete(), await output.readManifest()]).toEqual([true, { tau: 0.5, files: {} }]);
    await output.finish({ tau: 0.6 }, false);
    expect([await output.isComplete(), await output.readManifest()]).toEqual([false, { tau: 0.6, files: {} }]);
    await output.finish({ tau: 0.7 }, true);
    await output.invalidate();
    expect(await output.isComplete()).toBe(false);
    await output.close();
  });

  it("is held by one run at a time", async () => {
    const path = join(temporaryFolder(), "out");
    const first = await openOutputFolder(optionsFor(path));
    const second = openOutputFolder(optionsFor(path));
    await expect(second).rejects.toThrow(LockedError);
    await expect(second).rejects.toThrow(new RegExp(`held by process ${process.pid} on .+, since 0 min`));
    await first.close();
    await (await openOutputFolder(optionsFor(path))).close();
  });

  it("stops where its lock was taken away", async () => {
    const path = join(temporaryFolder(), "out");
    const output = await openOutputFolder(optionsFor(path));
    for (const name of readdirSync(join(path, "_work"))) if (name.startsWith("lock-")) rmSync(join(path, "_work", name));
    const { record, scores, rejects } = resultOf(splits[0]!);
    await expect(output.commitSplit(record, scores, rejects)).rejects.toThrow(StageError);
    await output.close();
  });

  it("names a path that can't be written", async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, "file"), "");
    const opening = openOutputFolder(optionsFor(join(folder, "file", "out")));
    await expect(opening).rejects.toThrow(PlanError);
    await expect(opening).rejects.toThrow(/file\/out.*a part of the path is a file/);
    mkdirSync(join(folder, "out", "_work", "plan.json"), { recursive: true });
    await expect(openOutputFolder(optionsFor(join(folder, "out")))).rejects.toThrow(/plan\.json: it is a folder/);
  });

  it("reads the columns asked for, in that order", async () => {
    const path = join(temporaryFolder(), "out");
    const { record, scores, rejects } = resultOf(splits[0]!);
    const output = await openOutputFolder(optionsFor(path));
    await output.commitSplit(record, scores, rejects);
    await output.publishScores([record.split_digest]);
    for await (const batch of output.readScores(["token_vig", "num_tokens"], signal)) {
      expect(batch.schema.names).toEqual(["token_vig", "num_tokens"]);
      expect(columnData(batch, "num_tokens").values).toHaveLength(10);
    }
    await output.close();
  });
});

describe("an abort", () => {
  const reason = new Error("stopped");

  it("ends the writing of parts, and the next run finishes the folder", async () => {
    const path = join(temporaryFolder(), "out");
    const controller = new AbortController();
    const output = await openOutputFolder(optionsFor(path, { signal: controller.signal }));
    for (const split of splits) {
      const { record, scores, rejects } = resultOf(split);
      await output.commitSplit(record, scores, rejects);
    }
    const publishing = output.publishScores(splits.map(digestOf));
    controller.abort(reason);
    await expect(publishing).rejects.toBe(reason);
    await output.close();
    expect(existsSync(join(path, "scores"))).toBe(false);
    expect(readdirSync(join(path, "_work", "parts"))).toEqual([]);
    expect(await simulateRun(path, splits)).toBe(0);
  });

  it("ends the reading of a folder that is opened, and leaves it as it was", async () => {
    const path = join(temporaryFolder(), "out");
    await simulateRun(path, splits);
    const before = [visibleFiles(path), workFiles(path)];
    await expect(openOutputFolder(optionsFor(path, { signal: AbortSignal.abort(reason) }))).rejects.toBe(reason);
    expect([visibleFiles(path), workFiles(path)]).toEqual(before);
    expect(await simulateRun(path, splits)).toBe(0);
  });

  it("ends the search for damage", async () => {
    const path = join(temporaryFolder(), "out");
    await simulateRun(path, splits);
    const controller = new AbortController();
    const output = await openOutputFolder(optionsFor(path, { signal: controller.signal }));
    controller.abort(reason);
    await expect(output.findDamage()).rejects.toBe(reason);
    await output.close();
  });
});
