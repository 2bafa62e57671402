import { EXIT_CODE } from "../core/errors.ts";
import { interruptible } from "./interruption.ts";
import type { CommonOptions } from "./shell.ts";
import { type Verb, withConfigOptions, withExamples } from "./verb.ts";

export const splitsVerb: Verb<CommonOptions> = {
  declare(program) {
    const command = program
      .command("splits")
      .argument("<file>", "configuration (YAML)")
      .summary("print the input's splits, one JSON object a line")
      .description(
        "Scans the input and prints each split: its number, where it lies, how many records it has and the digest of their\n" +
          "content. What a scheduler hands to workers (docs/worker-protocol.md). Opens neither model nor images.",
      );
    return withExamples(withConfigOptions(command), ["pipeline splits pipelines/select.yaml", "pipeline splits pipelines/select.yaml | wc -l"]);
  },
  async run(shell, options, [file]) {
    const [{ loadConfig }, { buildPlan }] = await Promise.all([import("../config/load-config.ts"), import("../config/build-plan.ts")]);
    const { config } = await loadConfig(file!, { overrides: options.set, environment: shell.env });
    const plan = await buildPlan(config);
    await interruptible(async (signal) => {
      for await (const { index, location, num_records, digest } of plan.source.splits(signal)) {
        shell.stdout.write(`${JSON.stringify({ split: index, location, num_records, digest })}\n`);
      }
    }, () => undefined);
    return EXIT_CODE.done;
  },
};
