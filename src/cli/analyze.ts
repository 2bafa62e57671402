import { InvalidArgumentError, Option } from "commander";
import { EXIT_CODE, PlanError } from "../core/errors.ts";
import { colorsFor } from "./colors.ts";
import type { AnalysisContext } from "./analyze-runs.ts";
import { interruptible } from "./interruption.ts";
import { parsePercents } from "./select.ts";
import type { CommonOptions, Shell } from "./shell.ts";
import { type Verb, withConfigOptions, withExamples } from "./verb.ts";

export interface AnalyzeOptions extends CommonOptions {
  readonly against?: string;
  readonly top?: string;
  readonly variants?: string;
  readonly swapImages?: "random" | "similar" | "both";
  readonly seed: number;
  readonly sweep?: string;
  readonly plot?: string;
  readonly json: boolean;
}

/** What an analysis found, in the forms in which it can be asked for. */
export interface Analysis {
  readonly json: unknown;
  readonly lines: (colors: ReturnType<typeof colorsFor>) => readonly string[];
  /** SVG; absent where there is nothing to draw. */
  readonly plot?: () => string;
}

const MODES = ["against", "variants", "swapImages", "sweep"] as const;
const FLAGS: Readonly<Record<(typeof MODES)[number], string>> = { against: "--against", variants: "--variants", swapImages: "--swap-images", sweep: "--sweep" };

export const analyzeVerb: Verb<AnalyzeOptions> = {
  declare(program) {
    const command = program
      .command("analyze")
      .argument("<target>", "output folder of a finished run; for --swap-images and --sweep its configuration (YAML)")
      .summary("what the scores say: sources, words, other images, other blurs, other models")
      .description(
        "Without an option: VIG by source, quantiles, words and parts of speech, and how often\n" +
          "the image hurts. Other analyses, one at a time (docs/analysis.md):\n" +
          "  --against      does another run of the same data agree: another model, another blur?\n" +
          "  --variants     one question with several images, told apart by the end of sample_id\n" +
          "  --swap-images  scores the same questions again with other images of the data\n" +
          "  --sweep        scores again with other values of a setting, compares the selections\n" +
          "The last two run the model: the configuration's own run where it has not ended, and runs\n" +
          "in folders beside its output (OUT_DIR.analysis/...), which are kept: an interrupted\n" +
          "analysis continues, a repeated one only reads. Nothing else is written but --plot.",
      );
    withConfigOptions(command)
      .option("--against <folder>", "output folder of the other run")
      .option("--variants <names>", "last parts of the ids, the highest VIG first: match,partial,contra")
      .addOption(new Option("--swap-images <kind>", "which other images: of a random sample, of a similar one, or both").choices(["random", "similar", "both"]))
      .addOption(new Option("--seed <number>", "of --swap-images").argParser(parseSeed).default(0))
      .option("--sweep <key=values>", "a setting as in --set, and its values: blur.sigma_px=2,4,8,16")
      .option("--top <percentages>", "shares of samples whose selections are compared (default: 30,50,70,90; of --sweep the configuration's)")
      .option("--plot <file.svg>", "draw the result")
      .option("--json", "print the result as JSON", false);
    return withExamples(command, [
      "pipeline analyze out/select",
      "pipeline analyze out/select --against out/other-model --top 50,70",
      "pipeline analyze out/triples --variants match,partial,contra",
      "pipeline analyze pipelines/select.yaml --swap-images both",
      "pipeline analyze pipelines/select.yaml --sweep blur.sigma_px=2,4,8,16 --plot sweep.svg",
    ]);
  },
  async run(shell, options, [target]) {
    const given = MODES.filter((mode) => options[mode] !== undefined);
    if (given.length > 1) throw new PlanError(`${given.map((mode) => FLAGS[mode]).join(" and ")} are different analyses`, { remedy: "ask for one at a time" });
    if (options.plot !== undefined && given[0] === "against") throw new PlanError("there is no picture of --against", { remedy: "leave --plot out" });
    const analysis = await analyze(shell, options, target!, given[0]);
    if (options.plot !== undefined) {
      if (!analysis.plot) throw new PlanError(`${target!} has no sample with a VIG to draw`, { remedy: "leave --plot out" });
      const { writePicture } = await import("./write-picture.ts");
      await writePicture(options.plot, analysis.plot());
    }
    const colors = colorsFor(shell.stdout, shell, options);
    shell.stdout.write(options.json ? `${JSON.stringify(analysis.json)}\n` : `${analysis.lines(colors).join("\n")}\n`);
    return EXIT_CODE.done;
  },
};

async function analyze(shell: Shell, options: AnalyzeOptions, target: string, mode: (typeof MODES)[number] | undefined): Promise<Analysis> {
  const isConfig = /\.ya?ml$/i.test(target);
  const context: AnalysisContext = { shell, options, file: target };
  if (mode === "swapImages" || mode === "sweep") {
    if (!isConfig) throw new PlanError(`${FLAGS[mode]} runs the model, so it needs the configuration, not ${target}`, { remedy: `for example pipeline analyze pipelines/select.yaml ${FLAGS[mode]} ...` });
    const runs = await import("./analyze-with-model.ts");
    return mode === "sweep" ? runs.sweep(context, options.sweep!, percentsOf(options)) : runs.swapImages(context, options.swapImages!, options.seed);
  }
  const [scores, { configOf }] = await Promise.all([import("./analyze-scores.ts"), import("./analyze-runs.ts")]);
  const folder = isConfig ? (await configOf(context)).output.path : target;
  return interruptible(
    (signal) => {
      if (mode === "against") return scores.against(folder, options.against!, percentsOf(options) ?? [30, 50, 70, 90], signal);
      return mode === "variants" ? scores.variants(folder, namesIn(options.variants!), signal) : scores.overview(folder, signal);
    },
    () => undefined,
  );
}

function percentsOf({ top }: AnalyzeOptions): number[] | undefined {
  return top === undefined ? undefined : parsePercents(top);
}

function namesIn(text: string): string[] {
  const names = text.split(",").map((name) => name.trim());
  if (names.length < 2 || names.some((name) => !/^[^-_.:/\s]+$/.test(name)) || new Set(names).size < names.length) {
    throw new PlanError(`--variants ${text} is no list of two or more last parts of ids`, { remedy: "for example --variants match,partial,contra for t0001-match and so on" });
  }
  return names;
}

function parseSeed(text: string): number {
  const seed = Number(text);
  if (text.trim() === "" || !Number.isSafeInteger(seed) || seed < 0) throw new InvalidArgumentError("It must be a whole number of at least 0.");
  return seed;
}
