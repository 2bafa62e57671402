/** Encoded images of every kind that data sets hold, good and bad. */
import { deflateSync } from "node:zlib";
import sharp, { type Sharp } from "sharp";

/** A picture with some structure: flat ones hide mistakes. */
function raw(width: number, height: number, channels: 1 | 2 | 3 | 4 = 3): Sharp {
  const data = Buffer.from(Uint8Array.from({ length: width * height * channels }, (_, i) => (i * 37 + ((i / width) | 0) * 11) % 256));
  return sharp(data, { raw: { width, height, channels } });
}

/** Two frames. */
function animation(): Sharp {
  const frame = (value: number) => Buffer.alloc(24 * 24 * 3, value);
  return sharp(Buffer.concat([frame(40), frame(200)]), { raw: { width: 24, height: 48, channels: 3, pageHeight: 24 } });
}

/** These are samples like any other. */
export const GOOD_IMAGES: Readonly<Record<string, () => Promise<Buffer>>> = {
  "animated.gif": () => animation().gif().toBuffer(),
  "animated.webp": () => animation().webp().toBuffer(),
  "cmyk.jpg": () => raw(40, 30).toColourspace("cmyk").jpeg().toBuffer(),
  "sixteen-bit.png": () => raw(40, 30).toColourspace("rgb16").png().toBuffer(),
  "gray.png": () => raw(40, 30, 1).toColourspace("b-w").png().toBuffer(),
  "gray-alpha.png": () => raw(40, 30, 2).png().toBuffer(),
  "alpha.png": () => raw(40, 30, 4).png().toBuffer(),
  "palette.png": () => raw(40, 30).png({ palette: true }).toBuffer(),
  "exif.jpg": () => raw(40, 30).jpeg().withMetadata({ orientation: 6 }).toBuffer(),
  "one-pixel.png": () => raw(1, 1).png().toBuffer(),
  "very-wide.png": () => raw(6_000, 2).png().toBuffer(),
  "very-tall.jpg": () => raw(2, 6_000).jpeg().toBuffer(),
  "webp-called.png": () => raw(40, 30).webp().toBuffer(),
};

/** A PNG whose header says `side` x `side`, with next to nothing behind it. */
export function pngBomb(side: number): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(side, 0);
  header.writeUInt32BE(side, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const signature = Buffer.from("\x89PNG\r\n\x1a\n", "latin1");
  return Buffer.concat([signature, pngChunk("IHDR", header), pngChunk("IDAT", deflateSync(Buffer.alloc(100))), pngChunk("IEND", Buffer.alloc(0))]);
}

function pngChunk(type: string, body: Buffer): Buffer {
  const typed = Buffer.concat([Buffer.from(type), body]);
  const chunk = Buffer.alloc(typed.length + 8);
  chunk.writeUInt32BE(body.length, 0);
  typed.copy(chunk, 4);
  chunk.writeUInt32BE(crc32(typed), typed.length + 4);
  return chunk;
}

function crc32(bytes: Buffer): number {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}
