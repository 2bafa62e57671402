import fc from "fast-check";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";
import { describe, expect, test } from "vitest";
import { pillowResize } from "../../src/kernels/pillow-resize.ts";
import { viewPixels } from "../../src/kernels/view-pixels.ts";
import { loadModel } from "../../src/model/load-model.ts";
import { fixtureFolder, readGolden } from "../model/golden.ts";

async function rgb(path: string) {
  const { data, info } = await sharp(readFileSync(path)).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, data: new Uint8Array(data) };
}

/** Families with all of Pillow's smooth kernels, scaling up and down, cropping and padding. */
describe("views equal the canvases that Pillow made, bit for bit", () => {
  for (const family of ["llava", "llava_onevision", "idefics3", "smolvlm", "qwen2_vl", "gemma3"]) {
    const golden = readGolden(family);
    test.each(Object.entries(golden.images))(`${family}: %s`, async (_, { file, canvases }) => {
      const model = await loadModel({ path: fixtureFolder(family), dtype: "fp32" });
      const source = await rgb(join(golden.folder, file));
      const views = model.views(source).map(({ steps }) => viewPixels(source, steps));
      const wanted = ["main", "tiles", "global"].flatMap((role) => canvases["default"]!.canvases[role] ?? []);
      expect(wanted.length).toBeGreaterThan(0);
      for (const [i, canvas] of wanted.entries()) {
        const { width, height, data } = await rgb(join(golden.folder, canvas.file));
        expect({ width: views[i]!.width, height: views[i]!.height }).toEqual({ width, height });
        expect(Buffer.compare(views[i]!.data, data)).toBe(0);
      }
    });
  }
});

test("nearest takes Pillow's pixel where a centre falls between two", () => {
  const row = Uint8Array.from({ length: 100 * 3 }, (_, i) => Math.floor(i / 3));
  // Pillow 13.0: the centre of pixel 18 of 37 is 50 exactly, and 49.999... by adding.
  expect(pillowResize(row, 100, 1, 37, 1, "nearest")[18 * 3]).toBe(49);
});

const size = fc.integer({ min: 1, max: 12 });
const kernel = fc.constantFrom("nearest" as const, "bilinear" as const, "bicubic" as const, "lanczos" as const);

test("an even image stays even, whatever its size becomes", () => {
  fc.assert(
    fc.property(size, size, size, size, kernel, fc.integer({ min: 0, max: 255 }), (width, height, outWidth, outHeight, name, level) => {
      const out = pillowResize(new Uint8Array(width * height * 3).fill(level), width, height, outWidth, outHeight, name);
      expect(out.length).toBe(outWidth * outHeight * 3);
      expect(out.every((value) => value === level)).toBe(true);
    }),
  );
});

test("the same size is the same image", () => {
  const pixels = Uint8Array.from({ length: 5 * 4 * 3 }, (_, i) => (i * 37) % 256);
  expect(pillowResize(pixels, 5, 4, 5, 4, "bicubic")).toEqual(pixels);
});

test("channels and axes do not mix: mirrored input gives mirrored output", () => {
  fc.assert(
    fc.property(size, size, size, size, fc.constantFrom("bilinear" as const, "lanczos" as const), (width, height, outWidth, outHeight, name) => {
      const pixels = Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 97 + 31 * (i % 7)) % 256);
      const mirror = (data: Uint8Array, w: number) => Uint8Array.from(data, (_, i) => data[(Math.floor(i / (3 * w)) * w + (w - 1 - (Math.floor(i / 3) % w))) * 3 + (i % 3)]!);
      const straight = pillowResize(pixels, width, height, outWidth, outHeight, name);
      const mirrored = pillowResize(mirror(pixels, width), width, height, outWidth, outHeight, name);
      mirror(mirrored, outWidth).forEach((value, i) => expect(Math.abs(value - straight[i]!)).toBeLessThanOrEqual(1));
    }),
  );
});

test("refuses pixels that do not fit the size", () => {
  expect(() => pillowResize(new Uint8Array(10), 2, 2, 1, 1, "bicubic")).toThrow(RangeError);
});
