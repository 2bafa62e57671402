import { EXIT_CODE } from "../core/errors.ts";
import { colorsFor } from "./colors.ts";
import { type Verb, withConfigOptions, withExamples } from "./verb.ts";

export const validateVerb: Verb = {
  declare(program) {
    const command = program
      .command("validate")
      .argument("<file>", "configuration (YAML)")
      .summary("check a configuration; opens no model and no data")
      .description("Checks a configuration and its plan. Every mistake is shown with file, line, column and its fix.\nOpens no model and no data; loads the modules of stages of your own, which runs their code.");
    return withExamples(withConfigOptions(command), [
      "pipeline validate pipelines/select.yaml",
      "pipeline validate pipelines/select.yaml --set blur.sigma_px=8",
    ]);
  },
  async run(shell, options, [file]) {
    const [{ loadConfig }, { checkPlan }] = await Promise.all([import("../config/load-config.ts"), import("../config/build-plan.ts")]);
    const { config } = await loadConfig(file!, { overrides: options.set, environment: shell.env });
    const { stages } = await checkPlan(config);
    const colors = colorsFor(shell.stdout, shell, options);
    if (!options.quiet) shell.stdout.write(`${colors.green("valid")} ${file!}: ${config.name}, ${stages.join(" -> ")}\n`);
    return EXIT_CODE.done;
  },
};
