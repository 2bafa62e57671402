import { execFileSync, spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { StageError } from "../../src/core/errors.ts";
import type { Model, Scorer, ScoreRequest, ScorerOptions } from "../../src/model/contract.ts";
import { loadModel } from "../../src/model/load-model.ts";
import { isRetryable } from "../../src/model/worker-process.ts";
import { fixtureFolder, readGolden, requestOf } from "./golden.ts";

const golden = readGolden("llava");
const cases = golden.cases.filter(({ variant, images }) => variant === "default" && images.length > 0);
const never = () => new AbortController().signal;

/** Inference processes below a process, by the system's own list. */
function workersOf(parent: number): number[] {
  const lines = execFileSync("ps", ["-eo", "pid=,ppid=,args="], { encoding: "utf8" }).split("\n");
  return lines
    .map((line) => /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line))
    .filter((found) => found !== null && Number(found[2]) === parent && found[3]!.includes("inference-worker"))
    .map((found) => Number(found![1]));
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 400 && !condition(); i++) await sleep(25);
  expect(condition()).toBe(true);
}

describe("openScorer", () => {
  let model: Model;
  let request: ScoreRequest;
  let scorer: Scorer | undefined;
  const open = async (options: Partial<ScorerOptions> = {}, signal = never()) =>
    (scorer = await model.openScorer({ num_workers: 1, num_threads: 1, devices: ["cpu"], ...options }, signal));

  beforeAll(async () => {
    model = await loadModel({ path: fixtureFolder("llava"), dtype: "fp32" });
    request = await requestOf(golden, model, cases);
  });

  afterEach(async () => {
    await scorer?.close();
    scorer = undefined;
  });

  test("gives the same numbers whatever the batch, the worker and the threads", async () => {
    const one = await open();
    const together = (await one.score(request, never())).sequences;
    await one.close();
    const two = await open({ num_workers: 2, num_threads: 2 });
    const [first, ...rest] = request.sequences;
    const alone = await two.score({ ...request, split: 1, sequences: [first!] }, never());
    const others = await two.score({ split: 1, images: [], sequences: rest.filter(({ images }) => images[0] !== first!.images[0]) }, never());
    expect(others.sequences.length).toBeGreaterThan(0);
    const reference = together[0]!;
    reference.nll_image.forEach((value, t) => expect(Math.abs(value - alone.sequences[0]!.nll_image[t]!)).toBeLessThan(1e-4));
    reference.nll_blur.forEach((value, t) => expect(Math.abs(value - alone.sequences[0]!.nll_blur[t]!)).toBeLessThan(1e-4));
  });

  test("counts positions and padding of both variants", async () => {
    const { statistics } = await (await open()).score(request, never());
    const lengths = request.sequences.map(({ input_ids }) => input_ids.length);
    const positions = 2 * lengths.length * Math.max(...lengths);
    expect(statistics.num_positions).toBe(positions);
    expect(statistics.num_padding).toBe(positions - 2 * lengths.reduce((sum, length) => sum + length, 0));
    expect(statistics.session_ms).toBeGreaterThan(0);
  });

  test("keeps the thread that waits for it responsive", async () => {
    const opened = await open();
    let ticks = 0;
    const timer = setInterval(() => ticks++, 2);
    await opened.score(request, never());
    clearInterval(timer);
    expect(ticks).toBeGreaterThan(0);
  });

  test("frees an image's features after its last use", async () => {
    const opened = await open();
    const sequences = request.sequences.slice(0, 1);
    const images = request.images.filter(({ key }) => key === sequences[0]!.images[0]).map((image) => ({ ...image, uses: 1 }));
    await opened.score({ split: 0, images, sequences }, never());
    await expect(opened.score({ split: 0, images: [], sequences }, never())).rejects.toThrow(/not in this worker/);
  });

  test("frees a split's features when it is closed", async () => {
    const opened = await open();
    await opened.score({ ...request, sequences: [] }, never());
    await opened.closeSplit(0);
    await expect(opened.score({ ...request, images: [] }, never())).rejects.toThrow(/not in this worker/);
  });

  test("a worker that dies fails its requests as retryable and is started again", async () => {
    const opened = await open();
    const [pid] = workersOf(process.pid);
    const pending = opened.score(request, never());
    process.kill(pid!, "SIGKILL");
    const error: unknown = await pending.catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(StageError);
    expect(isRetryable(error)).toBe(true);
    await until(() => workersOf(process.pid).some((found) => found !== pid));
    const again = await opened.score({ ...request, split: 7 }, never());
    expect(again.sequences).toHaveLength(request.sequences.length);
  });

  test("a worker that dies while it loads is started again", async () => {
    const opening = open();
    await until(() => workersOf(process.pid).length > 0);
    const [pid] = workersOf(process.pid);
    process.kill(pid!, "SIGKILL");
    const opened = await opening;
    expect(workersOf(process.pid)).not.toContain(pid);
    expect((await opened.score(request, never())).sequences).toHaveLength(request.sequences.length);
  });

  test("an abort that comes before there is a process starts none", async () => {
    const reason = new Error("stopped");
    const controller = new AbortController();
    const opening = open({}, controller.signal);
    controller.abort(reason);
    await expect(opening).rejects.toBe(reason);
    expect(workersOf(process.pid)).toEqual([]);
  });

  test("an abort settles what is under way at once, with the signal's reason", async () => {
    const opened = await open();
    const controller = new AbortController();
    const reason = new Error("enough");
    const pending = [0, 2, 4].map((split) => opened.score({ ...request, split }, controller.signal));
    controller.abort(reason);
    for (const each of pending) await expect(each).rejects.toBe(reason);
    await expect(opened.score(request, controller.signal)).rejects.toBe(reason);
  });

  test("an abort while opening leaves no process behind", async () => {
    const controller = new AbortController();
    const opening = model.openScorer({ num_workers: 2, num_threads: 1, devices: ["cpu"] }, controller.signal);
    await until(() => workersOf(process.pid).length > 0);
    controller.abort(new Error("enough"));
    await expect(opening).rejects.toThrow("enough");
    await until(() => workersOf(process.pid).length === 0);
  });

  test("closing ends every process", async () => {
    await (await open({ num_workers: 2 })).close();
    expect(workersOf(process.pid)).toEqual([]);
  });

  test("feature rows that don't match the image tokens are an error that says so", async () => {
    const opened = await open();
    const [sequence] = request.sequences;
    const input_ids = sequence!.input_ids.slice();
    input_ids[input_ids.indexOf(golden.image_token.id)] = 5;
    await expect(opened.score({ ...request, sequences: [{ ...sequence!, input_ids }] }, never())).rejects.toThrow(
      /15 image tokens where its images have 16 feature rows/,
    );
  });
});

test("a worker exits by itself when its parent is killed", async () => {
  const script = join(tmpdir(), `vig-orphan-${process.pid}.mts`);
  const loader = pathToFileURL(fileURLToPath(new URL("../../src/model/load-model.ts", import.meta.url))).href;
  writeFileSync(
    script,
    `import { loadModel } from ${JSON.stringify(loader)};
     const model = await loadModel({ path: ${JSON.stringify(fixtureFolder("llava"))} });
     await model.openScorer({ num_workers: 1, num_threads: 1, devices: ["cpu"] }, new AbortController().signal);
     console.log("open");`,
  );
  const parent = spawn(process.execPath, ["--import", "tsx", script], { stdio: ["ignore", "pipe", "inherit"] });
  await new Promise((resolve) => parent.stdout.once("data", resolve));
  const workers = workersOf(parent.pid!);
  expect(workers).toHaveLength(1);
  parent.kill("SIGKILL");
  await until(() => workers.every((pid) => !isAlive(pid)));
});

function isAlive(pid: number): boolean {
  try {
    const state = execFileSync("ps", ["-o", "stat=", "-p", String(pid)], { encoding: "utf8" }).trim();
    return !state.startsWith("Z");
  } catch {
    return false;
  }
}
