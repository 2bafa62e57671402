import { readFileSync } from "node:fs";
import path from "node:path";
import { expect, it } from "vitest";
import { startThread } from "../../src/core/entry-point.ts";
import { Binary, list, struct, Utf8, writeParquetFixture } from "../io/sources/parquet-fixture.ts";
import { temporaryFolder } from "../io/temporary-folder.ts";
import { SEED, TARGET_MS } from "./fuzz.ts";
import type { DecoderTask } from "./parquet-decoder-thread.ts";

/** Silence for so long is a finding: the decoder does not come back. */
const INPUT_MS = 20_000;

it("Parquet decoder: rows, an error, or a panic that ends its thread and nothing else", async () => {
  const folder = temporaryFolder();
  const file = path.join(folder, "a.parquet");
  const image = struct({ bytes: new Binary(), path: new Utf8() });
  const turns = [{ from: "human", value: "<image>\nWhat?" }, { from: "gpt", value: "It." }];
  const types = { id: new Utf8(), image, conversations: list(struct({ from: new Utf8(), value: new Utf8() })) };
  const corpus = [[12, 5], [1, 1], [200, 64]].map(([count, group]) => {
    writeParquetFixture(file, types, Array.from({ length: count! }, (_, n) => ({ id: `r${n}`, image: { bytes: Buffer.from(`image ${n}`), path: `${n}.png` }, conversations: turns })), group);
    return readFileSync(file);
  });
  const dictionary = ["PAR1", Buffer.from([0xff, 0xff, 0xff, 0x7f]), Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f]), Buffer.alloc(8), "conversations", Buffer.from([0x19, 0xfc]), Buffer.from([0x80, 0x80, 0x80, 0x80, 0x08])];
  const end = performance.now() + TARGET_MS;
  let [next, num_panics] = [0, 0];
  while (performance.now() < end) {
    const task: DecoderTask = { file, corpus, dictionary, first: next };
    const outcome = await decodeUntil(end, task);
    next = outcome.last + 1;
    if (outcome.panic !== undefined) {
      num_panics++;
      expect(outcome.panic.name, `input ${outcome.last} of seed ${SEED}: ${outcome.panic.message}`).toBe("RuntimeError");
    }
  }
  console.log(`Parquet decoder: ${next} inputs of seed ${SEED}, ${num_panics} panics`);
  expect(next).toBeGreaterThan(20);
});

/** Runs the thread to its end or to that time. */
async function decodeUntil(end: number, task: DecoderTask): Promise<{ readonly last: number; readonly panic?: Error }> {
  const thread = startThread(import.meta.url, "./parquet-decoder-thread.ts", { workerData: task });
  let last = task.first;
  try {
    return await new Promise((resolve, reject) => {
      const silent = () => reject(new Error(`Parquet decoder: input ${last} of seed ${SEED} (kept in ${task.file}) took more than ${INPUT_MS} ms`));
      let watch = setTimeout(silent, INPUT_MS);
      setTimeout(() => resolve({ last }), Math.max(0, end - performance.now())).unref();
      thread.on("message", (n: number) => {
        last = n;
        clearTimeout(watch);
        watch = setTimeout(silent, INPUT_MS);
      });
      thread.on("error", (panic) => {
        clearTimeout(watch);
        resolve({ last, panic: panic });
      });
    });
  } finally {
    await thread.terminate();
  }
}
