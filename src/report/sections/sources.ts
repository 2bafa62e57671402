import type { SourceCurve } from "../curve.ts";
import { shapeAxis, sourceShape } from "../distribution-charts.ts";
import { count, nats, share } from "../format.ts";
import { html, type Html } from "../html.ts";
import type { ReportData } from "../report-data.ts";
import { runIndex } from "./thresholds.ts";

const MAX_NAME = 60;

/** Which data sets need their images: the thermometer. */
export function sources(data: ReportData): Html | null {
  if (data.num_vig === 0) return null;
  const run = runIndex(data);
  const rows = data.sources.map((source, i) => sourceRow(source, i, run, data));
  return html`
<section id="sources">
  <h2>Which sources need their images</h2>
  <p class="intro">A thermometer for data: sources whose answers follow from the image stand on top, those that the text gives away at the bottom. The dot is the mean; the shares follow the slider above.</p>
  <div class="scroll plate" tabindex="0" role="region" aria-label="Table of sources"><table class="sources">
    <thead><tr><th scope="col">source</th><th scope="col">samples</th><th scope="col" class="shape-head">distribution of VIG</th><th scope="col">mean VIG</th><th scope="col">below 0</th><th scope="col">kept</th><th scope="col">tokens active</th></tr></thead>
    <tbody>${rows}</tbody>
    <tfoot><tr><td></td><td></td><td>${shapeAxis(data.samples_by_vig)}</td><td colspan="4"></td></tr></tfoot>
  </table></div>
  ${data.sources.some(({ name }) => name === null) ? html`<p class="fine">The largest sources are shown apart.</p>` : null}
</section>`;
}

function sourceRow(source: SourceCurve, index: number, run: number, { samples_by_vig }: ReportData): Html {
  const { num_samples, num_tokens, num_text_only } = source;
  const textOnly = num_text_only > 0 ? html` <span class="fine">+ ${count(num_text_only)} text-only</span>` : null;
  if (num_samples === 0) return html`<tr><th scope="row">${nameOf(source)}</th><td>${textOnly}</td><td colspan="5" class="fine none">no images</td></tr>`;
  return html`<tr data-source="${index}"><th scope="row">${nameOf(source)}</th><td>${count(num_samples)}${textOnly}</td><td class="shape-cell">${sourceShape(source, samples_by_vig)}</td><td><strong>${nats(source.mean_vig)}</strong></td><td>${share(source.num_negative, num_samples)}</td><td class="kept-share">${share(source.num_kept[run]!, num_samples)}</td><td class="active-share">${share(source.num_active[run]!, num_tokens)}</td></tr>`;
}

function nameOf({ name }: SourceCurve): string {
  if (name === null) return "all others";
  if (name === "") return "not named";
  return name.length > MAX_NAME ? `${name.slice(0, MAX_NAME - 1)}…` : name;
}
