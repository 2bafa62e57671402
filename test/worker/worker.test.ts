/** `pipeline worker --stdio` gives what `pipeline run` gives, and ends however its pipes do. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Binary, Field, List, type RecordBatch, Schema } from "apache-arrow";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { samplesSchema, scoresSchema } from "../../src/core/columns.ts";
import { columnData, concatRows, makeRecordBatch, utf8ListValue, binaryColumn } from "../../src/core/record-batch.ts";
import { listColumn } from "./list-column.ts";
import { readParquet } from "../../src/io/parquet/read-parquet.ts";
import { childrenOf, isAlive, makeJob, pipeline, run, TINY_MODEL, workersOf } from "../resume/job.ts";
import { type ListedSplit, plain, PROGRAM, type Row, splitsStream, stream, Worker } from "./pipes.ts";

vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 });

const folder = makeJob({ split_samples: 4 });
const out = path.join(folder, "out");
let splits: ListedSplit[];
let scores: RecordBatch;

async function rowsOf(dataset: string): Promise<Row[]> {
  const rows: Row[] = [];
  for (const name of readdirSync(path.join(out, dataset)).sort()) {
    for await (const batch of readParquet(path.join(out, dataset, name), {})) for (const row of batch) rows.push(plain(row.toJSON()) as Row);
  }
  return rows;
}

const only = (rows: readonly Row[], kind: string): Row[] => rows.filter((row) => row["kind"] === kind);
const columns = (rows: readonly Row[], names: readonly string[]): Row[] => rows.map((row) => Object.fromEntries(names.map((name) => [name, row[name]])));
const SCORES = scoresSchema.names.map(String);

beforeAll(async () => {
  const ended = await run(folder);
  expect(ended, ended.stderr).toMatchObject({ exit_code: 0 });
  const listed = await pipeline(folder, ["splits", "job.yaml"]);
  splits = listed.stdout.trim().split("\n").map((line) => JSON.parse(line) as ListedSplit);
  const batches: RecordBatch[] = [];
  for await (const batch of readParquet(path.join(out, "scores", "part-00000.parquet"), {})) batches.push(batch);
  scores = concatRows(batches[0]!.schema, batches);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("jobs, all by one worker", () => {
  let worker: Worker;
  beforeAll(() => void (worker = new Worker(folder)));

  it("scores splits as the local run does, bit for bit, and says what was rejected", async () => {
    expect(splits.map(({ split }) => split)).toEqual([0, 1, 2, 3, 4, 5]);
    worker.send(splitsStream(splits.slice(0, 2)));
    const first = await worker.answer();
    worker.send(splitsStream(splits.slice(2)));
    const rows = [...first.rows, ...(await worker.answer()).rows];
    expect(first.metadata.get("vig_pipeline.mode")).toBe("score");
    expect(columns(only(rows, "score"), SCORES)).toEqual(await rowsOf("scores"));
    expect(columns(only(rows, "reject"), ["sample_id", "split", "stage", "code", "message"])).toEqual(await rowsOf("rejects"));
    const records = only(rows, "split").map((row) => JSON.parse(String(row["record"])) as { num_records: number; num_scored: number; vig_histogram: [number, number][] });
    expect(records.map(({ num_records }) => num_records)).toEqual([4, 4, 4, 4, 4, 4]);
    for (const { num_scored, vig_histogram } of records) expect(vig_histogram.reduce((sum, [, count]) => sum + count, 0)).toBe(num_scored);
    expect(only(rows, "score").map((row) => row["row"]).slice(0, 5)).toEqual([0, 1, 2, 3, 0]);
  });

  it("scores samples that come with their images' bytes, a batch a split", async () => {
    const kept = scores.slice(0, 4);
    const images = columnData<List>(kept, "images");
    const keys = Array.from({ length: 4 }, (_, row) => utf8ListValue(images, row));
    const bytes = binaryColumn(keys.flat().map((key) => readFileSync(path.join(TINY_MODEL, "images", key))));
    const schema = new Schema([...samplesSchema.fields, new Field("image_bytes", new List(new Field("item", new Binary(), true)), true)]);
    const sent = makeRecordBatch(schema, {
      ...Object.fromEntries(samplesSchema.names.map((name) => [name, columnData(kept, String(name))])),
      image_bytes: listColumn(keys.map((row) => row.length), bytes),
    });
    worker.send(stream(schema, [sent], { "vig_pipeline.mode": "score" }));
    const { rows } = await worker.answer();
    expect(columns(only(rows, "score"), SCORES)).toEqual((await rowsOf("scores")).slice(0, 4));
  });

  it("masks as the local run does, and counts the same", async () => {
    const { thresholds } = JSON.parse(readFileSync(path.join(out, "manifest.json"), "utf8")) as { thresholds: { tau: number; counts: object }[] };
    const metadata = { "vig_pipeline.mode": "mask", "vig_pipeline.tau": String(thresholds[0]!.tau) };
    worker.send(stream(scores.schema, [scores.slice(0, 9), scores.slice(9)], metadata));
    const { rows } = await worker.answer();
    const selection = await rowsOf("selection");
    expect(selection.length).toBeGreaterThan(10);
    expect(columns(only(rows, "selected"), Object.keys(selection[0]!))).toEqual(selection);
    expect(JSON.parse(String(rows.at(-1)!["record"]))).toEqual(thresholds[0]!.counts);
    worker.send(stream(scores.schema, [scores], { ...metadata, "vig_pipeline.emit": "counts" }));
    expect(plain((await worker.answer()).rows)).toEqual([{ kind: "counts", record: rows.at(-1)!["record"] }]);
  });

  it("loaded the model once, and ends when stdin does", async () => {
    worker.child.stdin!.end();
    expect(await worker.ended).toEqual({ code: 0, signal: null });
    expect(worker.stderr.match(/load finished/g)).toHaveLength(1);
  });
});

describe("errors are said in the stream, on stderr and by the exit code", () => {
  it.each([
    ["another protocol", () => stream(samplesSchema, [], { "vig_pipeline.protocol": "2", "vig_pipeline.mode": "score" }), "vig_pipeline.protocol is 2", 2],
    ["no mode", () => stream(samplesSchema, [], {}), "vig_pipeline.mode is absent", 2],
    ["no tau", () => stream(scores.schema, [], { "vig_pipeline.mode": "mask" }), "vig_pipeline.tau", 2],
    ["columns that are missing", () => stream(new Schema(samplesSchema.fields.slice(1)), [], { "vig_pipeline.mode": "score" }), "no column sample_id", 1],
    ["a split that is not there", () => splitsStream([{ ...splits[0]!, digest: "0".repeat(64) }]), "changed since it was indexed", 1],
  ])("%s", async (_, bytes, message, code) => {
    const worker = new Worker(folder);
    worker.send(bytes());
    const { rows } = await worker.answer();
    expect(String(rows.at(-1)!["record"])).toContain(message);
    expect(rows.at(-1)!["kind"]).toBe("error");
    expect(await worker.ended).toEqual({ code, signal: null });
    expect(worker.stderr).toContain(message);
  });

  it("bytes that are no Arrow", async () => {
    const worker = new Worker(folder);
    worker.send(Buffer.from("sample_id,vig\n1,2\n"));
    expect(await worker.ended).toEqual({ code: 1, signal: null });
    expect(worker.stderr).toContain("no Arrow IPC stream");
  });
});

/** Ends within a time that a person does not notice, however busy the machine. */
async function endsSoon(worker: Worker): Promise<Awaited<Worker["ended"]>> {
  const inference = childrenOf(worker.child.pid!);
  const ended = await Promise.race([worker.ended, sleep(30_000).then(() => "still running" as const)]);
  expect(ended, worker.stderr).not.toBe("still running");
  for (let i = 0; i < 100 && inference.some(isAlive); i++) await sleep(50);
  expect(inference.filter(isAlive)).toEqual([]);
  return ended as Awaited<Worker["ended"]>;
}

describe("however the pipes end, the worker does, and leaves no process", () => {
  it("stdin ends inside a stream", async () => {
    const worker = new Worker(folder);
    worker.send(splitsStream(splits, false));
    await worker.says("load finished");
    worker.child.stdin!.end();
    expect(await endsSoon(worker)).toEqual({ code: 1, signal: null });
    expect(worker.stderr).toContain("stdin ended inside an Arrow stream");
  });

  it("nobody reads stdout, and then nobody can", async () => {
    const worker = new Worker(folder);
    worker.child.stdout!.destroy();
    worker.send(splitsStream(splits, false));
    await worker.says("load finished");
    expect(await endsSoon(worker)).toEqual({ code: 1, signal: null });
    expect(worker.stderr).toContain("whoever was reading it has gone");
  });

  it("stdout is full, and SIGTERM comes", async () => {
    const worker = new Worker(folder);
    // Far more rows than pipes hold; nobody reads.
    worker.send(stream(scores.schema, new Array<RecordBatch>(400).fill(scores), { "vig_pipeline.mode": "mask", "vig_pipeline.tau": "-100" }, false));
    while (worker.child.stdout!.readableLength === 0) await sleep(20);
    await sleep(500);
    // Back-pressure: what is not asked for stays with the sender.
    expect(worker.child.stdin!.writableLength).toBeGreaterThan(0);
    worker.child.kill("SIGTERM");
    expect(await endsSoon(worker)).toEqual({ code: 143, signal: null });
  });

  const answers = async (worker: Worker): Promise<void> => {
    while (worker.child.stdout!.readableLength === 0) await sleep(20);
  };
  it.each([
    ["another job", () => stream(scores.schema, [scores], { "vig_pipeline.mode": "mask", "vig_pipeline.tau": "-100" }), answers],
    ["a job's other scores", () => stream(scores.schema, [scores], { "vig_pipeline.mode": "mask", "vig_pipeline.tau": "-100" }, false), answers],
    ["a job's other splits", () => splitsStream(splits, false), (worker: Worker) => worker.says('"split":5')],
  ])("SIGTERM comes while it waits for %s", async (_, job, done) => {
    const worker = new Worker(folder);
    worker.send(job());
    await done(worker);
    await sleep(200);
    worker.child.kill("SIGTERM");
    expect(await endsSoon(worker)).toEqual({ code: 143, signal: null });
  });

  it("an inference process dies while the other one's lane waits for more splits", async () => {
    const worker = new Worker(folder, ["--set", "resources.num_workers=2"]);
    worker.send(splitsStream(splits, false));
    await worker.says("load finished");
    process.kill(workersOf(worker.child.pid!)[0]!, "SIGKILL");
    for (const { split } of splits) await worker.says(`"split":${split}`);
    worker.child.kill("SIGTERM");
    expect(await endsSoon(worker)).toEqual({ code: 143, signal: null });
  });

  it("the parent is killed, and its pipes are still open elsewhere", async () => {
    // This process holds both pipes, so that neither ends with the parent.
    const script = `"${process.execPath}" "${PROGRAM}" worker job.yaml --stdio --log-format json <&3 >&4 & echo $!; wait`;
    const parent = spawn("sh", ["-c", script], { cwd: folder, stdio: ["ignore", "pipe", "pipe", "pipe", "pipe"] });
    const [pid] = (await once(parent.stdout!, "data")) as [Buffer];
    let said = "";
    parent.stderr!.on("data", (bytes: Buffer) => (said += bytes.toString()));
    (parent.stdio[3] as NodeJS.WritableStream).write(splitsStream(splits, false));
    while (!said.includes("load finished")) await sleep(50);
    const inference = childrenOf(Number(pid));
    parent.kill("SIGKILL");
    for (let i = 0; i < 600 && [Number(pid), ...inference].some(isAlive); i++) await sleep(50);
    expect([Number(pid), ...inference].filter(isAlive)).toEqual([]);
    expect(said).toContain("the process that started this worker");
  });
});
