import sharp from "sharp";
import { expect, test } from "vitest";
import { jpegComponents } from "../../src/kernels/jpeg-components.ts";

const noise = sharp(Buffer.from(Array.from({ length: 16 * 16 * 3 }, (_, i) => (i * 37) % 256)), { raw: { width: 16, height: 16, channels: 3 } });

test.each([
  ["gray", 1, noise.clone().toColourspace("b-w").jpeg()],
  ["colour", 3, noise.clone().jpeg()],
  ["colour, progressive, with EXIF and a profile", 3, noise.clone().withMetadata({ orientation: 6 }).jpeg({ progressive: true })],
  ["CMYK", 4, noise.clone().toColourspace("cmyk").jpeg()],
])("%s: %i components, as libvips counts", async (_, count, image) => {
  const bytes = await image.toBuffer();
  expect(jpegComponents(bytes)).toBe(count);
  expect((await sharp(bytes).metadata()).channels).toBe(count);
});

test("is undefined where the segments lead to no frame", async () => {
  const bytes = await noise.clone().jpeg().toBuffer();
  for (let length = 0; length < 20; length++) expect(jpegComponents(bytes.subarray(0, length))).toBeUndefined();
  expect(jpegComponents(bytes.map((byte, i) => (i === 2 ? 0 : byte)))).toBeUndefined();
  expect(jpegComponents(new Uint8Array(64).fill(0xff, 0, 4))).toBeUndefined();
});
