import { describe, expect, test } from "vitest";
import { maxCallValues } from "../../src/model/device.ts";
import { encodeViews } from "../../src/model/encode-views.ts";
import type { Family, VisionImage } from "../../src/model/families/family.ts";
import { familyOf } from "../../src/model/families/registry.ts";
import { sessionSource } from "../../src/model/graph-file.ts";
import { type GraphSession, openSession } from "../../src/model/graph-session.ts";
import { familyFolderOf } from "../../src/model/load-model.ts";
import { modelConfig } from "../../src/model/model-config.ts";
import { readModelFolder } from "../../src/model/model-folder.ts";
import { fixtureFolder } from "./golden.ts";

const FAMILIES = ["llava", "llava_onevision", "llava_qwen2", "idefics3", "smolvlm", "qwen2_vl", "qwen2_5_vl", "paligemma", "gemma3"];

async function open(name: string): Promise<{ family: Family; vision: GraphSession }> {
  const config = modelConfig.parse({ path: fixtureFolder(name) });
  const folder = await readModelFolder(config.path, config.dtype);
  const family = familyOf(String(folder.config["model_type"])).open(familyFolderOf(folder, config));
  const vision = await openSession("vision_encoder", await sessionSource(folder.graphs.vision_encoder), { device: "cpu", num_threads: 1 });
  return { family, vision };
}

/** Two images in different shapes, with pixels of their own, each twice. */
function imagesOf(family: Family): VisionImage[] {
  return [[120, 60], [60, 60], [120, 60], [60, 60]].map(([width, height], image) => {
    const source_size = { width: width!, height: height! };
    const views = family.views(source_size).map(({ size }) => ({ ...size, pixels: Uint8Array.from({ length: 3 * size.width * size.height }, (_, i) => (i * (7 + image)) % 256) }));
    return { views: family.viewsInContext?.(views, "alone") ?? views, source_size };
  });
}

/** `vision`, telling of every run how many floats of pixels went in. */
function watched(vision: GraphSession): { session: GraphSession; sizes: number[] } {
  const sizes: number[] = [];
  const run: GraphSession["run"] = (feeds, outputs) => {
    sizes.push(feeds["pixel_values"]!.data.length);
    return vision.run(feeds, outputs);
  };
  return { session: { ...vision, run }, sizes };
}

describe.each(FAMILIES)("%s", (name) => {
  test("an image's features are the same to the last bit, however few tiles share a run", async () => {
    const { family, vision } = await open(name);
    const images = imagesOf(family);
    const [together, apart] = [watched(vision), watched(vision)];
    const wanted = await encodeViews(together.session, family, images, Infinity);
    expect(await encodeViews(apart.session, family, images, 1)).toEqual(wanted);
    // Tiles of one image, too, have a run each.
    const numTiles = images.flatMap(({ views }) => family.tiles?.(views) ?? views).length;
    expect(apart.sizes).toHaveLength(numTiles);
    expect(together.sizes.length).toBeLessThan(numTiles);
    expect(wanted[0]).not.toEqual(wanted[2]);
  });
});

test("a run takes as many views as its limit has room for", async () => {
  const { family, vision } = await open("llava");
  const { session, sizes } = watched(vision);
  const images = imagesOf(family);
  const { width, height } = images[0]!.views[0]!;
  await encodeViews(session, family, images, 3 * 3 * width * height);
  expect(sizes.map((size) => size / (3 * width * height))).toEqual([3, 1]);
});

test("a device gets more in a run than a processor", () => {
  expect(maxCallValues("cuda:1")).toBe(maxCallValues("webgpu"));
  expect(maxCallValues("cuda:1")).toBeGreaterThan(maxCallValues("cpu"));
});
