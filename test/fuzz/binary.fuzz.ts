import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { expect, it } from "vitest";
import { PipelineError } from "../../src/core/errors.ts";
import type { Source } from "../../src/core/source.ts";
import { isImageReject } from "../../src/core/stage.ts";
import { openParquetSource, parquetSourceConfig } from "../../src/io/sources/parquet-source.ts";
import { openWebdataset, webdatasetConfig } from "../../src/io/sources/webdataset.ts";
import { decodeSource, readImageSize } from "../../src/stages/image-decoding.ts";
import { Binary, list, struct, Utf8, writeParquetFixture } from "../io/sources/parquet-fixture.ts";
import { readSplit, splitsOf } from "../io/sources/read-all.ts";
import { tarOf } from "../io/sources/tar-fixture.ts";
import { temporaryFolder } from "../io/temporary-folder.ts";
import { GOOD_IMAGES, pngBomb } from "../rejects/odd-images.ts";
import { fuzz } from "./fuzz.ts";

/** Every record a sample or a reject, every image bytes or a reject; or an error that names the file. */
async function expectSoundOrNamed(name: string, open: () => Promise<Source>): Promise<void> {
  try {
    const source = await open();
    for (const split of await splitsOf(source)) {
      const { samples, rejects, readImage } = await readSplit(source, split);
      expect(samples.length + rejects.length).toBe(split.num_records);
      for (const sample of samples) for (const key of sample.images) expect(["object", "string"]).toContain(typeof (await readImage(key)));
    }
  } catch (error) {
    if (!(error instanceof PipelineError)) throw error;
    expect(error.name === "InternalError" ? error : undefined).toBeUndefined();
    expect(error.message).toContain(name);
  }
}

const turns = [{ from: "human", value: "<image>\nWhat?" }, { from: "gpt", value: "It." }];

it("Parquet", async () => {
  const folder = temporaryFolder();
  const file = path.join(folder, "a.parquet");
  const image = struct({ bytes: new Binary(), path: new Utf8() });
  const write = (count: number, group: number): Buffer => {
    writeParquetFixture(file, { id: new Utf8(), image, conversations: list(struct({ from: new Utf8(), value: new Utf8() })) }, Array.from({ length: count }, (_, n) => ({ id: `r${n}`, image: { bytes: Buffer.from(`image ${n}`), path: `${n}.png` }, conversations: turns })), group);
    return readFileSync(file);
  };
  const count = await fuzz({
    name: "a.parquet",
    corpus: [write(12, 5), write(1, 1)],
    dictionary: ["PAR1", Buffer.from([0xff, 0xff, 0xff, 0x7f]), Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f]), Buffer.alloc(8), "conversations", Buffer.from([0x19, 0xfc]), Buffer.from([0x80, 0x80, 0x80, 0x80, 0x08])],
    check(input) {
      writeFileSync(file, input);
      return expectSoundOrNamed("a.parquet", () => openParquetSource(parquetSourceConfig.parse({ kind: "parquet", files: file, split_samples: 4 })));
    },
  });
  expect(count).toBeGreaterThan(2);
});

it("tar", async () => {
  const file = path.join(temporaryFolder(), "a.tar");
  const record = { conversations: turns };
  const sound = await tarOf([
    ["0001.json", record],
    ["0001.jpg", "image 1"],
    ["folder/0002.json", record],
    ["folder/0002.0.png", "image 2"],
    [`${"long/".repeat(30)}0003.json`, record],
    [`${"long/".repeat(30)}0003.png`, "image 3"],
  ]);
  const links = await tarOf([["0001.json", record], ["0001.jpg", "", { type: "symlink", linkname: "/etc/passwd" }], ["../0002.json", record], ["/0003.json", record]]);
  const count = await fuzz({
    name: "a.tar",
    corpus: [sound, links, gzipSync(sound), Buffer.alloc(1_024)],
    dictionary: ["ustar\0", "../", "/", "\0", "77777777777\0", "00000000000\0", Buffer.alloc(512), Buffer.from([0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]), Buffer.from([0x1f, 0x8b, 8]), "L", "x", "g", "2", "5", "30 mtime=1", "17 path=../../x\n"],
    check(input) {
      writeFileSync(file, input);
      return expectSoundOrNamed("a.tar", () => openWebdataset(webdatasetConfig.parse({ kind: "webdataset", shards: file, split_samples: 2 })));
    },
  });
  expect(count).toBeGreaterThan(50);
});

it("images", async () => {
  const limits = { max_pixels: 1_000_000, apply_exif_orientation: true };
  const sound = await Promise.all(Object.values(GOOD_IMAGES).map((encode) => encode()));
  const count = await fuzz({
    name: "image",
    corpus: [...sound, pngBomb(60_000)],
    dictionary: ["IHDR", "IDAT", "IEND", "acTL", "fcTL", "iCCP", "eXIf", "tRNS", "PLTE", "RIFF", "WEBP", "VP8 ", "VP8L", "VP8X", "ANIM", "ANMF", "GIF89a", Buffer.from([0xff, 0xd8, 0xff]), Buffer.from([0xff, 0xc0]), Buffer.from([0xff, 0xc4]), Buffer.from([0xff, 0xda]), Buffer.from([0xff, 0xd9]), Buffer.from([0xff, 0xe1]), Buffer.from([0x2c]), Buffer.from([0x7f, 0xff, 0xff, 0xff]), Buffer.alloc(4)],
    async check(input) {
      const size = await readImageSize(input, limits);
      const pixels = await decodeSource(input, limits);
      if (isImageReject(size)) expect(pixels).toMatchObject({ code: size.code });
      if (isImageReject(pixels)) return void expect(["image_corrupt", "image_unsupported_format", "image_too_large"]).toContain(pixels.code);
      expect(pixels.data.length).toBe(pixels.width * pixels.height * 3);
      expect(pixels.width * pixels.height).toBeLessThanOrEqual(limits.max_pixels);
      expect({ width: pixels.width, height: pixels.height }).toEqual(size);
    },
  });
  expect(count).toBeGreaterThan(100);
});
