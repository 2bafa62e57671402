import { InvalidArgumentError, Option } from "commander";
import { EXIT_CODE } from "../core/errors.ts";
import { colorsFor } from "./colors.ts";
import { interruptible } from "./interruption.ts";
import type { CommonOptions } from "./shell.ts";
import { type Verb, withConfigOptions, withExamples } from "./verb.ts";

interface DoctorOptions extends CommonOptions {
  readonly samples: number;
}

export const doctorVerb: Verb<DoctorOptions> = {
  declare(program) {
    const command = program
      .command("doctor")
      .argument("<file>", "configuration (YAML)")
      .summary("load the model, score a few samples, print what was found")
      .description("Loads the model, scores the first samples of the input, and prints the graphs, the execution provider,\nthe scores and the speed. Writes nothing.");
    withConfigOptions(command).addOption(new Option("--samples <count>", "how many samples to score").argParser(parseCount).default(32));
    return withExamples(command, ["pipeline doctor pipelines/select.yaml", "pipeline doctor pipelines/select.yaml --samples 8 --set model.dtype=fp16"]);
  },
  async run(shell, options, [file]) {
    const [{ loadConfig }, { examinePlan }, { trySamples }, { renderDoctor }] = await Promise.all([
      import("../config/load-config.ts"),
      import("../config/build-plan.ts"),
      import("../engine/try-samples.ts"),
      import("./doctor-page.ts"),
    ]);
    const { config } = await loadConfig(file!, { overrides: options.set, environment: shell.env });
    const { plan, scorerReport } = await examinePlan(config);
    const trial = await interruptible((signal) => trySamples(plan, options.samples, signal), () => undefined);
    shell.stdout.write(renderDoctor(plan, scorerReport(), trial, colorsFor(shell.stdout, shell, options)));
    return EXIT_CODE.done;
  },
};

function parseCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1) throw new InvalidArgumentError("It must be a whole number of at least 1.");
  return count;
}
