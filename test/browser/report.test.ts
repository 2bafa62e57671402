/** The report in Chromium: what a person sees, hears from a screen reader, and does with a keyboard. */
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openRecordedSource } from "../../src/config/recorded-source.ts";
import { writeReport } from "../../src/report/write-report.ts";
import { type SyntheticRun, type SyntheticSample, syntheticSamples, writeSyntheticRun } from "../report/synthetic-run.ts";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const HOSTILE = `</script><script>window.hacked=1</script><img src=x onerror="window.hacked=1">`;

let browser: Browser;
let folder: string;
let run: SyntheticRun;
const pages: Record<string, string> = {};

beforeAll(async () => {
  browser = await chromium.launch({ executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
  folder = await mkdtemp(path.join(os.tmpdir(), "report-browser-"));
  const rejects = [{ sample_id: "bad-1", code: "image_corrupt", message: "VipsJpeg: premature end" }];
  run = await writeSyntheticRun(path.join(folder, "plain"), { samples: syntheticSamples(600), rejects });
  pages["plain"] = await render(run);
  pages["hostile"] = await render(await writeSyntheticRun(path.join(folder, "hostile"), { samples: syntheticSamples(60).map(hostile), manifest: { name: HOSTILE } }));
  pages["empty"] = await render(await writeSyntheticRun(path.join(folder, "empty"), { samples: [] }));
  pages["gone"] = await render(await writeSyntheticRun(path.join(folder, "gone"), { samples: syntheticSamples(60), with_images: false }));
});

afterAll(async () => {
  await browser?.close();
  if (folder) await rm(folder, { recursive: true });
});

async function render({ path: outputPath }: SyntheticRun): Promise<string> {
  const { path: file } = await writeReport({ outputPath, openSource: openRecordedSource, signal: new AbortController().signal });
  return pathToFileURL(file).href;
}

function hostile(sample: SyntheticSample): SyntheticSample {
  const tokens = [{ text: HOSTILE, vig: 2, nll_image: 1 }, ...sample.tokens];
  return { ...sample, sample_id: `${HOSTILE}${sample.sample_id}`, source: HOSTILE, messages: [{ role: "user", content: HOSTILE }, { role: "assistant", content: HOSTILE }], tokens };
}

interface Opened {
  readonly page: Page;
  /** Console errors, exceptions, policy violations, and requests beyond the file itself. */
  readonly complaints: string[];
}

async function open(name: string, options: { width?: number; colorScheme?: "light" | "dark" } = {}): Promise<Opened> {
  const page = await browser.newPage({ viewport: { width: options.width ?? 1280, height: 900 }, colorScheme: options.colorScheme ?? "light" });
  const complaints: string[] = [];
  page.on("console", (message) => complaints.push(`${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => complaints.push(`exception: ${error.message}`));
  page.on("request", (request) => {
    if (request.url() !== pages[name] && !request.url().startsWith("data:")) complaints.push(`request: ${request.url()}`);
  });
  await page.goto(pages[name]!);
  return { page, complaints };
}

const text = async (page: Page, selector: string): Promise<string> => (await page.textContent(selector)) ?? "";

describe.each(["plain", "hostile", "empty", "gone"])("the %s page", (name) => {
  it("loads without a complaint and without asking for anything", async () => {
    const { page, complaints } = await open(name);
    await page.waitForLoadState("networkidle");
    expect(complaints).toEqual([]);
    expect(await page.evaluate("window.hacked")).toBeUndefined();
    await page.close();
  });

  it.each(["light", "dark"] as const)("has no serious accessibility issue in %s", async (colorScheme) => {
    const { page } = await open(name, { colorScheme });
    await page.evaluate(AXE);
    const { violations } = await page.evaluate<{ violations: { id: string; impact: string; nodes: { html: string; failureSummary: string }[] }[] }>("axe.run()");
    const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
    expect(serious.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map((node) => `${node.html} ${node.failureSummary}`).join("\n")}`)).toEqual([]);
    await page.close();
  });

  it.each([360, 820, 1600])("fits a screen %d pixels wide", async (width) => {
    const { page } = await open(name, { width });
    expect(await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")).toBe(0);
    await page.close();
  });
});

describe("the slider", () => {
  it("shows what another share keeps, everywhere on the page, and finds back", async () => {
    const { page } = await open("plain");
    const before = await text(page, "#tau-value");
    expect(before).toContain(run.tau.toFixed(Math.abs(run.tau) < 0.1 ? 4 : 3).replace("-", "−"));
    const underlined = await page.locator("#detail .tok.active").count();
    const line = await page.getAttribute("#threshold .wide .tau", "transform");

    await page.focus("#p");
    await page.keyboard.press("Home");
    expect(await text(page, "#p-value")).toBe("0.5 %");
    expect(await text(page, "#kept-value")).toMatch(/^\d+ \(0\.\d\u202f%\)$/);
    expect(await text(page, "#tau-value")).not.toBe(before);
    expect(await page.getAttribute("#p", "aria-valuetext")).toMatch(/top 0\.5 %, tau .* samples kept, .* answer tokens active/);
    expect(await page.getAttribute("#threshold .wide .tau", "transform")).not.toBe(line);
    expect(await page.locator("#detail .tok.active").count()).toBeLessThan(underlined);
    expect(await text(page, "tr[data-source='3'] .kept-share")).toBe("0.0\u202f%");

    await page.keyboard.press("End");
    expect(await text(page, "#kept-value")).toContain("(100.0\u202f%)");
    await page.click("#p-reset");
    expect(await text(page, "#tau-value")).toBe(before);
    await page.close();
  });

  it("counts what the manifest counts, at the run's own share", async () => {
    const { page } = await open("plain");
    const kept = Number((await text(page, "#kept-value")).split(" ")[0]!.replaceAll(",", ""));
    expect(kept).toBe(Number((await text(page, ".tile:nth-child(2) .figure")).replaceAll(",", "")));
    await page.close();
  });
});

describe("the sample browser", () => {
  it("finds samples by id, source and text, and says how many", async () => {
    const { page } = await open("plain");
    const id = await text(page, "#list .item .name");
    await page.fill("#search", id);
    expect(await text(page, "#detail h3")).toBe(id);
    await page.fill("#search", "mislabelled");
    const found = await page.locator("#list .item").count();
    expect(found).toBeGreaterThan(0);
    expect(await text(page, "#found")).toBe(`${found} found on this page`);
    await page.fill("#search", "no such sample");
    expect(await text(page, "#found")).toBe("0 found on this page");
    await page.close();
  });

  it("shows the clean image beside the blurred one", async () => {
    const { page } = await open("plain");
    await page.waitForFunction("[...document.querySelectorAll('#detail img')].every((image) => image.complete)");
    const sizes = await page.evaluate<number[]>("[...document.querySelectorAll('#detail img')].map((image) => image.naturalWidth)");
    expect(sizes).toHaveLength(2);
    expect(sizes.every((size) => size > 100)).toBe(true);
    await page.close();
  });

  it("works by keyboard: lists, groups, tokens with their numbers", async () => {
    const { page } = await open("plain");
    await page.focus("#list .item[tabindex='0']");
    const first = await text(page, "#detail h3");
    await page.keyboard.press("ArrowDown");
    expect(await text(page, "#detail h3")).not.toBe(first);
    await page.focus("input[value=highest]");
    await page.keyboard.press("ArrowRight");
    expect(await page.isChecked("input[value=median]")).toBe(true);

    await page.focus("#detail .answer [tabindex='0']");
    expect(await page.isVisible("#tip")).toBe(true);
    const tip = await text(page, "#tip");
    expect(tip).toMatch(/VIG [+−]?\d+\.\d\d nats, (not )?active.*probability.*NLL/s);
    await page.keyboard.press("ArrowRight");
    expect(await text(page, "#tip")).not.toBe(tip);
    expect(await page.evaluate("document.activeElement.getAttribute('aria-label')")).toMatch(/, VIG .* nats, (not )?active$/);
    await page.keyboard.press("Escape");
    expect(await page.isVisible("#tip")).toBe(false);
    await page.close();
  });

  it("shows a token's numbers on hover", async () => {
    const { page } = await open("plain");
    await page.hover("#detail .answer .tok:nth-child(2)");
    expect(await page.isVisible("#tip")).toBe(true);
    await page.close();
  });

  it("underlines exactly the tokens that the rule keeps", async () => {
    const { page } = await open("plain");
    await page.check("input[value=random]");
    const samples = new Map(run.samples.map((sample) => [sample.sample_id, sample]));
    for (let i = 0; i < 20; i++) {
      await page.locator("#list .item").nth(i).click();
      const sample = samples.get(await text(page, "#detail h3"))!;
      const vig = sample.tokens.reduce((sum, token) => sum + token.vig, 0) / sample.tokens.length;
      const expected = sample.tokens.map((token) => sample.images.length === 0 || (vig >= run.tau && token.vig >= run.tau));
      expect(await page.evaluate("[...document.querySelectorAll('#detail .tok')].map((token) => token.classList.contains('active'))"), sample.sample_id).toEqual(expected);
    }
    await page.close();
  });

  it("goes from a contradiction's card to its tokens", async () => {
    const { page } = await open("plain");
    const card = page.locator("#against-answers .card").first();
    const label = (await card.getAttribute("aria-label"))!;
    await card.getByRole("button").click();
    expect(`Sample ${await text(page, "#detail h3")}`).toBe(label);
    await page.close();
  });

  it("says why there is no picture", async () => {
    const { page } = await open("gone");
    expect(await text(page, "#detail .missing")).toMatch(/^No picture: image_root/);
    await page.close();
  });
});

describe("the colour scheme", () => {
  it("follows the system until the button says otherwise", async () => {
    const { page } = await open("plain", { colorScheme: "dark" });
    const background = () => page.evaluate("getComputedStyle(document.body).backgroundColor");
    const dark = await background();
    await page.click("#theme");
    expect(await background()).not.toBe(dark);
    await page.close();
  });
});
