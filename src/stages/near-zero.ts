import type { MaskCounts } from "../core/selection.ts";
import type { WarningCode } from "../core/progress.ts";
import { countActive, keepsSample, type ThresholdGranularity } from "../kernels/loss-mask.ts";
import type { ScoredRows } from "./scored-rows.ts";

/** Nats. Below it the sign of tau decides whether the many tokens with a VIG of about 0 are active. */
export const NEAR_ZERO_NATS = 0.01;

/** How many tokens would be active with tau a little below and a little above 0. Only at work where tau is near 0. */
export class NearZeroCount {
  readonly #granularity: ThresholdGranularity;
  readonly #atWork: boolean;
  #numTokens = 0;
  #numBelow = 0;
  #numAbove = 0;

  constructor(granularity: ThresholdGranularity, tau: number) {
    this.#granularity = granularity;
    this.#atWork = Math.abs(tau) < NEAR_ZERO_NATS;
  }

  /** Whether `add` looks at token VIGs. */
  get needsTokenVig(): boolean {
    return this.#atWork && this.#granularity !== "sample";
  }

  /** A row with a VIG. */
  add(rows: ScoredRows, row: number): void {
    if (!this.#atWork) return;
    this.#numTokens += rows.numTokens(row);
    this.#numBelow += this.#activeAt(-NEAR_ZERO_NATS, rows, row);
    this.#numAbove += this.#activeAt(NEAR_ZERO_NATS, rows, row);
  }

  shares(): MaskCounts["near_zero"] {
    if (!this.#atWork || this.#numTokens === 0) return null;
    return { eps: NEAR_ZERO_NATS, active_share_below: this.#numBelow / this.#numTokens, active_share_above: this.#numAbove / this.#numTokens };
  }

  #activeAt(tau: number, rows: ScoredRows, row: number): number {
    if (!keepsSample(this.#granularity, rows.vig(row), tau)) return 0;
    if (this.#granularity === "sample") return rows.numTokens(row);
    const start = rows.tokenStart(row);
    return countActive(rows.tokenVigValues, start, start + rows.numTokens(row), tau);
  }
}

/** The warning that goes with the shares: tau near zero is a cliff. */
export function nearZeroWarning(tau: number, { near_zero, num_vig_active, num_vig_tokens }: MaskCounts): { readonly code: WarningCode; readonly message: string }[] {
  if (!near_zero) return [];
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
  const message =
    `tau is ${tau.toPrecision(3)} nats, so close to 0 that its sign decides about every token that the image does not change: ` +
    `${percent(num_vig_active / num_vig_tokens)} of the tokens are active now, ${percent(near_zero.active_share_below)} would be at tau -${near_zero.eps}, ` +
    `${percent(near_zero.active_share_above)} at tau ${near_zero.eps}; choose a side with tau or another top_percent`;
  return [{ code: "tau_near_zero", message }];
}
