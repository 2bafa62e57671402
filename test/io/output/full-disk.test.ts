import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { PlanError, ResourceExhaustedError } from "../../../src/core/errors.ts";
import { FolderLock } from "../../../src/io/output/lock.ts";
import { openOutputFolder } from "../../../src/io/output/output-folder.ts";
import { scoresRows } from "../scores-rows.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { digestOf, optionsFor, resultOf, simulateRun, splitsOf, visibleFiles } from "./simulated-run.ts";

/** Mounts a small file system there, or says that this machine does not let us. */
function mountSmall(path: string, size: string): boolean {
  mkdirSync(path);
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${size}`, "tmpfs", path], { stdio: "ignore" });
  } catch {
    return false;
  }
  onTestFinished(() => void execFileSync("umount", ["-l", path]));
  return true;
}

const remount = (path: string, options: string) => execFileSync("mount", ["-o", `remount,${options}`, path]);

describe("a full disk", () => {
  it.skipIf(!existsSync("/dev/full"))("is named where a part does not fit, and nothing is lost", async () => {
    const path = join(temporaryFolder(), "out");
    const output = await openOutputFolder(optionsFor(path));
    const split = { start: 0, end: 3_000 };
    const { record, scores, rejects } = resultOf(split);
    await output.commitSplit(record, scores, rejects);
    symlinkSync("/dev/full", join(path, "_work", "parts", "writing.tmp"));
    const publishing = output.publishScores([digestOf(split)]);
    await expect(publishing).rejects.toThrow(ResourceExhaustedError);
    await expect(publishing).rejects.toThrow(/writing\.tmp: the disk is full \(ENOSPC\)/);
    await output.close();
    expect(await simulateRun(path, [split])).toBe(0);
  });

  it("stops the run with what to do, and the run goes on once there is room", async (context) => {
    const path = join(temporaryFolder(), "small");
    if (!mountSmall(path, "400k")) return context.skip();
    const out = join(path, "out");
    const splits = splitsOf(10, 300);
    const running = simulateRun(out, splits);
    await expect(running).rejects.toThrow(ResourceExhaustedError);
    await expect(running).rejects.toThrow(new RegExp(`${path}.*the disk is full`));
    expect(visibleFiles(out)._SUCCESS).toBeUndefined();
    remount(path, "size=20m");
    expect(await simulateRun(out, splits)).toBeLessThan(10);
    const undisturbed = join(temporaryFolder(), "undisturbed");
    await simulateRun(undisturbed, splits);
    expect(visibleFiles(out)).toEqual(visibleFiles(undisturbed));
  });

  it("ends the taking of the lock, and leaves none behind", async (context) => {
    const path = join(temporaryFolder(), "few-files");
    // Room for the folder itself and one file.
    if (!mountSmall(path, "1m,nr_inodes=2")) return context.skip();
    await expect(FolderLock.acquire(path)).rejects.toThrow(ResourceExhaustedError);
    remount(path, "nr_inodes=100");
    const lock = await FolderLock.acquire(path);
    await lock.release();
    expect(readdirSync(path)).toEqual([]);
  });

  it("has room for nothing: the folder can't even be locked", async (context) => {
    const path = join(temporaryFolder(), "read-only");
    if (!mountSmall(path, "1m")) return context.skip();
    remount(path, "ro");
    const opening = openOutputFolder(optionsFor(join(path, "out")));
    await expect(opening).rejects.toThrow(PlanError);
    await expect(opening).rejects.toThrow(/read-only/);
  });

  it.skipIf(process.getuid?.() === 0)("names a folder without permission", async () => {
    const folder = temporaryFolder();
    chmodSync(folder, 0o500);
    await expect(openOutputFolder(optionsFor(join(folder, "out")))).rejects.toThrow(/permission denied/);
  });
});

describe("a data set that does not fit", () => {
  it("is discarded and leaves the earlier one", async (context) => {
    const path = join(temporaryFolder(), "small");
    if (!mountSmall(path, "600k")) return context.skip();
    const out = join(path, "out");
    await simulateRun(out, splitsOf(2, 20));
    const before = visibleFiles(out);
    const output = await openOutputFolder(optionsFor(out));
    const writer = await output.openDataset("selection", { schema: optionsFor(out).scores_schema, compression: "none", metadata: {} });
    const writing = async () => {
      for (let n = 0; n < 40_000; n += 2_000) await writer.write(scoresRows(n, n + 2_000));
      await writer.publish();
    };
    await expect(writing()).rejects.toThrow(ResourceExhaustedError);
    await writer.discard();
    await output.close();
    expect(visibleFiles(out)).toEqual(before);
  });
});
