import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

/** Libraries that can change a stored number or byte. */
const LIBRARIES = ["@huggingface/jinja", "@huggingface/tokenizers", "apache-arrow", "onnxruntime-node", "parquet-wasm", "sharp"] as const;

interface PackageManifest {
  readonly name?: string;
  readonly version: string;
}

/** This tool, Node, and the libraries: name -> version, for the manifest. */
export function libraryVersions(): Readonly<Record<string, string>> {
  const require = createRequire(import.meta.url);
  const libraries = LIBRARIES.map((name) => [name, versionOf(require.resolve(name), name)]);
  return { "vig-pipeline": versionOf(import.meta.filename, "vig-pipeline"), node: process.versions.node, ...Object.fromEntries(libraries) as Record<string, string> };
}

/** Packages may hide their package.json from resolution, so it is looked for above a file of theirs. */
function versionOf(file: string, name: string): string {
  for (let folder = path.dirname(file); folder !== path.dirname(folder); folder = path.dirname(folder)) {
    const manifest = readManifest(path.join(folder, "package.json"));
    if (manifest?.name === name) return manifest.version;
  }
  return "unknown";
}

function readManifest(file: string): PackageManifest | undefined {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as PackageManifest;
  } catch {
    return undefined;
  }
}
