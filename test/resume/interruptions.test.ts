/** Stopped from outside at no chosen point: workers and the run killed, asked to end, started twice. */
import { rmSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { dataFiles, type Ended, isAlive, lastingManifest, logLines, makeJob, run, type StartOptions, untilIdle, whenStopped, workersOf } from "./job.ts";

const folder = makeJob({ num_samples: 96, split_samples: 8, with_reject: false });
const undisturbed = path.join(folder, "undisturbed");

beforeAll(async () => {
  const ended = await run(folder, {}, ["--set", "output.path=undisturbed"]);
  expect(ended.exit_code, ended.stderr).toBe(0);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

// Each test runs the command twice.
vi.setConfig({ testTimeout: 240_000 });

const into = (output: string): string[] => ["--set", `output.path=${output}`];

function expectUndisturbed(output: string): void {
  expect(dataFiles(path.join(folder, output))).toEqual(dataFiles(undisturbed));
  expect(lastingManifest(path.join(folder, output))).toEqual(lastingManifest(undisturbed));
}

async function gone(pids: readonly number[]): Promise<void> {
  for (let i = 0; i < 1200 && pids.some(isAlive); i++) await sleep(25);
  expect(pids.filter(isAlive)).toEqual([]);
}

describe.skipIf(process.platform !== "linux")("a run", () => {
  it("whose worker is killed in the middle of a batch scores the split again and ends as ever", async () => {
    const killed: number[] = [];
    // Stopped, so that a batch surely waits for it when it is killed: the run has nothing else to do then.
    const ended = await run(folder, whenStopped("2 append journal.jsonl", (pid) => {
      killed.push(...workersOf(pid));
      for (const worker of killed) process.kill(worker, "SIGSTOP");
      process.kill(pid, "SIGCONT");
      void untilIdle(pid).then(() => killed.forEach((worker) => process.kill(worker, "SIGKILL")));
    }), into("worker"));
    expect(ended.exit_code, ended.stderr).toBe(0);
    expect(killed.length).toBeGreaterThan(0);
    const warnings = logLines(ended).filter((line) => line["code"] === "split_retried");
    expect(warnings.length).toBeGreaterThan(0);
    expect(String(warnings[0]!["msg"])).toMatch(/SIGKILL/);
    expectUndisturbed("worker");
  });

  it("that is killed leaves no process behind, and goes on when it is started again", async () => {
    const workers: number[] = [];
    const killed = await run(folder, whenStopped("3 append journal.jsonl", (pid) => {
      workers.push(...workersOf(pid));
      process.kill(pid, "SIGKILL");
    }), into("killed"));
    expect(killed.signal).toBe("SIGKILL");
    expect(workers.length).toBeGreaterThan(0);
    await gone(workers);
    const ended = await run(folder, {}, into("killed"));
    expect(ended.exit_code, ended.stderr).toBe(0);
    expect(logLines(ended).at(-1)!["num_splits_reused"]).toBeGreaterThanOrEqual(2);
    expectUndisturbed("killed");
  });

  it.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("that gets %s, as every process of its group does, ends with %i, keeps what is committed and goes on", async (signal, exit_code) => {
    const output = signal.toLowerCase();
    let ended: Ended | undefined;
    const stopping = run(folder, { own_group: true, ...whenStopped("3 append journal.jsonl", (pid) => [signal, "SIGCONT"].forEach((name) => process.kill(-pid, name))) }, into(output));
    ended = await stopping;
    expect(ended.exit_code, ended.stderr).toBe(exit_code);
    expect(logLines(ended).at(-1)).toMatchObject({ event: "failed", error: "InterruptedError", exit_code });
    expect(dataFiles(path.join(folder, output))["_SUCCESS"]).toBeUndefined();
    ended = await run(folder, {}, into(output));
    expect(ended.exit_code, ended.stderr).toBe(0);
    expect(logLines(ended).at(-1)!["num_splits_reused"]).toBeGreaterThanOrEqual(2);
    expectUndisturbed(output);
  });

  it("whose log's reader goes away ends as ever", async () => {
    const ended = await run(folder, { onStart: (child) => void child.stderr!.destroy() }, into("unread"));
    expect(ended.exit_code).toBe(0);
    expectUndisturbed("unread");
  });

  it("that is asked to end while the model loads does so", async () => {
    let is_asked = false;
    const onStderr: StartOptions["onStderr"] = (text, child) => void (!is_asked && text.includes('"phase":"load"') && (is_asked = child.kill("SIGTERM")));
    const ended = await run(folder, { onStderr }, into("loading"));
    expect(ended.exit_code, ended.stderr).toBe(143);
  });

  it("that is started while another holds the folder says which, and does no harm", async () => {
    let holder_pid = 0;
    let second: Promise<Ended> | undefined;
    const first = await run(folder, whenStopped("2 append journal.jsonl", (pid) => {
      holder_pid = pid;
      second = run(folder, {}, into("twice")).finally(() => process.kill(pid, "SIGCONT"));
    }), into("twice"));
    const refused = await second!;
    expect(refused.exit_code, refused.stderr).toBe(75);
    expect(String(logLines(refused).at(-1)!["reason"])).toMatch(new RegExp(`is held by process ${holder_pid} on \\S+, since \\d+ min`));
    expect(first.exit_code, first.stderr).toBe(0);
    expectUndisturbed("twice");
  });
});
