import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ScoreRequest, SequenceNlls } from "../../src/model/contract.ts";
import { readModelProto } from "../../src/model/graph-file.ts";
import { joinedHead } from "../../src/model/head-check.ts";
import { JoinedRunner } from "../../src/model/joined-runner.ts";
import { familyFolderOf, loadModel } from "../../src/model/load-model.ts";
import { modelConfig } from "../../src/model/model-config.ts";
import { readModelFolder } from "../../src/model/model-folder.ts";
import { LostSplitError, ModelRunner } from "../../src/model/model-runner.ts";
import { cutHead } from "../../src/model/scoring-head.ts";
import type { WorkerModel } from "../../src/model/worker-protocol.ts";
import { fixtureFolder, readGolden, requestOf } from "./golden.ts";

const TOLERANCE = 1e-5; // nats; the same float32 arithmetic in another order of memory

describe("JoinedRunner", () => {
  let folder: string;
  let request: ScoreRequest;
  let expected: readonly SequenceNlls[];
  let joined: JoinedRunner;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "joined-"));
    const config = modelConfig.parse({ path: fixtureFolder("llava"), dtype: "fp32" });
    const files = await readModelFolder(config.path, config.dtype);
    const model: WorkerModel = { model_type: "llava", folder: familyFolderOf(files, config), graphs: files.graphs, device: "cpu", num_threads: 1, max_length: 2048 };
    const golden = readGolden("llava");
    request = await requestOf(golden, await loadModel(config), golden.cases.filter(({ variant, images }) => variant === "default" && images.length > 0));
    expected = (await (await ModelRunner.open(model, { kind: "full_logits", reason: "test" })).score(0, request.images, request.sequences)).sequences;
    const decoder = await readModelProto(files.graphs.decoder_model_merged.path);
    cutHead(decoder, "steps");
    const head = await joinedHead(model, decoder, join(folder, "head.onnx"));
    joined = await JoinedRunner.open(model, head.joined!);
  }, 60_000);

  afterAll(() => rm(folder, { recursive: true }));

  function expectClose(found: readonly SequenceNlls[], wanted: readonly SequenceNlls[]): void {
    expect(found.length).toBe(wanted.length);
    wanted.forEach(({ nll_image, nll_blur }, i) => {
      nll_image.forEach((value, t) => expect(Math.abs(value - found[i]!.nll_image[t]!)).toBeLessThan(TOLERANCE));
      nll_blur.forEach((value, t) => expect(Math.abs(value - found[i]!.nll_blur[t]!)).toBeLessThan(TOLERANCE));
    });
  }

  test("gives what the three graphs give, clean and blurred apart", async () => {
    const { sequences, statistics } = await joined.score(0, request.images, request.sequences);
    expectClose(sequences, expected);
    expect(expected.some(({ nll_image, nll_blur }) => nll_image.some((value, t) => Math.abs(value - nll_blur[t]!) > 100 * TOLERANCE))).toBe(true);
    expect(statistics.session_ms).toBeGreaterThan(0);
    expect(statistics.host_ms).toBeGreaterThanOrEqual(0);
  });

  test("keeps an image's features for as many sequences as show it, whatever the batches", async () => {
    const uses = (key: string) => request.sequences.filter(({ images }) => images.includes(key)).length;
    const images = request.images.map((image) => ({ ...image, uses: uses(image.key) + 1 }));
    const [first] = request.sequences;
    expectClose((await joined.score(1, images, request.sequences)).sequences, expected);
    expectClose((await joined.score(1, [], [first!])).sequences, expected.slice(0, 1));
    await expect(joined.score(1, [], [first!])).rejects.toThrow(LostSplitError);
  });

  test("mixes new and kept images in one batch", async () => {
    const [first] = request.sequences;
    const [known, others] = [request.images.filter(({ key }) => first!.images.includes(key)), request.images.filter(({ key }) => !first!.images.includes(key))];
    expect(others.length).toBeGreaterThan(0);
    await joined.score(2, known.map((image) => ({ ...image, uses: 99 })), [first!]);
    expectClose((await joined.score(2, others, request.sequences)).sequences, expected);
  });

  test("forgets a split that is closed", async () => {
    await joined.score(3, request.images.map((image) => ({ ...image, uses: 99 })), request.sequences);
    joined.closeSplit(3);
    await expect(joined.score(3, [], request.sequences)).rejects.toThrow(LostSplitError);
  });
});
