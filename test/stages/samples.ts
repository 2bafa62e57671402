import sharp from "sharp";
import type { RecordBatch } from "apache-arrow";
import { imagesSchema, samplesSchema } from "../../src/core/columns.ts";
import { emptyRecordBatch, makeRecordBatch, messagesColumn, utf8Column, utf8ListColumn } from "../../src/core/record-batch.ts";
import type { Sample } from "../../src/core/sample.ts";

export const noImages = emptyRecordBatch(imagesSchema);

export function samplesBatch(samples: readonly Sample[]): RecordBatch {
  return makeRecordBatch(samplesSchema, {
    sample_id: utf8Column(samples.map((sample) => sample.sample_id)),
    source: utf8Column(samples.map((sample) => sample.source)),
    images: utf8ListColumn(samples.map((sample) => sample.images)),
    messages: messagesColumn(samples.map((sample) => sample.messages)),
  });
}

export function sample(id: string, images: readonly string[], answer: string, question = "what is it ?"): Sample {
  return {
    sample_id: id,
    source: "test",
    images,
    messages: [
      { role: "user", content: `${images.map(() => "<image>").join(" ")} ${question}` },
      { role: "assistant", content: answer },
    ],
  };
}

/** A PNG of a red square on a gradient, different for every seed. */
export async function pngOf(seed: number, width = 16, height = 12): Promise<Buffer> {
  const data = Buffer.alloc(width * height * 3);
  for (let i = 0; i < width * height; i++) {
    const inside = Math.abs((i % width) - (seed % width)) < 3;
    data.set([inside ? 255 : (i * 7 + seed * 13) % 200, (i + seed) % 256, (seed * 31) % 256], i * 3);
  }
  return sharp(data, { raw: { width, height, channels: 3 } }).png().toBuffer();
}
