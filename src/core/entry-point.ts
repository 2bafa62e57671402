import { createRequire } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";
import { Worker, type WorkerOptions } from "node:worker_threads";

/**
 * Running a sibling module in a process or thread of its own, from TypeScript (through tsx, in a clone) and from
 * compiled JavaScript (in a package) alike. `importer` is the caller's `import.meta.url`, `specifier` a relative
 * path ending in `.ts`.
 */
const resolve = createRequire(import.meta.url).resolve;

function locate(importer: string, specifier: string): { readonly url: URL; readonly compiled: boolean } {
  const compiled = importer.endsWith(".js");
  return { url: new URL(compiled ? specifier.replace(/\.ts$/, ".js") : specifier, importer), compiled };
}

/** Path and `execArgv` for `child_process.fork`. */
export function processEntryPoint(importer: string, specifier: string): { readonly path: string; readonly execArgv: string[] } {
  const { url, compiled } = locate(importer, specifier);
  return { path: fileURLToPath(url), execArgv: compiled ? [] : ["--import", pathToFileURL(resolve("tsx")).href] };
}

/**
 * A worker thread running the module, which awaits nothing at its top level: TypeScript is registered inside (Node 20
 * does not apply `--import` to threads) as CommonJS, since ES modules' hooks would take a thread of their own for each.
 */
export function startThread(importer: string, specifier: string, options: WorkerOptions = {}): Worker {
  const { url, compiled } = locate(importer, specifier);
  if (compiled) return new Worker(url, options);
  const bootstrap = `require(${JSON.stringify(resolve("tsx/cjs/api"))}).register(); require(${JSON.stringify(fileURLToPath(url))});`;
  return new Worker(bootstrap, { ...options, eval: true });
}
