import { createRequire } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";

/**
 * The path of a sibling module that is to run in a process or thread of its own, and the arguments Node needs for
 * it: the project runs from TypeScript (through tsx) in a clone and from compiled JavaScript in a package.
 *
 * `importer` is the caller's `import.meta.url`, `specifier` a relative path ending in `.ts`.
 */
export function entryPoint(importer: string, specifier: string): { readonly path: string; readonly execArgv: string[] } {
  const compiled = importer.endsWith(".js");
  const url = new URL(compiled ? specifier.replace(/\.ts$/, ".js") : specifier, importer);
  return { path: fileURLToPath(url), execArgv: compiled ? [] : typeScriptLoader() };
}

function typeScriptLoader(): string[] {
  return ["--import", pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href];
}
