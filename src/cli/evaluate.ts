import { InvalidArgumentError, Option } from "commander";
import type { Evaluation } from "../analysis/evaluate-file.ts";
import { EXIT_CODE } from "../core/errors.ts";
import type { Estimate } from "../metrics/estimate.ts";
import type { MetricName } from "../metrics/metrics.ts";
import { type Colors, colorsFor, printable } from "./colors.ts";
import { formatCount } from "./format-numbers.ts";
import { interruptible } from "./interruption.ts";
import type { CommonOptions } from "./shell.ts";
import { type Cell, textTable } from "./text-table.ts";
import { type Verb, withCommonOptions, withExamples } from "./verb.ts";

interface EvaluateVerbOptions extends CommonOptions {
  readonly metric: MetricName;
  readonly synonyms?: string;
  readonly column: ReadonlyMap<string, string>;
  readonly json: boolean;
}

/** As src/metrics/metrics.ts has them; written out so that help stays quick. A test holds the two together. */
export const EVALUATE_METRICS: readonly MetricName[] = ["pope", "chair", "mmhal", "choice", "docvqa"];

/** Measures that are no share of 0 to 1. */
const PLAIN_MEASURES: readonly string[] = ["score", "mentions"];

export const evaluateVerb: Verb<EvaluateVerbOptions> = {
  declare(program) {
    const command = program
      .command("evaluate")
      .argument("<file>", "the model's outputs: JSON lines, or a JSON array")
      .summary("metrics of a model's own outputs: POPE, CHAIR, MMHal, multiple choice, DocVQA")
      .description(
        "Computes a metric over a file of a model's outputs, with 95% intervals (docs/evaluation.md). Columns:\n" +
          "  pope    response, label (yes or no), sampling (random, popular, adversarial)\n" +
          "  chair   response (a caption), objects (what the image holds), references, group; needs --synonyms\n" +
          "  mmhal   score (0 to 6) or judgement (the judge's text), question_type\n" +
          "  choice  response, label (a letter), options, question_id (for circular evaluation), category\n" +
          "  docvqa  response, answers (all accepted ones), group\n" +
          "Rows that can't be used are named with their line and left out; the exit code is then 3.",
      );
    withCommonOptions(command)
      .addOption(new Option("--metric <name>", "which metric").choices([...EVALUATE_METRICS]).makeOptionMandatory())
      .option("--synonyms <file>", "chair: one object a line, its name, then synonyms, commas between")
      .addOption(new Option("--column <name=theirs>", "a column of the file that has another name; repeatable").argParser(addColumn).default(new Map(), "none"))
      .option("--json", "print the result as JSON", false);
    return withExamples(command, [
      "pipeline evaluate --metric pope answers.jsonl",
      "pipeline evaluate --metric chair captions.jsonl --synonyms examples/evaluate/demo-objects.txt",
      "pipeline evaluate --metric docvqa predictions.json --column response=prediction --json",
    ]);
  },
  async run(shell, options, [file]) {
    const { evaluateFile } = await import("../analysis/evaluate-file.ts");
    const { metric, synonyms, column: columns } = options;
    const evaluation = await interruptible(
      (signal) => evaluateFile({ metric, file: file!, columns, signal, ...(synonyms === undefined ? {} : { synonyms }) }),
      () => undefined,
    );
    const colors = colorsFor(shell.stderr, shell, options);
    for (const { line, problem } of evaluation.wrong) shell.stderr.write(`${colors.yellow("wrong row")} ${printable(`${file!}:${line}: ${problem}`)}\n`);
    if (evaluation.num_wrong > evaluation.wrong.length) shell.stderr.write(`and ${formatCount(evaluation.num_wrong - evaluation.wrong.length)} more\n`);
    shell.stdout.write(options.json ? `${JSON.stringify(evaluation)}\n` : renderEvaluation(evaluation, colorsFor(shell.stdout, shell, options)));
    return evaluation.num_wrong > 0 ? EXIT_CODE.tooManyRejects : EXIT_CODE.done;
  },
};

function addColumn(value: string, earlier: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  const [name, theirs, ...more] = value.split("=");
  if (!name || !theirs || more.length > 0) throw new InvalidArgumentError("It has the form NAME=THEIRS, for example response=prediction.");
  return new Map([...earlier, [name, theirs]]);
}

function renderEvaluation({ metric, groups, notes, num_rows, num_wrong }: Evaluation, colors: Colors): string {
  const names = Object.keys(groups[0]!.measures);
  const rows = groups.map(({ name, num_rows: count, measures }): Cell[] => [printable(name), formatCount(count), ...names.map((measure) => formatEstimate(measure, measures[measure]!))]);
  const lines = textTable([metric, "rows", ...names], rows, colors);
  lines.push("", colors.dim("Shares in percent; in brackets the 95% interval: smaller differences are noise."), ...notes.map((note) => colors.dim(note)));
  if (num_wrong > 0) lines.push(`${formatCount(num_wrong)} of ${formatCount(num_rows)} rows can't be used and are not in these numbers`);
  return `${lines.join("\n")}\n`;
}

/** "87.1 [85.0, 88.9]": shares in percent. */
function formatEstimate(measure: string, { value, low, high }: Estimate): string {
  const number = (one: number): string => (PLAIN_MEASURES.includes(measure) ? one.toFixed(2) : (100 * one).toFixed(1));
  if (value === null) return "-";
  return low === null || high === null ? number(value) : `${number(value)} [${number(low)}, ${number(high)}]`;
}
