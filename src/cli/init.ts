import { existsSync, statSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { createInterface } from "node:readline/promises";
import { EXIT_CODE, InterruptedError, PlanError } from "../core/errors.ts";
import { unlessAborted } from "../core/unless-aborted.ts";
import type { CommonOptions, Shell } from "./shell.ts";
import { type Verb, withCommonOptions, withExamples } from "./verb.ts";

interface InitOptions extends CommonOptions {
  readonly model?: string;
  readonly images?: string;
  readonly out: string;
  readonly name?: string;
  readonly force: boolean;
}

export const initVerb: Verb<InitOptions> = {
  declare(program) {
    const command = program
      .command("init")
      .argument("[paths...]", "annotations, a folder of images, a model, or a folder with all of them")
      .summary("write a commented configuration for your own data")
      .description("Looks at the files it is pointed at and writes a commented configuration. Asks for what it can't find on a\nterminal; elsewhere says what is missing.");
    withCommonOptions(command)
      .option("--model <path>", "model folder")
      .option("--images <path>", "folder that image paths are relative to")
      .option("--name <name>", "name of the job; else that of the folder")
      .option("--out <file>", "where to write it", "pipeline.yaml")
      .option("--force", "replace the file if it exists", false);
    return withExamples(command, ["pipeline init data/train.json data/images --model models/my-llava", "pipeline init . --out mine.yaml"]);
  },
  async run(shell, options, paths) {
    const file = path.resolve(options.out);
    if (existsSync(file) && !options.force) throw new PlanError(`${options.out} exists`, { remedy: "give another --out, or --force to replace it" });
    const [{ renderSuggestion, suggestConfig }, { parseConfig }] = await Promise.all([import("../config/suggest-config.ts"), import("../config/load-config.ts")]);
    const found = await suggestConfig(paths.length > 0 ? paths : ["."]);
    const source = found.source ?? (await suggestConfig([await ask(shell, "annotations (LLaVA JSON, Parquet or tar)", "the annotations")])).source;
    if (source === undefined) throw new PlanError("no annotations were found", { remedy: "name a .json, .jsonl, .parquet or .tar file" });
    const model = options.model ?? found.model ?? (await askFolder(shell, "model folder (transformers.js / onnx-community layout)", "the model folder"));
    const needsRoot = source.kind === "llava_json" && found.image_root === undefined && options.images === undefined;
    const images = needsRoot ? await askFolder(shell, "folder that image paths are relative to", "the image folder") : (options.images ?? found.image_root);

    const name = options.name ?? jobName(path.basename(path.dirname(file)));
    const text = renderSuggestion({ source, model: path.resolve(model), ...(images === undefined ? {} : { image_root: path.resolve(images) }) }, path.dirname(file), name);
    parseConfig(text, options.out, { environment: {} });
    await writeFile(file, text, { flag: options.force ? "w" : "wx" });
    if (!options.quiet) shell.stdout.write(`wrote ${options.out}\n\ntry next\n  npx pipeline doctor ${options.out}\n  npx pipeline run ${options.out}\n`);
    return EXIT_CODE.done;
  },
};

/** On a terminal the user's answer; elsewhere PlanError. */
async function ask(shell: Shell, question: string, what: string): Promise<string> {
  const missing = new PlanError(`${what} could not be found`, { remedy: "name it: pipeline init ANNOTATIONS --images FOLDER --model FOLDER" });
  if (shell.stderr.isTTY !== true || !process.stdin.isTTY) throw missing;
  const prompt = createInterface({ input: process.stdin, output: process.stderr });
  // Without listeners readline closes, and before Node 20.20 its question is never answered.
  const ended = new AbortController();
  prompt.once("SIGINT", () => ended.abort(new InterruptedError("SIGINT")));
  prompt.once("close", () => ended.abort(missing));
  try {
    return (await unlessAborted(prompt.question(`${question}: `), ended.signal)).trim();
  } finally {
    prompt.close();
  }
}

async function askFolder(shell: Shell, question: string, what: string): Promise<string> {
  const folder = await ask(shell, question, what);
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) throw new PlanError(`${what}: ${folder || "nothing"} is not a folder`, { remedy: "name one that exists" });
  return folder;
}

function jobName(folder: string): string {
  const name = folder.replace(/[^A-Za-z0-9._-]+/g, "-").replace(/^[^A-Za-z0-9]+/, "").slice(0, 100);
  return name === "" ? "select" : name;
}
