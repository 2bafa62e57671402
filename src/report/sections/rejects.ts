import { REJECT_CODES, type RejectCode } from "../../core/rejects.ts";
import { count, share } from "../format.ts";
import { html, type Html } from "../html.ts";
import type { ReportData } from "../report-data.ts";

/** What could not be used, why, and what to do about it. */
export function rejects(data: ReportData): Html {
  const { counts } = data.manifest;
  const codes = Object.entries(counts.rejects_by_code).sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1));
  if (codes.length === 0) return html`<section id="rejects"><h2>Rejects</h2><p class="intro">None: every record could be used.</p></section>`;
  return html`
<section id="rejects">
  <h2>Rejects</h2>
  <p class="intro">${count(counts.num_rejected)} of ${count(counts.num_read)} records (${share(counts.num_rejected, counts.num_read)}) could not be used. They are in rejects/, each with its reason.</p>
  <div class="reject-list">${codes.map(([code, number]) => rejectCode(data, code, number))}</div>
</section>`;
}

function rejectCode(data: ReportData, code: string, number: number): Html {
  const remedy = code in REJECT_CODES ? REJECT_CODES[code as RejectCode] : "";
  const examples = data.rejects.of(code);
  return html`<article class="plate reject"><h3><span class="code">${code}</span> <span class="fine">×${count(number)}</span></h3><p>${remedy}</p>
    ${examples.length > 0 ? html`<ul>${examples.map((example) => html`<li><span class="code">${example.sample_id}</span> ${example.message} <span class="fine">(${example.stage})</span></li>`)}</ul>` : null}</article>`;
}
