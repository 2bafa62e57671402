// Writes the generated files (schema, reference pages); with --check, says which are stale and exits 1.
import { readFileSync, writeFileSync } from "node:fs";
import { register } from "tsx/esm/api";

register();
const { EXAMPLE_FILE, generatedFiles } = await import("../src/config/generated-files.ts");

const root = new URL("../", import.meta.url);
const read = (path) => {
  try {
    return readFileSync(new URL(path, root), "utf8");
  } catch {
    return "";
  }
};
const stale = Object.entries(generatedFiles(read(EXAMPLE_FILE))).filter(([path, content]) => read(path) !== content);
if (process.argv.includes("--check")) {
  for (const [path] of stale) console.error(`${path} is stale: run npm run generate`);
  process.exitCode = stale.length > 0 ? 1 : 0;
} else {
  for (const [path, content] of stale) writeFileSync(new URL(path, root), content);
  console.log(stale.length === 0 ? "all generated files are fresh" : stale.map(([path]) => `wrote ${path}`).join("\n"));
}
