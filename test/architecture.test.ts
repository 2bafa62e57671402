import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import ts from "typescript";
import { describe, expect, it } from "vitest";

/** The rules of docs/contributing.md that a reviewer should not have to look for. */
const src = path.join(import.meta.dirname, "..", "src");

/** What each layer may import beside itself. */
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  kernels: [],
  core: [],
  io: ["core"],
  model: ["core", "kernels"],
  engine: ["core"],
  stages: ["core", "kernels", "model"],
  config: ["core", "io", "model", "stages"],
  report: ["core", "io", "kernels", "model", "stages"],
  export: ["core", "io", "kernels", "model", "stages"],
  cli: ["core", "config", "engine", "export", "report"],
  // What the package exports.
  "index.ts": ["core", "config", "engine", "export", "io", "kernels", "model", "stages"],
};

/** Packages that one place alone may know. Paths are prefixes. */
const SINGLE_IMPORTERS: Readonly<Record<string, readonly string[]>> = {
  "onnxruntime-node": ["model/"],
  "parquet-wasm": ["io/parquet/"],
  highland: ["engine/flow.ts"],
  sharp: ["stages/image-decoding.ts", "stages/image-encoding.ts"],
  yaml: ["config/parse-yaml.ts"],
  commander: ["cli/"],
  "cli-progress": ["cli/progress-bar.ts"],
  pino: ["cli/json-log.ts"],
};

/** node:fs functions that change a file system, and the files that may call them. */
const WRITERS = /\b(?:writeFile|appendFile|mkdir|rename|rm|rmdir|unlink|truncate|createWriteStream|symlink|link|copyFile)(?:Sync)?\b/;
const WRITER_FILES = [
  "io/",
  // Digests and cut graphs: a cache that may be deleted at any time.
  "model/file-digest.ts",
  // onnxruntime writes its profile to a temporary folder of its own; read, then removed.
  "model/node-placement.ts",
  // For a monitor, wherever it looks; never in the output folder.
  "cli/metrics-file.ts",
  // For a catalogue, likewise.
  "cli/open-lineage.ts",
  // The configuration that it is asked to write.
  "cli/init.ts",
];

const MAX_LINES = 400;

interface Import {
  readonly file: string;
  readonly specifier: string;
  readonly names: readonly string[];
  /** Loaded when it is needed, if at all. */
  readonly isLazy: boolean;
  readonly isTypeOnly: boolean;
}

function sourceFiles(folder = src): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => name.replaceAll(path.sep, "/"))
    .sort();
}

function importsOf(file: string): Import[] {
  const source = ts.createSourceFile(file, readFileSync(path.join(src, file), "utf8"), ts.ScriptTarget.Latest, true);
  const found: Import[] = [];
  const visit = (node: ts.Node): void => {
    if ((ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) && node.moduleSpecifier && ts.isStringLiteral(node.moduleSpecifier)) {
      const bindings = ts.isImportDeclaration(node) ? node.importClause?.namedBindings : undefined;
      const names = bindings && ts.isNamedImports(bindings) ? bindings.elements.map((element) => (element.propertyName ?? element.name).text) : [];
      const isTypeOnly = ts.isImportDeclaration(node) ? node.importClause?.isTypeOnly === true : node.isTypeOnly;
      found.push({ file, specifier: node.moduleSpecifier.text, names, isLazy: false, isTypeOnly });
    }
    const isDynamic = ts.isCallExpression(node) && (node.expression.kind === ts.SyntaxKind.ImportKeyword || (ts.isIdentifier(node.expression) && node.expression.text === "require"));
    if (isDynamic && node.arguments[0] && ts.isStringLiteral(node.arguments[0])) found.push({ file, specifier: node.arguments[0].text, names: [], isLazy: true, isTypeOnly: false });
    if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument) && ts.isStringLiteral(node.argument.literal)) {
      found.push({ file, specifier: node.argument.literal.text, names: [], isLazy: false, isTypeOnly: true });
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

function targetOf(file: string, specifier: string): string {
  return path.posix.normalize(path.posix.join(path.posix.dirname(file), specifier));
}

const files = sourceFiles();
const imports = files.flatMap(importsOf);
const layerOf = (file: string): string => file.split("/")[0]!;

describe("layers", () => {
  it("are all known", () => {
    expect([...new Set(files.map(layerOf))].filter((layer) => !(layer in LAYERS))).toEqual([]);
  });

  it("import in one direction", () => {
    const wrong = imports
      .filter(({ specifier }) => specifier.startsWith("."))
      .map(({ file, specifier }) => ({ file, target: targetOf(file, specifier) }))
      .filter(({ file, target }) => layerOf(file) !== layerOf(target) && !LAYERS[layerOf(file)]!.includes(layerOf(target)))
      .map(({ file, target }) => `${file} imports ${target}`);
    expect(wrong).toEqual([]);
  });

  it("name files that exist, with their .ts ending", () => {
    const relative = imports.filter(({ specifier }) => specifier.startsWith("."));
    expect(relative.length).toBeGreaterThan(50);
    const missing = relative.filter(({ file, specifier }) => !specifier.endsWith(".ts") || !existsSync(path.join(src, path.dirname(file), specifier)));
    expect(missing).toEqual([]);
  });

  it("let help and --version load commander alone", () => {
    const reached = new Set(["cli/main.ts"]);
    const packages = new Set<string>();
    for (const file of reached) {
      for (const { specifier } of imports.filter((one) => one.file === file && !one.isLazy && !one.isTypeOnly)) {
        if (specifier.startsWith(".")) reached.add(targetOf(file, specifier));
        else if (!specifier.startsWith("node:")) packages.add(specifier);
      }
    }
    expect([...packages]).toEqual(["commander"]);
    expect(reached.size).toBeGreaterThan(8);
  });

  it("kernels import nothing at all", () => {
    expect(imports.filter(({ file, specifier }) => layerOf(file) === "kernels" && !specifier.startsWith("./"))).toEqual([]);
  });

  it.each(Object.entries(SINGLE_IMPORTERS))("%s is known in one place", (name, places) => {
    const importers = imports.filter(({ specifier }) => specifier === name || specifier.startsWith(`${name}/`)).map(({ file }) => file);
    expect(importers.filter((file) => !places.some((place) => file.startsWith(place)))).toEqual([]);
    expect(importers.length).toBeGreaterThan(0);
  });

  it("files are written in few places", () => {
    const writers = imports.filter(({ file, specifier, names }) => /^(node:)?fs(\/promises)?$/.test(specifier) && names.some((name) => WRITERS.test(name)) && !WRITER_FILES.some((place) => file.startsWith(place)));
    expect(writers.map(({ file, names }) => `${file}: ${names.join(", ")}`)).toEqual([]);
    // Named imports are what the rule above can see.
    const wholes = imports.filter(({ specifier, names }) => /^(node:)?fs(\/promises)?$/.test(specifier) && names.length === 0);
    expect(wholes.map(({ file }) => file)).toEqual([]);
  });
});

describe("files", () => {
  it("are kebab-case and not called utils, helpers or manager", () => {
    expect(files.filter((file) => !file.split("/").every((part) => /^[a-z0-9]+(-[a-z0-9]+)*(\.ts)?$/.test(part)))).toEqual([]);
    expect(files.filter((file) => /\b(utils?|helpers?|managers?|common|misc)\b/.test(file))).toEqual([]);
  });

  it(`have at most ${MAX_LINES} lines`, () => {
    const long = files.map((file) => [file, readFileSync(path.join(src, file), "utf8").split("\n").length] as const).filter(([, lines]) => lines > MAX_LINES);
    expect(long).toEqual([]);
  });
});
