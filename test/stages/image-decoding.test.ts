import { deflateSync, crc32 } from "node:zlib";
import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { isImageReject } from "../../src/core/stage.ts";
import { decodeSource, readImageSize, renderView, type Pixels } from "../../src/stages/image-decoding.ts";
import { pngOf } from "./samples.ts";

const limits = { max_pixels: 1_000_000, apply_exif_orientation: true };

function raw(width: number, height: number, channels: 1 | 2 | 3 | 4 = 3) {
  const data = Buffer.from(Uint8Array.from({ length: width * height * channels }, (_, i) => (i * 37) % 256));
  return sharp(data, { raw: { width, height, channels } });
}

async function decoded(bytes: Uint8Array): Promise<Pixels> {
  const result = await decodeSource(bytes, limits);
  if (isImageReject(result)) throw new Error(`${result.code}: ${result.message}`);
  return result;
}

/** A PNG that says it is `side` x `side`, with next to no data behind the header. */
function pngBomb(side: number): Buffer {
  const chunk = (type: string, body: Buffer) => {
    const typed = Buffer.concat([Buffer.from(type), body]);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(body.length);
    const check = Buffer.alloc(4);
    check.writeUInt32BE(checksum(typed));
    return Buffer.concat([length, typed, check]);
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(side, 0);
  header.writeUInt32BE(side, 4);
  header.set([8, 2, 0, 0, 0], 8);
  return Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), chunk("IHDR", header), chunk("IDAT", deflateSync(Buffer.alloc(100))), chunk("IEND", Buffer.alloc(0))]);
}

/** CRC-32 of PNG chunks; zlib's own where this Node has it (22 and newer). */
function checksum(bytes: Buffer): number {
  if (typeof crc32 === "function") return crc32(bytes);
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

describe("images that work", () => {
  it.each([
    ["JPEG", () => raw(20, 10).jpeg().toBuffer()],
    ["PNG", () => raw(20, 10).png().toBuffer()],
    ["palette PNG", () => raw(20, 10).png({ palette: true }).toBuffer()],
    ["16-bit PNG", () => raw(20, 10).toColourspace("rgb16").png().toBuffer()],
    ["grayscale PNG", () => raw(20, 10, 1).toColourspace("b-w").png().toBuffer()],
    ["gray with alpha", () => raw(20, 10, 2).png().toBuffer()],
    ["PNG with alpha", () => raw(20, 10, 4).png().toBuffer()],
    ["WebP", () => raw(20, 10).webp().toBuffer()],
    ["lossless WebP with alpha", () => raw(20, 10, 4).webp({ lossless: true }).toBuffer()],
    ["GIF", () => raw(20, 10).gif().toBuffer()],
    ["CMYK JPEG", () => raw(20, 10).toColourspace("cmyk").jpeg().toBuffer()],
    ["progressive JPEG", () => raw(20, 10).jpeg({ progressive: true }).toBuffer()],
  ])("%s becomes RGB of its size", async (_, make) => {
    const { width, height, data } = await decoded(await make());
    expect([width, height, data.length]).toEqual([20, 10, 600]);
  });

  it("1 x 1 and very long images", async () => {
    expect((await decoded(await raw(1, 1).png().toBuffer())).data).toHaveLength(3);
    expect((await decoded(await raw(20_000, 2).png().toBuffer())).width).toBe(20_000);
  });

  it("an animation gives its first frame", async () => {
    const frames = await sharp(Buffer.concat([Buffer.alloc(300, 10), Buffer.alloc(300, 200)]), { raw: { width: 10, height: 20, channels: 3, pageHeight: 10 } })
      .gif({ loop: 0, delay: [50, 50] })
      .toBuffer();
    expect((await sharp(frames, { animated: true }).metadata()).pages).toBe(2);
    const { height, data } = await decoded(frames);
    expect(height).toBe(10);
    expect(Math.max(...data)).toBeLessThan(60);
  });

  it("alpha is dropped, not blended, as Pillow's convert does", async () => {
    const bytes = await sharp(Buffer.from([10, 20, 30, 0]), { raw: { width: 1, height: 1, channels: 4 } }).png().toBuffer();
    expect([...(await decoded(bytes)).data]).toEqual([10, 20, 30]);
  });

  it("CMYK becomes what Pillow makes of it, through no colour profile", async () => {
    // Written by Pillow: 8 x 8 pixels of CMYK (10, 200, 60, 40).
    const bytes = Buffer.from(
      "/9j/7gAOQWRvYmUAZAAAAAAA/9sAQwACAQEBAQECAQEBAgICAgIEAwICAgIFBAQDBAYFBgYGBQYGBgcJCAYHCQcGBggLCAkKCgoKCgYICwwLCgwJCgoK/8AAFAgACAAIBEMRAE0RAFkRAEsRAP/EAB8AAAEFAQEBAQEBAAAAAAAAAAABAgMEBQYHCAkKC//EALUQAAIBAwMCBAMFBQQEAAABfQECAwAEEQUSITFBBhNRYQcicRQygZGhCCNCscEVUtHwJDNicoIJChYXGBkaJSYnKCkqNDU2Nzg5OkNERUZHSElKU1RVVldYWVpjZGVmZ2hpanN0dXZ3eHl6g4SFhoeIiYqSk5SVlpeYmZqio6Slpqeoqaqys7S1tre4ubrCw8TFxsfIycrS09TV1tfY2drh4uPk5ebn6Onq8fLz9PX29/j5+v/aAA4EQwBNAFkASwAAPwD91K/Nuv0Mr9XK/9k=",
      "base64",
    );
    const { data } = await decoded(bytes);
    expect(data).toHaveLength(192);
    expect([...data.slice(0, 3)]).toEqual([207, 46, 164]);
  });

  it("EXIF orientation is applied, or not, as asked", async () => {
    const turned = await raw(20, 10).jpeg().withMetadata({ orientation: 6 }).toBuffer();
    expect(await readImageSize(turned, limits)).toEqual({ width: 10, height: 20 });
    expect(await decodeSource(turned, limits)).toMatchObject({ width: 10, height: 20 });
    const asStored = { ...limits, apply_exif_orientation: false };
    expect(await readImageSize(turned, asStored)).toEqual({ width: 20, height: 10 });
    expect(await decodeSource(turned, asStored)).toMatchObject({ width: 20, height: 10 });
  });

  it("a mislabelled file is read for what it is", async () => {
    // Nothing here sees a file name: a .png that holds a JPEG is a JPEG.
    expect((await decoded(await raw(4, 4).jpeg().toBuffer())).width).toBe(4);
  });
});

describe("images that don't", () => {
  it.each([
    ["an empty file", () => Buffer.alloc(0), "image_corrupt", /empty/],
    ["text", () => Buffer.from("hello world, no image"), "image_unsupported_format", /no known image format/],
    ["SVG", () => Buffer.from("<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>"), "image_unsupported_format", /SVG/],
    ["TIFF", () => raw(4, 4).tiff().toBuffer(), "image_unsupported_format", /TIFF/],
    ["a truncated PNG", async () => (await pngOf(1)).subarray(0, 80), "image_corrupt", /./],
    ["a truncated JPEG", async () => (await raw(64, 64).jpeg().toBuffer()).subarray(0, 900), "image_corrupt", /./],
    ["a header alone", () => Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), "image_corrupt", /./],
    ["a decompression bomb", () => pngBomb(60_000), "image_too_large", /60000 x 60000 pixels exceed max_pixels 1000000/],
  ])("%s", async (_, make, code, message) => {
    const result = await decodeSource(await make(), limits);
    expect(result).toMatchObject({ code });
    expect((result as { message: string }).message).toMatch(message);
  });
});

describe("renderView", () => {
  it("runs resize, crop and pad in any order", async () => {
    const source = await decoded(await raw(30, 20).png().toBuffer());
    const view = await renderView(source, {
      steps: [
        { op: "pad", left: 0, top: 5, right: 0, bottom: 5, color: [1, 2, 3] },
        { op: "resize", width: 15, height: 15, kernel: "bicubic" },
        { op: "crop", left: 2, top: 3, width: 10, height: 9 },
        { op: "pad", left: 1, top: 0, right: 0, bottom: 2, color: [9, 8, 7] },
      ],
      size: { width: 11, height: 11 },
    });
    expect([view.width, view.height, view.data.length]).toEqual([11, 11, 363]);
    expect([...view.data.slice(0, 3)]).toEqual([9, 8, 7]);
  });

  it("leaves an image of the right size untouched", async () => {
    const source = await decoded(await raw(8, 8).png().toBuffer());
    const view = await renderView(source, { steps: [{ op: "resize", width: 8, height: 8, kernel: "bicubic" }], size: { width: 8, height: 8 } });
    expect([...view.data]).toEqual([...source.data]);
  });
});
