import { GROUPS, type Group, SEED } from "../choose-samples.ts";
import { count } from "../format.ts";
import { html, type Html } from "../html.ts";
import type { ReportData } from "../report-data.ts";
import { TINT_STEPS } from "../tint.ts";
import { blurText } from "./headline.ts";

/** The conversation of single samples, token by token. The page's script fills it. */
export function tokens(data: ReportData): Html {
  const groups = (Object.keys(GROUPS) as Group[]).filter((group) => data.samples.some((sample) => sample.groups.includes(group)));
  return html`
<section id="tokens">
  <h2>Token by token</h2>
  <p class="intro">Each answer token by how much the image helps it. Underlined tokens are active: they keep their loss at the slider’s τ. Point at a token, or use the arrow keys, for its numbers.</p>
  ${legend()}
  <noscript><p class="notice">Conversations and pictures are shown by a script in this file. The charts work without it.</p></noscript>
  <div class="browser plate">
    <div class="picker">
      <fieldset class="segments"><legend class="unseen">Which samples</legend>${groups.map(
        (group, i) => html`<label><input type="radio" name="group" value="${group}"${i === 0 ? html` checked` : null}><span>${GROUPS[group]}</span></label>`,
      )}</fieldset>
      <label class="search"><span class="unseen">Search samples on this page by id, source or text</span><input id="search" type="search" placeholder="Search id, source or text" autocomplete="off" spellcheck="false"></label>
      <p id="found" class="fine" role="status"></p>
      <div id="list" class="list" role="listbox" aria-label="Samples" tabindex="-1"></div>
    </div>
    <article id="detail" class="detail" aria-label="Sample"></article>
  </div>
  <p class="fine">${scopeText(data)} Pictures are shrunk copies; the blurred one is made as the run made it: ${blurText(data.manifest.blur)}.</p>
</section>`;
}

/** Neutral in the middle, the strongest colours at the ends. */
export function legend(): Html {
  const steps = Array.from({ length: 2 * TINT_STEPS + 1 }, (_, i) => i - TINT_STEPS);
  return html`<div class="legend" role="img" aria-label="Colours: orange where the image makes a token less likely, neutral at zero, blue where it makes it more likely"><span class="fine">less likely with the image</span><span class="swatches">${steps.map((step) => html`<i class="v${step}"></i>`)}</span><span class="fine">more likely</span></div>`;
}

function scopeText({ samples, manifest }: ReportData): string {
  const scored = manifest.counts.num_scored + manifest.counts.num_text_only;
  return samples.length >= scored ? `All ${count(scored)} samples are on this page.` : `On this page: ${count(samples.length)} of ${count(scored)} samples, the extremes of each ranking and others drawn at random (seed ${SEED}); the search looks among these, and pipeline report FOLDER --sample ID brings any other.`;
}
