import { count, share } from "../format.ts";
import { html, type Html } from "../html.ts";
import type { ReportData } from "../report-data.ts";

/** Samples that the image speaks against. The page's script fills the two rows of cards. */
export function contradictions(data: ReportData): Html | null {
  if (!hasContradictions(data)) return null;
  const negative = numNegative(data);
  const hasWords = hasContradictedWords(data);
  return html`
<section id="contradictions">
  <h2>Where the image disagrees</h2>
  <p class="intro">${count(negative)} of ${count(data.num_vig)} answers (${share(negative, data.num_vig)}) become <em>less</em> likely when the model sees the image. Near zero that is noise; far below, it is a candidate for a wrong label, a wrong image, or something the model can’t see.</p>
  ${negative > 0 ? html`<h3>Whole answers</h3><div class="cards" id="against-answers"></div>` : null}
  ${hasWords ? html`<h3>Single words in answers that fit otherwise</h3><div class="cards" id="against-words"></div>` : null}
</section>`;
}

export const hasContradictions = (data: ReportData): boolean => numNegative(data) > 0 || hasContradictedWords(data);

const numNegative = ({ sources }: ReportData): number => sources.reduce((sum, { num_negative }) => sum + num_negative, 0);
const hasContradictedWords = ({ samples }: ReportData): boolean => samples.some((sample) => sample.groups.includes("contradicted"));
