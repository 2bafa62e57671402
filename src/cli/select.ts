import { PlanError } from "../core/errors.ts";
import { unlessAborted } from "../core/unless-aborted.ts";
import type { CommonOptions } from "./shell.ts";
import { type Verb, withConfigOptions, withExamples } from "./verb.ts";
import { watchRun } from "./watch-run.ts";

interface SelectVerbOptions extends CommonOptions {
  readonly top?: string;
}

export const selectVerb: Verb<SelectVerbOptions> = {
  logs: true,
  declare(program) {
    const command = program
      .command("select")
      .argument("<file>", "configuration (YAML)")
      .summary("make selections from existing scores, no inference")
      .description(
        "Makes selections from the scores of a finished run, without inference: for each percentage of --top a folder\n" +
          "selection@P beside selection; without --top, the selection that the configuration asks for.",
      );
    withConfigOptions(command).option("--top <percentages>", "shares of samples to keep, for example 30,50,70,90");
    return withExamples(command, [
      "pipeline select pipelines/select.yaml --top 30,50,70,90",
      "pipeline select pipelines/select.yaml --top 70 --set mask.granularity=sample",
    ]);
  },
  async run(shell, options, [file]) {
    const topPercents = options.top === undefined ? undefined : parsePercents(options.top);
    const [{ loadConfig }, { buildPlan }, { selectAgain }] = await Promise.all([
      import("../config/load-config.ts"),
      import("../config/build-plan.ts"),
      import("../engine/run-pipeline.ts"),
    ]);
    const { config } = await loadConfig(file!, { overrides: options.set, environment: shell.env });
    return watchRun({ shell, options, configFile: file!, name: config.name }, async (handles) =>
      selectAgain(await unlessAborted(buildPlan(config, topPercents === undefined ? {} : { topPercents }), handles.signal), { ...handles, fresh: false, retry_rejects: false }),
    );
  },
};

/** Percentages of `--top`: "30,50,70". Throws PlanError. */
export function parsePercents(text: string): number[] {
  const percents = text.split(",").map((part) => (part.trim() === "" ? Number.NaN : Number(part)));
  const isWrong = percents.some((percent) => !(percent >= 0 && percent <= 100));
  if (isWrong) throw new PlanError(`--top ${text} is not a list of percentages`, { remedy: "for example --top 30,50,70" });
  return [...new Set(percents)];
}
