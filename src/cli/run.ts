import { residentBytes } from "./process-memory.ts";
import type { SourceConfig } from "../config/pipeline-config.ts";
import { PlanError } from "../core/errors.ts";
import type { Shard } from "../core/shard.ts";
import { unlessAborted } from "../core/unless-aborted.ts";
import type { CommonOptions } from "./shell.ts";
import { overridesOf, type ThreadsOption, type Verb, withConfigOptions, withExamples, withThreads } from "./verb.ts";
import { watchRun } from "./watch-run.ts";

interface RunVerbOptions extends CommonOptions, ThreadsOption {
  readonly fresh: boolean;
  readonly retryRejects: boolean;
  readonly shard?: string;
  readonly checkImages: boolean;
  readonly metricsFile?: string;
  readonly openlineage?: string;
  readonly report: boolean;
}

export const runVerb: Verb<RunVerbOptions> = {
  logs: true,
  declare(program) {
    const command = program
      .command("run")
      .argument("<file>", "configuration (YAML)")
      .summary("score and select; continues an interrupted run by itself")
      .description(
        "Scores every answer token with the clean and the blurred image, finds the threshold, and writes scores,\n" +
          "selection, rejects and manifest. An interrupted run is continued; a finished one is left as it is.",
      );
    withThreads(withConfigOptions(command))
      .option("--fresh", "start over: remove scores that another configuration made", false)
      .option("--retry-rejects", "try rejected samples again", false)
      .option("--shard <i/n>", "score the i-th of n shares of the input, from 0; `pipeline merge` does the rest")
      .option("--check-images", "read the images of samples that are scored already, and score those again whose images changed", false)
      .option("--no-report", "don't write report.html (also: output.report in the configuration)")
      .option("--metrics-file <path>", "write the outcome for Prometheus's textfile collector")
      .option("--openlineage <url or file>", "send OpenLineage events: post them to an address, or append them to a file");
    return withExamples(command, [
      "pipeline run pipelines/select.yaml",
      "pipeline run pipelines/select.yaml --set blur.sigma_px=8 --set output.path=out/sigma8",
      "pipeline run pipelines/select.yaml --shard 3/16",
      "pipeline run pipelines/select.yaml --check-images",
      "pipeline run pipelines/select.yaml --log-format json --metrics-file /var/lib/node_exporter/vig.prom 2>> run.log",
    ]);
  },
  async run(shell, options, [file]) {
    const shard = options.shard === undefined ? undefined : parseShard(options.shard);
    if (shard && options.checkImages) {
      throw new PlanError("--check-images looks at all scores together, and --shard at its own alone", { remedy: "after the merge, run with --check-images and without --shard" });
    }
    const [{ loadConfig }, { buildPlan }, { runPipeline }, { runShard }, { RunReporter }] = await Promise.all([
      import("../config/load-config.ts"),
      import("../config/build-plan.ts"),
      import("../engine/run-pipeline.ts"),
      import("../engine/run-shard.ts"),
      import("./run-reporter.ts"),
    ]);
    const { config } = await loadConfig(file!, { overrides: overridesOf(options), environment: shell.env });
    const lineage = { inputs: inputsOf(config.source), output: config.output.path };
    return watchRun({ shell, options, configFile: file!, name: config.name, lineage }, async (handles) => {
      const reporter = new RunReporter(handles, residentBytes);
      const plan = await unlessAborted(buildPlan(config), handles.signal);
      const choices = { ...handles, fresh: options.fresh, retry_rejects: options.retryRejects, check_images: options.checkImages };
      if (shard) return runShard(plan, shard, choices);
      const summary = await runPipeline(plan, { ...choices, observer: reporter.observer });
      if (options.report && config.output.report) await reporter.write(summary, plan.source);
      return summary;
    });
  },
};

/** `--shard`: "3/16". Throws PlanError. */
function parseShard(text: string): Shard {
  const match = /^(\d{1,6})\/(\d{1,6})$/.exec(text);
  const [index, count] = [Number(match?.[1]), Number(match?.[2])];
  if (!match || count === 0) throw new PlanError(`--shard ${text} is not a shard`, { remedy: "give its number, from 0, and how many there are: --shard 3/16" });
  if (index >= count) throw new PlanError(`--shard ${text}: ${count} shards are numbered from 0/${count} to ${count - 1}/${count}`, { remedy: "count from 0" });
  return { index, count };
}

/** Paths and globs of the data that the source reads. */
export function inputsOf(source: SourceConfig): string[] {
  return [source.kind === "llava_json" ? source.annotations : source.kind === "parquet" ? source.files : source.shards].flat();
}
