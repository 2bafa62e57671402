import { basename } from "node:path";
import { count, duration, nats, share } from "../format.ts";
import { html, type Html } from "../html.ts";
import type { ReportData } from "../report-data.ts";
import { mainThreshold, type RunManifest } from "../run-manifest.ts";

/** What was run, and what came out, in numbers. */
export function headline({ manifest }: ReportData): Html {
  const threshold = mainThreshold(manifest);
  const { counts } = threshold;
  const { counts: all } = manifest;
  return html`
<header class="masthead">
  <p class="eyebrow">Visual Information Gain</p>
  <h1>${manifest.name}</h1>
  <p class="lede">${sentence(manifest)}</p>
  <dl class="tiles">
    ${tile("Samples", count(all.num_read), [`${count(all.num_scored)} scored`, `${count(all.num_text_only)} text-only`, `${count(all.num_rejected)} rejected`].join(" · "))}
    ${tile("Kept", count(counts.num_kept_vig), `${share(counts.num_kept_vig, counts.num_vig)} of those with an image${counts.num_text_only > 0 ? `, and ${count(counts.num_text_only)} text-only` : ""}`)}
    ${tile("Active tokens", count(counts.num_active), `${share(counts.num_active, counts.num_tokens)} of ${count(counts.num_tokens)} answer tokens`)}
    ${tile("Threshold τ", threshold.tau === null ? "∞" : nats(threshold.tau), threshold.top_percent === null ? "nats, given" : `nats, top ${threshold.top_percent} percent${counts.num_ties > 1 ? `, ${count(counts.num_ties)} ties` : ""}`)}
  </dl>
  <dl class="facts">
    ${fact("Model", modelText(manifest))}
    ${fact("“No image”", blurText(manifest.blur))}
    ${fact("Took", `${duration(manifest.duration_ms)}${manifest.finished_at ? `, until ${dateText(manifest.finished_at)}` : ""}`)}
    ${fact("Made by", `vig-pipeline ${manifest.versions["vig-pipeline"] ?? ""}`.trim())}
  </dl>
  ${manifest.success ? null : html`<p class="notice bad"><strong>Too many rejects.</strong> The run scored and selected, but more records were rejected than it allows, so it wrote no _SUCCESS.</p>`}
  ${manifest.warnings.slice(0, 8).map(({ message }) => html`<p class="notice"><strong>Note.</strong> ${message}</p>`)}
</header>`;
}

const tile = (name: string, value: string, more: string): Html => html`<div class="tile"><dt>${name}</dt><dd><span class="figure">${value}</span><span class="more">${more}</span></dd></div>`;
const fact = (name: string, value: string): Html => html`<div><dt>${name}</dt><dd>${value}</dd></div>`;

function sentence(manifest: RunManifest): string {
  const { counts } = mainThreshold(manifest);
  if (counts.num_vig === 0) return "No sample with an image was scored, so there is nothing to compare.";
  return (
    "How much more likely does each answer become when the model sees the image instead of a blur? " +
    `Of ${count(counts.num_vig)} samples with an image, ${count(counts.num_kept_vig)} gain enough to be kept; ` +
    `of the answer tokens of all ${count(counts.num_vig)}, ${share(counts.num_vig_active, counts.num_vig_tokens)} keep their loss.`
  );
}

function modelText({ model }: RunManifest): string {
  const text = (key: string): string | undefined => (typeof model[key] === "string" ? model[key] : undefined);
  const parts = [text("path") && basename(text("path")!), text("model_type"), text("dtype"), text("execution_provider")];
  return parts.filter(Boolean).join(" · ") || "unknown";
}

export function blurText(blur: Readonly<Record<string, unknown>>): string {
  const where = blur["at"] === "source" ? "the source image" : "what the model sees";
  if (blur["stand_in"] === "gray") return "flat gray in place of the image";
  if (blur["stand_in"] === "mean_color") return "the image’s mean colour in its place";
  if (typeof blur["sigma_fraction"] === "number") return `Gaussian blur, σ = ${blur["sigma_fraction"]} of the shorter side, of ${where}`;
  if (typeof blur["sigma_px"] === "number") return `Gaussian blur, σ = ${blur["sigma_px"]} px, of ${where}`;
  return "unknown";
}

function dateText(iso: string): string {
  return iso.replace("T", " ").replace(/\.\d+Z$/, " UTC");
}
