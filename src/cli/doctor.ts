import { InvalidArgumentError, Option } from "commander";
import type { ExaminedPlan } from "../config/build-plan.ts";
import type { PipelineConfig } from "../config/pipeline-config.ts";
import { EXIT_CODE } from "../core/errors.ts";
import type { GoldenComparison } from "../doctor/compare-golden.ts";
import type { Golden } from "../doctor/golden-file.ts";
import { colorsFor } from "./colors.ts";
import { interruptible } from "./interruption.ts";
import type { CommonOptions } from "./shell.ts";
import { overridesOf, parseCount, type ThreadsOption, type Verb, withConfigOptions, withExamples, withThreads } from "./verb.ts";

interface DoctorOptions extends CommonOptions, ThreadsOption {
  readonly samples: number;
  readonly golden?: string;
  readonly tolerance: number;
}

export const doctorVerb: Verb<DoctorOptions> = {
  declare(program) {
    const command = program
      .command("doctor")
      .argument("<file>", "configuration (YAML)")
      .summary("load the model, score a few samples, print what was found")
      .description(
        "Loads the model, scores the first samples of the input, and prints the graphs, the execution provider,\n" +
          "the first sample's tokens, the scores and the speed. Writes nothing. With --golden, token NLLs that another\n" +
          "program computed are compared; exit code 1 where one is further off than the tolerance.",
      );
    withThreads(withConfigOptions(command))
      .addOption(new Option("--samples <count>", "how many samples to score").argParser(parseCount).default(32))
      .option("--golden <file>", "compare token NLLs with a golden file (docs/models.md)")
      .addOption(new Option("--tolerance <nats>", "how far a token's NLL may be from the golden file's").argParser(parseNats).default(1e-3));
    return withExamples(command, [
      "pipeline doctor pipelines/select.yaml",
      "pipeline doctor pipelines/select.yaml --samples 8 --set model.dtype=fp16",
      "pipeline doctor pipelines/select.yaml --golden test/golden/demo-nlls.json",
    ]);
  },
  async run(shell, options, [file]) {
    const [{ loadConfig }, { examinePlan }, { trySamples }, { renderDoctor, renderGolden }] = await Promise.all([
      import("../config/load-config.ts"),
      import("../config/build-plan.ts"),
      import("../engine/try-samples.ts"),
      import("./doctor-page.ts"),
    ]);
    const { config } = await loadConfig(file!, { overrides: overridesOf(options), environment: shell.env });
    const { readGolden } = await import("../doctor/golden-file.ts");
    const golden = options.golden === undefined ? undefined : await readGolden(options.golden);
    const examined = await examinePlan(config);
    const colors = colorsFor(shell.stdout, shell, options);
    const found = await interruptible(
      async (signal) => {
        const trial = await trySamples(examined.plan, options.samples, signal);
        shell.stdout.write(renderDoctor(examined, trial, colors));
        return golden && (await compare(config, examined, golden, signal));
      },
      () => undefined,
    );
    if (found) {
      shell.stdout.write(renderGolden(found, options.tolerance, colors));
      const { requireClose } = await import("../doctor/compare-golden.ts");
      requireClose(found, options.tolerance);
    }
    return EXIT_CODE.done;
  },
};

async function compare(config: PipelineConfig, { plan, model }: ExaminedPlan, golden: Golden, signal: AbortSignal): Promise<GoldenComparison> {
  const [{ compareGolden }, { devicesOf }] = await Promise.all([import("../doctor/compare-golden.ts"), import("../config/build-plan.ts")]);
  const scorer = { ...plan.resources, devices: devicesOf(config) };
  return compareGolden(golden, { model, source: plan.source, scorer, limits: config.stages.decode }, signal);
}

function parseNats(text: string): number {
  const nats = Number(text);
  if (text.trim() === "" || !Number.isFinite(nats) || nats < 0) throw new InvalidArgumentError("It must be a number of nats, 0 or more.");
  return nats;
}
