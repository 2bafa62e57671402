import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { expect, it } from "vitest";

const root = path.join(import.meta.dirname, "..", "..");

it("the capacity plan in docs/scaling.md is what the script prints", () => {
  const printed = execFileSync(process.execPath, ["--import", "tsx", "bench/spark/capacity.ts"], { cwd: root, encoding: "utf8" });
  const page = readFileSync(path.join(root, "docs", "scaling.md"), "utf8");
  const lines = printed.split("\n").filter((line) => line !== "");
  expect(lines.length).toBeGreaterThan(15);
  expect(lines.filter((line) => !page.includes(line))).toEqual([]);
}, 60_000);
