import { bytes, count, duration, share } from "../format.ts";
import { html, type Html } from "../html.ts";
import { memoryChart, speedChart } from "../other-charts.ts";
import type { ReportData } from "../report-data.ts";

const MIN_POINTS = 4;

/** At what cost: time, speed, memory, and what the numbers depend on. */
export function runFacts({ manifest, timeline }: ReportData): Html {
  const phases = Object.entries(manifest.duration_ms_by_phase).filter(([, ms]) => ms > 0);
  const scoring = manifest.duration_ms_by_phase["score"] ?? 0;
  const { counts, inference } = manifest;
  const hasTimeline = timeline !== undefined && timeline.points.length >= MIN_POINTS;
  const scored = timeline?.points.at(-1);
  const peak = timeline && Math.max(...timeline.points.map((point) => point.resident_bytes));
  return html`
<section id="run">
  <h2>The run</h2>
  <dl class="facts">
    <div><dt>Scoring</dt><dd>${duration(scoring)}${scored && scored.num_samples > 0 && scoring > 0 ? `: ${count((1000 * scored.num_samples) / scoring)} samples and ${count((1000 * scored.num_tokens) / scoring)} answer tokens a second` : ""}</dd></div>
    ${scored && scored.num_samples < counts.num_scored ? html`<div><dt>Scored before</dt><dd>${count(counts.num_scored + counts.num_text_only - scored.num_samples)} samples, by an earlier run that this one continued</dd></div>` : null}
    ${peak ? html`<div><dt>Peak memory</dt><dd>${bytes(peak)} resident, the process and its workers</dd></div>` : null}
    ${inference && inference.num_positions > 0 ? html`<div><dt>Positions</dt><dd>${count(inference.num_positions)} fed to the decoder, ${share(inference.num_padding, inference.num_positions)} padding</dd></div>` : null}
  </dl>
  <div class="trio">
    <figure class="plate">${phaseTable(phases)}<figcaption>Time by phase.</figcaption></figure>
    ${hasTimeline ? html`<figure class="plate">${speedChart(timeline)}<figcaption>Speed, as a running mean.</figcaption></figure><figure class="plate">${memoryChart(timeline)}<figcaption>Memory.</figcaption></figure>` : null}
  </div>
  <details class="numbers"><summary>What the numbers depend on</summary><dl class="facts small">
    <div><dt>Run</dt><dd class="code">${manifest.run_id}</dd></div>
    <div><dt>Plan</dt><dd class="code">${manifest.plan_hash}</dd></div>
    ${Object.entries(manifest.versions).map(([name, version]) => html`<div><dt>${name}</dt><dd>${version}</dd></div>`)}
  </dl></details>
</section>`;
}

function phaseTable(phases: readonly (readonly [string, number])[]): Html {
  const longest = Math.max(...phases.map(([, ms]) => ms), 1);
  return html`<table class="phases"><thead class="unseen"><tr><th scope="col">phase</th><th scope="col">bar</th><th scope="col">time</th></tr></thead><tbody>${phases.map(
    ([name, ms]) =>
      html`<tr><th scope="row">${name}</th><td class="bar-cell"><svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true"><rect x="0" y="1.5" height="7" width="${Math.max(0.7, (100 * ms) / longest).toFixed(1)}" fill="var(--positive)"></rect></svg></td><td>${duration(ms)}</td></tr>`,
  )}</tbody></table>`;
}
