import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { swapPartners, type SwapSample } from "../../src/analysis/swap-partners.ts";
import { RandomStream } from "../../src/kernels/random-stream.ts";

const partners = (samples: readonly SwapSample[], kind: "random" | "similar", seed = 1): number[] => [...swapPartners(samples, kind, new RandomStream(seed))];

describe("partners", () => {
  const sample = fc.record({ images: fc.array(fc.constantFrom("a", "b", "c", "d"), { maxLength: 2 }), text: fc.constantFrom("", "a red cat", "a red dog", "blue sky", "the the") });

  it.each(["random", "similar"] as const)("%s: have as many images, and other ones; there is one wherever there can be", (kind) => {
    fc.assert(
      fc.property(fc.array(sample, { maxLength: 30 }), fc.nat(), (samples, seed) => {
        const found = partners(samples, kind, seed);
        for (const [place, { images }] of samples.entries()) {
          const fits = (other: SwapSample): boolean => images.length > 0 && other.images.length === images.length && other.images.join() !== images.join();
          if (samples.some(fits)) expect(fits(samples[found[place]!]!)).toBe(true);
          else expect(found[place]).toBe(-1);
        }
        expect(partners(samples, kind, seed)).toEqual(found);
      }),
    );
  });

  it("random: are uniform over the other samples", () => {
    const samples = Array.from({ length: 6 }, (_, i) => ({ images: [`${i}`], text: "" }));
    const counts = new Float64Array(6);
    for (let seed = 0; seed < 2_000; seed++) counts[partners(samples, "random", seed)[0]!]!++;
    expect(counts[0]).toBe(0);
    for (const count of counts.subarray(1)) expect(Math.abs(count - 400)).toBeLessThan(5 * Math.sqrt(320));
  });

  it("similar: are the images that most is said of alike, in all samples that show them", () => {
    const samples: SwapSample[] = [
      { images: ["own"], text: "a rose on a brown card" },
      { images: ["own"], text: "is there a whale" },
      { images: ["rose"], text: "a rose on a pink card" },
      { images: ["whale"], text: "how many things" },
      { images: ["whale"], text: "a whale on a green card" },
      { images: ["far"], text: "blue trucks" },
    ];
    for (let seed = 0; seed < 20; seed++) {
      expect(partners(samples, "similar", seed)[0]).toBe(2);
      // Said of the whale's image by another sample than the first with it.
      expect(samples[partners(samples, "similar", seed)[1]!]!.images).toEqual(["whale"]);
    }
  });
});
