import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";

/** A folder of its own for one test, removed behind it. */
export function temporaryFolder(): string {
  const path = mkdtempSync(join(tmpdir(), "vig-io-"));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}
