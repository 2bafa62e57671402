import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ScoreRequest, SequenceNlls } from "../../src/model/contract.ts";
import { readModelProto, relocateExternal } from "../../src/model/graph-file.ts";
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

const FULL_LOGITS = { kind: "full_logits", reason: "test" } as const;

/** A llava folder as a worker gets it, and the golden cases as a request to it. */
async function openFixture(path: string): Promise<{ model: WorkerModel; request: ScoreRequest }> {
  const config = modelConfig.parse({ path, dtype: "fp32" });
  const files = await readModelFolder(config.path, config.dtype);
  const model: WorkerModel = { model_type: "llava", folder: familyFolderOf(files, config), graphs: files.graphs, device: "cpu", num_threads: 1, max_length: 2048 };
  const golden = readGolden("llava");
  const cases = golden.cases.filter(({ variant, images }) => variant === "default" && images.length > 0);
  return { model, request: await requestOf(golden, await loadModel(config), cases) };
}

async function openJoined(model: WorkerModel, folder: string): Promise<JoinedRunner> {
  const { path } = model.graphs.decoder_model_merged;
  const decoder = await readModelProto(path);
  await relocateExternal(path, decoder);
  cutHead(decoder, "steps");
  const head = await joinedHead(model, decoder, join(folder, "head.onnx"));
  return await JoinedRunner.open(model, head.joined!);
}

function expectClose(found: readonly SequenceNlls[], wanted: readonly SequenceNlls[], tolerance = TOLERANCE): void {
  expect(found.length).toBe(wanted.length);
  wanted.forEach(({ nll_image, nll_blur }, i) => {
    nll_image.forEach((value, t) => expect(Math.abs(value - found[i]!.nll_image[t]!)).toBeLessThan(tolerance));
    nll_blur.forEach((value, t) => expect(Math.abs(value - found[i]!.nll_blur[t]!)).toBeLessThan(tolerance));
  });
}

describe("JoinedRunner", () => {
  let folder: string;
  let request: ScoreRequest;
  let expected: readonly SequenceNlls[];
  let joined: JoinedRunner;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "joined-"));
    const { model, request: asked } = await openFixture(fixtureFolder("llava"));
    request = asked;
    expected = (await (await ModelRunner.open(model, FULL_LOGITS)).score(0, request.images, request.sequences)).sequences;
    joined = await openJoined(model, folder);
  }, 60_000);

  afterAll(() => rm(folder, { recursive: true }));

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

describe("graphs of fused operators, with neither mask nor past", () => {
  test("give what the plain graphs give, apart and joined", async () => {
    const folder = await mkdtemp(join(tmpdir(), "fused-"));
    await cp(fixtureFolder("llava_fused"), folder, { recursive: true });
    await cp(join(folder, "onnx_fused"), join(folder, "onnx"), { recursive: true, force: true });
    const [plain, fused] = [await openFixture(fixtureFolder("llava_fused")), await openFixture(folder)];
    expect(fused.model.graphs.decoder_model_merged.inputs.map(({ name }) => name)).toEqual(["inputs_embeds"]);
    expect(plain.model.graphs.decoder_model_merged.inputs.map(({ name }) => name)).toContain("attention_mask");
    const score = async (runner: ModelRunner | JoinedRunner) => (await runner.score(0, plain.request.images, plain.request.sequences)).sequences;
    const expected = await score(await ModelRunner.open(plain.model, FULL_LOGITS));
    const lengths = plain.request.sequences.map(({ input_ids }) => input_ids.length);
    expect(Math.min(...lengths)).toBeLessThan(Math.max(...lengths)); // so there is padding
    expectClose(await score(await ModelRunner.open(fused.model, FULL_LOGITS)), expected, 2e-4);
    expectClose(await score(await openJoined(fused.model, folder)), expected, 2e-4);
    await rm(folder, { recursive: true });
  }, 60_000);
});
