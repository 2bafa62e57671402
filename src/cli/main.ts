/** The command line: what the words mean, and how a process ends. Each verb is a file; verbs.ts lists them. */
import { Command, CommanderError } from "commander";
import { EXIT_CODE } from "../core/errors.ts";
import { colorsFor } from "./colors.ts";
import { errorFields, exitCodeOf, renderError } from "./report-error.ts";
import { type CommonOptions, logStyle, processShell, type Shell } from "./shell.ts";
import { toolVersion } from "./tool-version.ts";
import { VERBS } from "./verbs.ts";

/** Runs one command and returns the process's exit code (docs/operations.md). Never throws. */
export async function main(argv: readonly string[], shell: Shell = processShell()): Promise<number> {
  let exitCode: number = EXIT_CODE.done;
  let isJob = false;
  let options: CommonOptions = { set: [], logFormat: "auto", quiet: false, color: !argv.includes("--no-color"), debug: argv.includes("--debug") };
  const program = new Command("pipeline")
    .description("Scores how much each answer token of a vision-language data set needs its image,\nand selects the samples and tokens worth training on.")
    .version(toolVersion(), "-V, --version", "print the version")
    .helpOption("-h, --help", "print help")
    .helpCommand("help [command]", "print help for a command")
    .exitOverride()
    .showSuggestionAfterError()
    .configureOutput({ writeOut: (text) => shell.stdout.write(text), writeErr: (text) => shell.stderr.write(text) })
    .addHelpText("after", "\nFirst steps:\n  $ pipeline run pipelines/select.yaml\n  $ pipeline help run\n");
  program.hook("preAction", (_program, command) => {
    options = command.opts<CommonOptions>();
  });
  for (const verb of VERBS) {
    const command = verb.declare(program);
    command.exitOverride().configureOutput(program.configureOutput());
    command.action(async (...args: unknown[]) => {
      isJob = verb.logs === true;
      exitCode = await verb.run(shell, command.opts(), (args.slice(0, command.registeredArguments.length) as (string | string[])[]).flat());
    });
  }
  try {
    if (argv.length === 0) {
      program.outputHelp({ error: true });
      return EXIT_CODE.badConfiguration;
    }
    await program.parseAsync([...argv], { from: "user" });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_CODE.done : EXIT_CODE.badConfiguration;
    reportFailure(shell, options, error, isJob);
    return exitCodeOf(error);
  }
}

function reportFailure(shell: Shell, options: CommonOptions, error: unknown, isJob: boolean): void {
  if (options.logFormat === "json" || (isJob && logStyle(shell, options) === "json")) {
    shell.stderr.write(`${JSON.stringify({ level: "error", time: new Date().toISOString(), ...errorFields(error, options.debug) })}\n`);
  } else {
    shell.stderr.write(renderError(error, colorsFor(shell.stderr, shell, options), options.debug));
  }
}
