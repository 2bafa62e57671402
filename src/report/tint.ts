import type { Distribution } from "./distribution.ts";

/** Steps of colour on either side of neutral; the sheet has a class for each. */
export const TINT_STEPS = 8;

/** |VIG| that gets the full colour: all but the outermost three percent of the tokens lie below, and never less than half a nat. */
export function tintLimit({ start, width, counts }: Distribution): number {
  const byMagnitude = counts
    .map((count, i) => ({ magnitude: Math.max(Math.abs(start + i * width), Math.abs(start + (i + 1) * width)), count }))
    .sort((a, b) => a.magnitude - b.magnitude);
  const total = byMagnitude.reduce((sum, { count }) => sum + count, 0);
  if (total === 0) return 0.5;
  let left = 0.97 * total;
  for (const { magnitude, count } of byMagnitude) if ((left -= count) <= 0) return Math.max(0.5, Number(magnitude.toPrecision(3)));
  return 0.5;
}

/** The class of a VIG's colour, "v-8" to "v8". The page's script has the same rule. */
export function tintClass(vig: number, limit: number): string {
  return `v${Math.sign(vig) * Math.round(TINT_STEPS * Math.min(1, Math.abs(vig) / limit) ** 0.75)}`.replace("v-0", "v0");
}
