#!/usr/bin/env node
/*
 * Draws the pictures of the report that the documents show: node tools/screenshot-report.js out/select
 * Needs Chromium (CHROMIUM names it) and the fonts that the page asks for first where they are installed.
 */
import path from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";
import sharp from "sharp";

const folder = process.argv[2] ?? "out/select";
const target = path.join(import.meta.dirname, "..", "docs", "images");

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
const page = await browser.newPage({ viewport: { width: 1160, height: 1440 }, deviceScaleFactor: 1.5 });
await page.goto(pathToFileURL(path.resolve(folder, "report.html")).href);
await page.waitForTimeout(300);
await save("report.png", await page.screenshot());
await page.locator("#list .item").nth(1).click();
await page.locator("#tokens").scrollIntoViewIfNeeded();
await page.evaluate("window.scrollTo(0, document.querySelector('#tokens').offsetTop - 72)");
await page.locator("#detail .tok.v8").last().hover();
await save("report-tokens.png", await page.screenshot({ clip: { x: 0, y: 48, width: 1160, height: 920 } }));
await browser.close();

/** A palette is enough for a page of flat colours. */
async function save(name, png) {
  const { size } = await sharp(png).png({ palette: true, quality: 92, effort: 10 }).toFile(path.join(target, name));
  console.log(`docs/images/${name} ${Math.round(size / 1000)} kB`);
}
