/** Which other sample's images each sample is shown with: any other's, or those that are most alike in what is said of them. */
import type { RandomStream } from "../kernels/random-stream.ts";

export type SwapKind = "random" | "similar";

export interface SwapSample {
  readonly images: readonly string[];
  /** All that is said about the images: questions and answers. */
  readonly text: string;
}

/** Words that more than this share of the images have say little about any. */
const MAX_SHARE = 0.5;

/**
 * For each sample the place of another whose images it is to be shown with; -1 where there is none: for text-only
 * samples, and where no other sample has as many images, and other ones.
 *
 * random: uniform over those samples.
 * similar: the images whose text is most like the sample's own. An image's text is that of all samples with it. Likeness is
 * the sum of idf(word)^2 over the words that the two share, divided by the length of the image's vector of idf(word);
 * idf(word) = ln(images / images with the word). Ties are drawn.
 */
export function swapPartners(samples: readonly SwapSample[], kind: SwapKind, random: RandomStream): Int32Array {
  const pictures = picturesOf(samples);
  return kind === "random" ? randomPartners(samples, random) : similarPartners(samples, pictures, random);
}

/** Distinct lists of images. */
interface Picture {
  readonly key: string;
  readonly num_images: number;
  /** A sample that has it. */
  readonly sample: number;
  readonly words: Set<string>;
}

const keyOf = (images: readonly string[]): string => images.join("\n");

function picturesOf(samples: readonly SwapSample[]): Picture[] {
  const byKey = new Map<string, Picture>();
  for (const [place, { images, text }] of samples.entries()) {
    if (images.length === 0) continue;
    const key = keyOf(images);
    let picture = byKey.get(key);
    if (!picture) byKey.set(key, (picture = { key, num_images: images.length, sample: place, words: new Set() }));
    for (const word of wordsOf(text)) picture.words.add(word);
  }
  return [...byKey.values()];
}

function wordsOf(text: string): Set<string> {
  return new Set(text.toLowerCase().match(/[\p{L}\p{M}\p{N}]+/gu));
}

/** Draws that hit the sample's own images before all others are listed. */
const MAX_DRAWS = 16;

function randomPartners(samples: readonly SwapSample[], random: RandomStream): Int32Array {
  const keys = samples.map(({ images }) => keyOf(images));
  const byCount = new Map<number, number[]>();
  for (const [place, { images }] of samples.entries()) {
    const places = byCount.get(images.length);
    if (places) places.push(place);
    else byCount.set(images.length, [place]);
  }
  const draw = (places: readonly number[]): number => (places.length === 0 ? -1 : places[Math.floor(random.uniform() * places.length)]!);
  return Int32Array.from(samples, ({ images }, place) => {
    if (images.length === 0) return -1;
    const places = byCount.get(images.length)!;
    for (let i = 0; i < MAX_DRAWS; i++) {
      const drawn = draw(places);
      if (keys[drawn] !== keys[place]) return drawn;
    }
    return draw(places.filter((other) => keys[other] !== keys[place]));
  });
}

function similarPartners(samples: readonly SwapSample[], pictures: readonly Picture[], random: RandomStream): Int32Array {
  const order = shuffled(pictures, random);
  const byWord = new Map<string, number[]>();
  for (const [place, { words }] of order.entries()) {
    for (const word of words) {
      const places = byWord.get(word);
      if (places) places.push(place);
      else byWord.set(word, [place]);
    }
  }
  const idf = (word: string): number => {
    const count = byWord.get(word)?.length ?? 0;
    return count === 0 || count > MAX_SHARE * order.length ? 0 : Math.log(order.length / count);
  };
  const lengths = order.map(({ words }) => Math.hypot(...[...words].map(idf)));
  const likeness = new Float64Array(order.length);
  return Int32Array.from(samples, ({ images, text }) => {
    likeness.fill(0);
    for (const word of wordsOf(text)) {
      const weight = idf(word) ** 2;
      if (weight > 0) for (const place of byWord.get(word)!) likeness[place]! += weight;
    }
    const key = keyOf(images);
    let best = -1;
    for (const [place, picture] of order.entries()) {
      if (picture.num_images !== images.length || picture.key === key) continue;
      const value = lengths[place]! > 0 ? likeness[place]! / lengths[place]! : 0;
      likeness[place] = value;
      if (best < 0 || value > likeness[best]!) best = place;
    }
    return best < 0 ? -1 : order[best]!.sample;
  });
}

/** Fisher and Yates. */
function shuffled<T>(items: readonly T[], random: RandomStream): T[] {
  const order = [...items];
  for (let i = order.length - 1; i > 0; i--) {
    const j = Math.floor(random.uniform() * (i + 1));
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}
