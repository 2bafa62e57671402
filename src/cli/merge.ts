import { unlessAborted } from "../core/unless-aborted.ts";
import { residentBytes } from "./process-memory.ts";
import { inputsOf } from "./run.ts";
import type { CommonOptions } from "./shell.ts";
import { type Verb, withConfigOptions, withExamples } from "./verb.ts";
import { watchRun } from "./watch-run.ts";

interface MergeVerbOptions extends CommonOptions {
  readonly metricsFile?: string;
  readonly openlineage?: string;
  readonly report: boolean;
}

export const mergeVerb: Verb<MergeVerbOptions> = {
  logs: true,
  declare(program) {
    const command = program
      .command("merge")
      .argument("<file>", "configuration (YAML)")
      .summary("finish what `run --shard` has scored: threshold over all shards, then masks")
      .description(
        "Takes the scores of all shards together, finds the threshold over all of them, and writes scores, selection,\n" +
          "rejects and manifest: byte for byte what one run would have written. Scores nothing, loads no model.\n" +
          "Where a shard is missing, unfinished, running or of another configuration, it says which. Twice is as good as once.",
      );
    withConfigOptions(command)
      .option("--no-report", "don't write report.html (also: output.report in the configuration)")
      .option("--metrics-file <path>", "write the outcome for Prometheus's textfile collector")
      .option("--openlineage <url or file>", "send OpenLineage events: post them to an address, or append them to a file");
    return withExamples(command, [
      "pipeline merge pipelines/select.yaml",
      "pipeline merge pipelines/select.yaml --log-format json --metrics-file /var/lib/node_exporter/vig.prom",
    ]);
  },
  async run(shell, options, [file]) {
    const [{ loadConfig }, { buildPlan }, { mergeShards }, { RunReporter }] = await Promise.all([
      import("../config/load-config.ts"),
      import("../config/build-plan.ts"),
      import("../engine/merge-shards.ts"),
      import("./run-reporter.ts"),
    ]);
    const { config } = await loadConfig(file!, { overrides: options.set, environment: shell.env });
    const lineage = { inputs: inputsOf(config.source), output: config.output.path };
    return watchRun({ shell, options, configFile: file!, name: config.name, lineage }, async (handles) => {
      const reporter = new RunReporter(handles, residentBytes);
      const plan = await unlessAborted(buildPlan(config), handles.signal);
      const summary = await mergeShards(plan, { ...handles, observer: reporter.observer, fresh: false, retry_rejects: false });
      if (options.report && config.output.report) await reporter.write(summary, plan.source);
      return summary;
    });
  },
};
