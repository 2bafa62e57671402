import { expect, it } from "vitest";
import { ImageDigests } from "../../src/engine/image-digests.ts";
import { sample, samplesBatch } from "../stages/samples.ts";

it("reads no further image at an abort", async () => {
  const controller = new AbortController();
  const reason = new Error("stopped");
  let numRead = 0;
  const digests = new ImageDigests(() => {
    numRead++;
    controller.abort(reason);
    return Promise.resolve(new Uint8Array(1));
  });
  digests.expect(samplesBatch(Array.from({ length: 20 }, (_, i) => sample(`${i}`, [`${i}.png`], "yes"))));
  await expect(digests.ofAll(controller.signal)).rejects.toBe(reason);
  expect(numRead).toBe(1);
});
