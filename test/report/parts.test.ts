/** The report's smaller parts. */
import { describe, expect, it } from "vitest";
import sharp from "sharp";
import { rejectsSchema } from "../../src/core/columns.ts";
import { silentObserver } from "../../src/core/progress.ts";
import { int32Column, makeRecordBatch, utf8Column } from "../../src/core/record-batch.ts";
import { SampleChoice } from "../../src/report/choose-samples.ts";
import { nats } from "../../src/report/format.ts";
import { standInOf, takePicture } from "../../src/report/pictures.ts";
import { RejectExamples } from "../../src/report/reject-examples.ts";
import { parseTimeline, TimelineRecorder } from "../../src/report/run-timeline.ts";
import { tintClass, tintLimit } from "../../src/report/tint.ts";
import { WordTally } from "../../src/report/word-table.ts";
import { scoresOf, type SyntheticSample, syntheticSamples } from "./synthetic-run.ts";

describe("the samples shown", () => {
  const samples = syntheticSamples(900);
  const scores = scoresOf(samples);
  const vigs = samples.map((sample) => (sample.images.length === 0 ? null : sample.tokens.reduce((sum, token) => sum + token.vig, 0) / sample.tokens.length));

  function choose(batchRows: number) {
    const choice = new SampleChoice(900, 0.2);
    for (let start = 0; start < 900; start += batchRows) choice.observe({ start, batch: scores.slice(start, Math.min(900, start + batchRows)) });
    return choice.chosen();
  }

  it("are the extremes by sorting, best first", () => {
    const ranked = vigs.flatMap((vig, place) => (vig === null ? [] : [{ vig, place }])).sort((a, b) => b.vig - a.vig || a.place - b.place);
    const of = (group: "highest" | "lowest") => choose(900).filter(({ groups }) => groups.includes(group)).map(({ place }) => place);
    expect(of("highest")).toEqual(ranked.slice(0, 12).map(({ place }) => place));
    expect(of("lowest").sort()).toEqual(ranked.slice(-12).map(({ place }) => place).sort());
  });

  it("do not depend on how rows are cut into batches", () => {
    expect(choose(7)).toEqual(choose(900));
  });

  it("with contradicted words speak for the image as a whole and against it in a token", () => {
    for (const { place } of choose(900).filter(({ groups }) => groups.includes("contradicted"))) {
      expect(vigs[place]).toBeGreaterThanOrEqual(0);
      expect(Math.min(...samples[place]!.tokens.map(({ vig }) => vig))).toBeLessThan(0);
    }
  });
});

describe("the words", () => {
  function tally(samples: readonly SyntheticSample[]) {
    const words = new WordTally(1_000);
    words.observe({ start: 0, batch: scoresOf(samples) });
    return words.result();
  }

  it("rank what is seen above what grammar gives, with their parts of speech", () => {
    const { highest, lowest, parts_of_speech } = tally(syntheticSamples(800));
    expect(highest.map(({ word }) => word)).toContain("kettle");
    expect(lowest.map(({ word }) => word)).toContain("the");
    expect(highest.find(({ word }) => word === "whale")?.part_of_speech).toBe("nouns");
    const names = parts_of_speech.map(({ name }) => name);
    expect(names.indexOf("adjectives")).toBeLessThan(names.indexOf("determiners"));
    for (const { low, mean_vig, high } of parts_of_speech) expect(low <= mean_vig && mean_vig <= high).toBe(true);
  });

  it("are not tagged where they are no English", () => {
    const [sample] = syntheticSamples(1);
    const german = Array.from({ length: 30 }, (_, i) => ({
      ...sample!,
      images: ["a.png"],
      tokens: ["Der", " Wal", " schwimmt", " neben", " dem", " Boot", ` ${i % 2}`].map((text) => ({ text, vig: 1, nll_image: 1 })),
    }));
    const { parts_of_speech, highest } = tally(german);
    expect(parts_of_speech).toEqual([]);
    expect(highest.every(({ part_of_speech }) => part_of_speech === undefined)).toBe(true);
  });
});

describe("reject examples", () => {
  it("are a few of each code, the same each time, and count the splits", () => {
    const rows = Array.from({ length: 100 }, (_, i) => ({ code: i % 10 === 0 ? "duplicate_id" : "image_corrupt", split: i % 3 }));
    const batch = makeRecordBatch(rejectsSchema, {
      sample_id: utf8Column(rows.map((_, i) => `s${i}`)),
      split: int32Column(Int32Array.from(rows, ({ split }) => split)),
      stage: utf8Column(rows.map(() => "decode")),
      code: utf8Column(rows.map(({ code }) => code)),
      message: utf8Column(rows.map(() => "m".repeat(1_000))),
    });
    const [examples, again] = [new RejectExamples(), new RejectExamples()];
    examples.observe(batch);
    for (let row = 0; row < 100; row += 9) again.observe(batch.slice(row, Math.min(100, row + 9)));
    expect(examples.of("image_corrupt")).toHaveLength(3);
    expect(examples.of("image_corrupt")[0]!.message).toHaveLength(300);
    expect(again.of("image_corrupt")).toEqual(examples.of("image_corrupt"));
    expect([...examples.bySplit]).toEqual([[0, 34], [1, 33], [2, 33]]);
  });
});

describe("the timeline", () => {
  it("keeps the run's course in few points, and reads back", async () => {
    const recorder = new TimelineRecorder(silentObserver, () => 123);
    recorder.report({ event: "phase_started", phase: "score" });
    for (let i = 0; i < 300; i++) {
      recorder.report({ event: "batch_scored", num_samples: 2, num_tokens: 10 });
      if (i % 30 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    }
    recorder.report({ event: "phase_finished", phase: "score", duration_ms: 50 });
    const timeline = recorder.timeline("run");
    expect(timeline.points.at(-1)).toMatchObject({ num_samples: 600, num_tokens: 3_000, resident_bytes: 123 });
    expect(timeline.phases).toHaveLength(1);
    expect(parseTimeline(JSON.stringify(timeline))).toEqual(timeline);
    expect(parseTimeline("{")).toBeUndefined();
    expect(parseTimeline('{"points": 1}')).toBeUndefined();
  });

  it("passes every event on", () => {
    const seen: string[] = [];
    const recorder = new TimelineRecorder({ report: ({ event }) => void seen.push(event) }, () => 0);
    recorder.report({ event: "phase_started", phase: "scan" });
    recorder.report({ event: "warning", code: "model", message: "m" });
    expect(seen).toEqual(["phase_started", "warning"]);
  });
});

describe("pictures", () => {
  const image = (width: number, height: number) =>
    sharp(Uint8Array.from({ length: width * height * 3 }, (_, i) => (Math.floor(i / 3) % width < width / 2 ? 0 : 255)), { raw: { width, height, channels: 3 } }).png().toBuffer();
  const pixels = async (url: string): Promise<Buffer> => sharp(Buffer.from(url.split(",")[1]!, "base64")).raw().toBuffer();
  /** Grey levels along the middle row. */
  const spread = async (url: string, width: number): Promise<number> => {
    const data = await pixels(url);
    return [...data.subarray(0, width * 3)].filter((value) => value > 40 && value < 215).length / 3;
  };

  it("are small, keep their shape, and have the run's blur at their own scale", async () => {
    const blurOf = (blur: Record<string, unknown>) => standInOf({ stand_in: "gaussian", at: "model_input", ...blur });
    const picture = await takePicture(await image(960, 480), blurOf({ sigma_fraction: 0.1 }));
    if (typeof picture === "string") throw new Error(picture);
    expect([picture.width, picture.height]).toEqual([288, 144]);
    // A sigma of 33.6 px in a view whose shorter side is 336 px is the same tenth.
    const inPixels = await takePicture(await image(960, 480), blurOf({ sigma_px: 33.6, view_shorter_side_px: 336 }));
    const inSource = await takePicture(await image(960, 480), blurOf({ sigma_px: 48, at: "source" }));
    expect(inPixels).toEqual(picture);
    expect(inSource).toEqual(picture);
    expect(await spread(picture.blurred, 288)).toBeGreaterThan(await spread(picture.clean, 288));
  });

  it.each(["gray", "mean_color"])("show a flat stand-in of %s", async (stand_in) => {
    const picture = await takePicture(await image(64, 64), standInOf({ stand_in, at: "model_input" }));
    if (typeof picture === "string") throw new Error(picture);
    const data = await pixels(picture.blurred);
    expect(Math.max(...data) - Math.min(...data)).toBeLessThan(4);
  });

  it("say why there is none", async () => {
    expect(await takePicture(new Uint8Array(0), undefined)).toBe("the file is empty");
  });

  it("have no blurred one where the blur is unknown", async () => {
    expect(await takePicture(await image(8, 8), standInOf({ stand_in: "gaussian", sigma_px: 8, at: "model_input" }))).toMatchObject({ blurred: "" });
  });
});

describe("colours and numbers", () => {
  it.each([
    [0, "v0"],
    [0.001, "v0"],
    [-0.001, "v0"],
    [3, "v8"],
    [30, "v8"],
    [-3, "v-8"],
    [1, "v4"],
  ])("tint a VIG of %d as %s of 3", (vig, name) => {
    expect(tintClass(vig, 3)).toBe(name);
  });

  it("have their limit where nearly all tokens are below", () => {
    const counts = Array.from({ length: 100 }, (_, i) => (i < 98 ? 1 : 0));
    expect(tintLimit({ start: 0, width: 1, counts, num_below: 0, num_above: 0 })).toBeGreaterThan(90);
    expect(tintLimit({ start: 0, width: 1, counts: [0], num_below: 0, num_above: 0 })).toBe(0.5);
  });

  it.each([
    [0.12345, "0.123"],
    [-0.012345, "−0.0123"],
    [-0.00001, "0.0000"],
    [Infinity, "∞"],
  ])("print %d nats as %s", (value, text) => {
    expect(nats(value)).toBe(text);
  });
});
