/** The page: one file that needs nothing else and asks nobody. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { GROUPS } from "./choose-samples.ts";
import { html, type Html, scriptJson, trusted } from "./html.ts";
import type { ReportData } from "./report-data.ts";
import { contradictions, hasContradictions } from "./sections/contradictions.ts";
import { headline } from "./sections/headline.ts";
import { rejects } from "./sections/rejects.ts";
import { runFacts } from "./sections/run-facts.ts";
import { sources } from "./sections/sources.ts";
import { runIndex, thresholds } from "./sections/thresholds.ts";
import { tokens } from "./sections/tokens.ts";
import { words } from "./sections/words.ts";
import { TINT_STEPS, tintLimit } from "./tint.ts";

/** Lies two folders up both in a clone (src/report) and in a package (dist/report). */
const asset = (name: string): string => readFileSync(new URL(`../../assets/report/${name}`, import.meta.url), "utf8");

export function renderPage(data: ReportData): string {
  const [style, script] = [asset("page.css"), asset("page.js")];
  const policy = `default-src 'none'; img-src data:; style-src ${hashSource(style)}; script-src ${hashSource(script)}; base-uri 'none'; form-action 'none'`;
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>${data.manifest.name}: Visual Information Gain</title>
<link rel="icon" href="data:,">
<style>${trusted(style)}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the report</a>
${navigation(data)}
<main id="main">
${headline(data)}
<div id="specimen" class="specimen plate" hidden></div>
${thresholds(data)}
${sources(data)}
${tokens(data)}
${words(data)}
${contradictions(data)}
${rejects(data)}
${runFacts(data)}
</main>
<footer><p>VIG = mean over an answer’s tokens of NLL(blurred image) − NLL(image), in nats. After Lee and Hwang, “Focusing Where Vision Matters”, arXiv 2602.17186. This file loads nothing from anywhere.</p></footer>
<div id="tip" class="tip" role="tooltip" hidden></div>
<script type="application/json" id="data">${scriptJson(pageData(data))}</script>
<script>${trusted(script)}</script>
</body>
</html>
`.text;
}

function navigation(data: ReportData): Html {
  const links = [
    ["threshold", "Threshold"],
    ...(data.num_vig > 0 ? [["sources", "Sources"]] : []),
    ["tokens", "Tokens"],
    ...(data.words.highest.length > 0 ? [["words", "Words"]] : []),
    ...(hasContradictions(data) ? [["contradictions", "Contradictions"]] : []),
    ["rejects", "Rejects"],
    ["run", "Run"],
  ];
  return html`<nav aria-label="Sections"><ul>${links.map(([id, name]) => html`<li><a href="#${id}">${name}</a></li>`)}</ul><button id="theme" class="quiet" type="button" aria-label="Colour scheme: as the system">◐</button></nav>`;
}

/** What the script shows and moves. Numbers at the slider's stops; samples with their pictures. */
function pageData(data: ReportData): unknown {
  const { curve } = data;
  return {
    run: runIndex(data),
    granularity: data.granularity,
    num_vig: data.num_vig,
    num_vig_tokens: data.num_vig_tokens,
    top_percent: curve.map((point) => point.top_percent),
    tau: curve.map((point) => point.tau),
    kept: curve.map((point) => point.num_kept),
    active: curve.map((point) => point.num_active),
    sources: data.sources.map(({ num_samples, num_tokens, num_kept, num_active }) => ({ num_samples, num_tokens, kept: num_kept, active: num_active })),
    tint: { limit: tintLimit(data.tokens_by_vig), steps: TINT_STEPS },
    groups: GROUPS,
    samples: data.samples,
    pictures: data.pictures,
  };
}

/** A policy's name for one inline text. */
function hashSource(text: string): string {
  return `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
}
