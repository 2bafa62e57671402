import { writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { PlanError } from "../../src/core/errors.ts";
import { readGolden } from "../../src/doctor/golden-file.ts";
import { fixtureFolder } from "../model/golden.ts";
import { temporaryFolder } from "../io/temporary-folder.ts";

const sample = { id: "a", positions: [3, 4], nll_image: [1, 2], nll_blur: [1.5, 2.5] };

async function refusal(text: string): Promise<PlanError> {
  const file = path.join(temporaryFolder(), "golden.json");
  writeFileSync(file, text);
  return readGolden(file).then(
    () => expect.unreachable(),
    (error: unknown) => error as PlanError,
  );
}

describe("readGolden", () => {
  it("reads samples of the source", async () => {
    const { samples, sigma_fraction, num_left_out } = await readGolden("test/golden/demo-nlls.json");
    expect({ count: samples.length, sigma_fraction, num_left_out }).toEqual({ count: 50, sigma_fraction: 0.28, num_left_out: 0 });
    expect(samples.every(({ content, input_ids }) => content === undefined && input_ids!.length > 0)).toBe(true);
  });

  it("reads cases with their own pixels, those of the folder's own settings", async () => {
    const { samples, num_left_out } = await readGolden(path.join(fixtureFolder("smolvlm"), "cases.json"));
    const { content } = samples.find(({ id }) => id === "two-images")!;
    expect(content!.images.map(({ views }) => views.length)).toEqual([2, 2]);
    expect(content!.images[0]!.views[0]!.blur_file).toMatch(/smolvlm\/images\/.*blur\.png$/);
    expect(num_left_out).toBe(0);
    expect((await readGolden(path.join(fixtureFolder("llava"), "cases.json"))).num_left_out).toBe(2);
  });

  it.each([
    ["not JSON", "{", /it is not JSON/],
    ["another shape", "[1]", /is no golden file: the top level/],
    ["no samples", JSON.stringify({ sigma_fraction: 0.28, samples: [] }), /samples: /],
    ["a number that is a text", JSON.stringify({ sigma_fraction: 0.28, samples: [{ ...sample, nll_image: ["1", 2] }] }), /samples\.0\.nll_image\.0: /],
    ["lists of different lengths", JSON.stringify({ sigma_fraction: 0.28, samples: [{ ...sample, nll_blur: [1] }] }), /sample a has 2 positions, 2 nll_image and 1 nll_blur/],
  ])("refuses %s", async (_, text, message) => {
    const error = await refusal(text);
    expect(error).toBeInstanceOf(PlanError);
    expect(error.message).toMatch(message);
    expect(error.remedy).toContain("docs/models.md");
  });

  it("names a file that is not there", async () => {
    await expect(readGolden("nowhere.json")).rejects.toThrow(/golden file nowhere\.json can't be read/);
  });
});
