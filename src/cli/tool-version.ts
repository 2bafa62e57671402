import { readFileSync } from "node:fs";

/** The version in package.json, which lies two folders up both in a clone (src/cli) and in a package (dist/cli). */
export function toolVersion(): string {
  const manifest = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { readonly version: string };
  return manifest.version;
}
