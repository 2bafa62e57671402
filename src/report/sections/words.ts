import { count, nats } from "../format.ts";
import { html, type Html } from "../html.ts";
import { partsOfSpeechChart } from "../other-charts.ts";
import type { ReportData } from "../report-data.ts";
import { tintClass, tintLimit } from "../tint.ts";
import type { WordRow } from "../word-table.ts";

/** Of the bars, in nats. */
interface Range {
  readonly low: number;
  readonly high: number;
}

/** Words that need the image, words that don't. */
export function words(data: ReportData): Html | null {
  const { words: table } = data;
  if (table.highest.length === 0) return null;
  const limit = tintLimit(data.tokens_by_vig);
  const means = [...table.highest, ...table.lowest].map(({ mean_vig }) => mean_vig);
  const range = { low: Math.min(0, ...means), high: Math.max(0.001, ...means) };
  const isTagged = table.parts_of_speech.length > 0;
  return html`
<section id="words">
  <h2>Words that need to be seen</h2>
  <p class="intro">The mean VIG of each word of the answers. Words that name what is there rise; words that grammar alone would give sink.</p>
  <div class="${isTagged ? "word-grid" : "word-grid two"}">
    ${wordList("Highest", table.highest, limit, range)}
    ${wordList("Lowest", table.lowest, limit, range)}
    ${isTagged ? html`<figure class="plate"><h3>By part of speech</h3>${partsOfSpeechChart(table.parts_of_speech)}<figcaption>Bars are means, lines their 95 % intervals. Tagged for English by wink-nlp.</figcaption></figure>` : null}
  </div>
  <p class="fine">Words with at least ${table.min_occurrences} occurrences among ${count(table.num_words)} words${table.stride > 1 ? `; every ${count(table.stride)}th sample was looked at` : ""}. A word’s VIG is the mean over its tokens.${isTagged ? "" : " Parts of speech are left out: the answers don’t look like English."}</p>
</section>`;
}

function wordList(title: string, rows: readonly WordRow[], limit: number, range: Range): Html {
  return html`<div class="plate words"><h3>${title}</h3><table>
    <thead class="unseen"><tr><th scope="col">word</th><th scope="col">part of speech</th><th scope="col">mean VIG in nats</th><th scope="col">bar</th><th scope="col">occurrences</th></tr></thead>
    <tbody>${rows.map((row) => wordRow(row, limit, range))}</tbody></table></div>`;
}

function wordRow({ word, part_of_speech, mean_vig, count: occurrences }: WordRow, limit: number, range: Range): Html {
  const place = (vig: number): number => (100 * (vig - range.low)) / (range.high - range.low);
  const [zero, end] = [place(0), place(mean_vig)];
  const width = Math.max(0.7, Math.abs(end - zero)).toFixed(1);
  return html`<tr><th scope="row"><span class="tok ${tintClass(mean_vig, limit)}">${word.length > 28 ? `${word.slice(0, 27)}…` : word}</span></th><td class="fine pos">${part_of_speech ?? ""}</td><td>${nats(mean_vig)}</td><td class="bar-cell"><svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true"><rect x="${Math.min(zero, end).toFixed(1)}" width="${width}" y="1.5" height="7" fill="var(--${mean_vig < 0 ? "negative" : "positive"})"></rect><line x1="${zero.toFixed(1)}" x2="${zero.toFixed(1)}" y1="0" y2="10"></line></svg></td><td class="fine">×${count(occurrences)}</td></tr>`;
}
