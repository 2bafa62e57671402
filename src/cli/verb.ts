import { type Command, InvalidArgumentError, Option } from "commander";
import type { CommonOptions, Shell } from "./shell.ts";

/** One command: its words, and what it does. Heavy modules are imported inside `run`, so that help stays quick. */
export interface Verb<Options extends CommonOptions = CommonOptions> {
  /** Adds the command with its arguments, options and examples. */
  declare(program: Command): Command;
  /** Whether it is a job whose stderr is read by machines where there is no terminal: then errors are JSON lines too. */
  readonly logs?: true;
  /** Returns the exit code; throws PipelineError for anything that stops it. */
  run(shell: Shell, options: Options, args: readonly string[]): Promise<number>;
}

const collect = (value: string, earlier: readonly string[]): string[] => [...earlier, value];

/** Options that every verb with a configuration takes. */
export function withConfigOptions(command: Command): Command {
  return withCommonOptions(command).addOption(
    new Option("--set <path=value>", "override a value of the configuration; repeatable").argParser(collect).default([], "none"),
  );
}

export function withCommonOptions(command: Command): Command {
  return command
    .addOption(new Option("--log-format <format>", "how progress and errors are written to stderr").choices(["auto", "text", "json"]).default("auto"))
    .option("--quiet", "no progress and no summary; errors and warnings stay", false)
    .option("--no-color", "no colours (also: NO_COLOR=1)")
    .option("--debug", "show stack traces", false);
}

/** "Examples" under a command's help. */
export function withExamples(command: Command, examples: readonly string[]): Command {
  return command.addHelpText("after", `\nExamples:\n${examples.map((example) => `  $ ${example}\n`).join("")}`);
}

/** What `--threads` gives. */
export interface ThreadsOption {
  readonly threads?: number;
}

/** `--threads` of the verbs that run the model. */
export function withThreads(command: Command): Command {
  return command.addOption(
    new Option("--threads <count>", "threads of one inference process, in place of resources.num_threads; all cores by default").argParser(parseCount),
  );
}

/** The overrides of the configuration that the command line asks for. */
export function overridesOf({ set, threads }: CommonOptions & ThreadsOption): readonly string[] {
  return threads === undefined ? set : [...set, `resources.num_threads=${threads}`];
}

export function parseCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1) throw new InvalidArgumentError("It must be a whole number of at least 1.");
  return count;
}
