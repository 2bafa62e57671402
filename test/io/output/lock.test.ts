import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { LockedError } from "../../../src/core/errors.ts";
import { processEntryPoint } from "../../../src/core/entry-point.ts";
import { FolderLock } from "../../../src/io/output/lock.ts";
import { isRunning, thisProcess } from "../../../src/io/output/process-identity.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const lockFiles = (folder: string) => readdirSync(folder).filter((name) => /^lock-[^.]+$/.test(name));

/** Changes what the one lock in the folder says of its owner. */
function editOwner(folder: string, change: object): void {
  const path = join(folder, lockFiles(folder)[0]!);
  writeFileSync(path, JSON.stringify({ ...(JSON.parse(readFileSync(path, "utf8")) as object), ...change }));
}

function contender(folder: string): ChildProcess {
  const { path, execArgv } = processEntryPoint(import.meta.url, "./lock-contender.ts");
  return fork(path, [folder], { execArgv });
}

const said = async (child: ChildProcess): Promise<string> => (await once(child, "message"))[0] as string;

describe("the lock of a folder", () => {
  it("is free again after its release", async () => {
    const folder = temporaryFolder();
    const lock = await FolderLock.acquire(folder);
    await expect(FolderLock.acquire(folder)).rejects.toThrow(LockedError);
    await lock.assertHeld();
    await lock.release();
    expect(readdirSync(folder)).toEqual([]);
  });

  it.each([
    ["its process has ended and the number was used again", { started: "1" }],
    ["its process has ended", { pid: 2 ** 22 - 3 }],
    ["the machine was started again since", { boot_id: "another", pid: process.pid }],
  ])("is taken over where %s", async (_, change) => {
    const folder = temporaryFolder();
    const left = await FolderLock.acquire(folder);
    editOwner(folder, change);
    const lock = await FolderLock.acquire(folder);
    expect(lockFiles(folder)).toHaveLength(1);
    await expect(left.assertHeld()).rejects.toThrow(/lock was removed/);
    await lock.release();
  });

  it.each([
    ["another machine", { host: "elsewhere" }],
    ["another machine of the same name", { machine_id: "other" }],
    ["another container", { pid_namespace: "pid:[1]" }],
  ])("of %s holds as long as it is touched, and for ten minutes more", async (_, change) => {
    const folder = temporaryFolder();
    const other = await FolderLock.acquire(folder);
    editOwner(folder, change);
    await expect(FolderLock.acquire(folder)).rejects.toThrow(LockedError);
    const path = join(folder, lockFiles(folder)[0]!);
    const before = new Date(Date.now() - 9 * 60_000);
    utimesSync(path, before, before);
    await expect(FolderLock.acquire(folder)).rejects.toThrow(LockedError);
    const long_before = new Date(Date.now() - 11 * 60_000);
    utimesSync(path, long_before, long_before);
    await (await FolderLock.acquire(folder)).release();
    await other.release();
  });

  it("sweeps what crashes left of other locks, but nothing that may be under way", async () => {
    const folder = temporaryFolder();
    const left = await FolderLock.acquire(folder);
    editOwner(folder, { started: "1" });
    writeFileSync(join(folder, `${lockFiles(folder)[0]}.held.tmp`), "");
    writeFileSync(join(folder, "lock-7-aaaaaaaaaaaa.tmp"), "{");
    writeFileSync(join(folder, "lock-8-bbbbbbbbbbbb.tmp"), "{");
    const long_before = new Date(Date.now() - 11 * 60_000);
    utimesSync(join(folder, "lock-7-aaaaaaaaaaaa.tmp"), long_before, long_before);
    const lock = await FolderLock.acquire(folder);
    expect(readdirSync(folder).filter((name) => name.endsWith(".tmp"))).toEqual(["lock-8-bbbbbbbbbbbb.tmp"]);
    await lock.release();
    await left.release();
  });

  it("goes to exactly one of many that want it at once", { timeout: 120_000 }, async () => {
    const folder = temporaryFolder();
    const children = Array.from({ length: 6 }, () => contender(folder));
    const outcomes = await Promise.all(children.map(said));
    expect(outcomes.filter((outcome) => outcome === "held")).toHaveLength(1);
    expect(outcomes.filter((outcome) => outcome === "LockedError")).toHaveLength(5);
    const holder = children[outcomes.indexOf("held")]!;
    const exited = once(holder, "exit");
    holder.kill("SIGKILL");
    await exited;
    for (const child of children) if (child !== holder) child.kill("SIGKILL");
    await (await FolderLock.acquire(folder)).release();
  });

  it("knows whether a process runs", () => {
    expect(isRunning(thisProcess())).toBe("yes");
    expect(isRunning({ ...thisProcess(), started: "12" })).toBe("no");
    expect(isRunning({ ...thisProcess(), host: "x" })).toBe("unknown");
  });
});
