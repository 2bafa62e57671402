import type { CurvePoint } from "../curve.ts";
import { activeCurve, sampleDistribution, tauCurve, tokenDistribution } from "../distribution-charts.ts";
import { count, nats, share } from "../format.ts";
import { html, type Html } from "../html.ts";
import type { ReportData } from "../report-data.ts";
import { type Granularity, mainThreshold } from "../run-manifest.ts";

/** The distribution of VIG, and the slider over p. */
export function thresholds(data: ReportData): Html {
  if (data.num_vig === 0) return html`<section id="threshold"><h2>Threshold</h2><p>No sample has a VIG.</p></section>`;
  const { curve, samples_by_vig: bins } = data;
  const run = runIndex(data);
  const beyond = [bins.num_below > 0 && `${count(bins.num_below)} samples lie left of the chart`, bins.num_above > 0 && `${count(bins.num_above)} right of it`].filter(Boolean);
  return html`
<section id="threshold">
  <h2>How much the answers need their images</h2>
  <p class="intro">Every sample by its VIG: <span class="word positive">blue</span> is more likely with the image, <span class="word negative">orange</span> less. Solid samples are kept. Move <var>p</var> to see what another share would keep.</p>
  <figure class="plate">
    ${sampleDistribution(bins)}
    <figcaption>${beyond.length > 0 ? `${beyond.join(", ")}. ` : ""}Below 0: ${count(data.sources.reduce((sum, source) => sum + source.num_negative, 0))} of ${count(data.num_vig)} samples.</figcaption>
  </figure>
  <div class="control">
    <label for="p">Keep the top <output id="p-value" for="p">${percentText(curve[run]!, data.num_vig)}</output></label>
    <input id="p" type="range" min="0" max="${curve.length - 1}" step="1" value="${run}" aria-describedby="p-help">
    <div class="ends" aria-hidden="true"><span>fewer, surer</span><span>all</span></div>
    <div class="readings"><dl>
      <div><dt>τ</dt><dd id="tau-value">${nats(curve[run]!.tau)} nats</dd></div>
      <div><dt>samples kept</dt><dd id="kept-value">${keptText(curve[run]!, data)}</dd></div>
      <div><dt>tokens active</dt><dd id="active-value">${activeText(curve[run]!, data)}</dd></div>
      </dl><button id="p-reset" type="button" class="quiet">Back to this run</button>
    </div>
    <p id="p-help" class="fine">${helpText(data.granularity)} Every stop of the slider is an exact count over all ${count(data.num_vig)} samples, not an estimate.${data.num_text_only > 0 ? ` The ${count(data.num_text_only)} text-only samples are kept whole at any p and not counted here.` : ""}</p>
  </div>
  <div class="trio">
    <figure class="plate">${tauCurve(curve, data.num_vig)}<figcaption>${tauCaption(curve)}</figcaption></figure>
    <figure class="plate">${activeCurve(curve, data.num_vig, data.num_vig_tokens)}<figcaption>Two cuts at one τ: fewer samples, and fewer tokens within them.</figcaption></figure>
    <figure class="plate">${tokenDistribution(data.tokens_by_vig)}<figcaption>Most tokens are function words near 0. Where τ is near 0, its sign decides about all of them.</figcaption></figure>
  </div>
  <details class="numbers">
    <summary>The numbers as a table</summary>
    <div class="scroll" tabindex="0" role="region" aria-label="Table of thresholds"><table>
      <thead><tr><th scope="col">p</th><th scope="col">τ (nats)</th><th scope="col">samples kept</th><th scope="col">tokens active</th><th scope="col">of answer tokens</th></tr></thead>
      <tbody>${curve.filter((point) => point.top_percent === null || point.top_percent % 5 === 0).map((point) => tableRow(point, data))}</tbody>
    </table></div>
  </details>
  ${selections(data)}
</section>`;
}

/** Where the run stands among the slider's stops. */
export function runIndex({ curve, manifest }: Pick<ReportData, "curve" | "manifest">): number {
  const { top_percent, tau } = mainThreshold(manifest);
  const index = curve.findIndex((point) => (top_percent === null ? point.top_percent === null && point.tau === tau : point.top_percent === top_percent));
  return Math.max(0, index);
}

function percentText(point: CurvePoint, numVig: number): string {
  return point.top_percent === null ? `${((100 * point.num_kept) / numVig).toFixed(1)} % (τ given)` : `${point.top_percent} %`;
}

const keptText = (point: CurvePoint, { num_vig }: ReportData): string => `${count(point.num_kept)} (${share(point.num_kept, num_vig)})`;
const activeText = (point: CurvePoint, { num_vig_tokens }: ReportData): string => `${count(point.num_active)} (${share(point.num_active, num_vig_tokens)})`;

function helpText(granularity: Granularity): string {
  switch (granularity) {
    case "sample":
      return "A kept sample keeps all of its answer tokens.";
    case "token":
      return "Every sample stays; its tokens with VIG ≥ τ are active.";
    case "random":
      return "This run drew its masks at random, as many as the threshold would keep; what is shown here is the threshold.";
    case "sample_and_token":
      return "A token is active where its sample’s VIG and its own are both ≥ τ.";
  }
}

function tauCaption(curve: readonly CurvePoint[]): string {
  const first = curve.find((point) => point.tau < 0 && point.top_percent !== null);
  if (!first) return "τ is positive at every p: no share asks for samples that the image speaks against.";
  return `Beyond p ≈ ${first.top_percent}, τ is negative: samples are kept that the image speaks against.`;
}

function tableRow(point: CurvePoint, data: ReportData): Html {
  const p = point.top_percent === null ? "given" : `${point.top_percent} %`;
  return html`<tr><th scope="row">${p}</th><td>${nats(point.tau)}</td><td>${count(point.num_kept)}</td><td>${count(point.num_active)}</td><td>${share(point.num_active, data.num_vig_tokens)}</td></tr>`;
}

/** Only where there is more than the one the page is about. */
function selections({ manifest }: ReportData): Html | null {
  if (manifest.thresholds.length < 2) return null;
  return html`
  <h3>Selections on disk</h3>
  <div class="scroll" tabindex="0" role="region" aria-label="Table of selections"><table>
    <thead><tr><th scope="col">folder</th><th scope="col">τ (nats)</th><th scope="col">samples kept</th><th scope="col">tokens active</th></tr></thead>
    <tbody>${manifest.thresholds.map(
      ({ dataset, tau, counts }) =>
        html`<tr><th scope="row">${dataset}/</th><td>${tau === null ? "∞" : nats(tau)}</td><td>${count(counts.num_kept_vig)} (${share(counts.num_kept_vig, counts.num_vig)})</td><td>${count(counts.num_active)} (${share(counts.num_active, counts.num_tokens)})</td></tr>`,
    )}</tbody>
  </table></div>`;
}
