import { EXIT_CODE } from "../core/errors.ts";
import type { Plan } from "../core/plan.ts";
import { colorsFor } from "./colors.ts";
import { interruptible } from "./interruption.ts";
import type { PrintedPlan } from "./plan-page.ts";
import type { CommonOptions } from "./shell.ts";
import { type Verb, withConfigOptions, withExamples } from "./verb.ts";

interface PlanVerbOptions extends CommonOptions {
  readonly json: boolean;
}

export const planVerb: Verb<PlanVerbOptions> = {
  declare(program) {
    const command = program
      .command("plan")
      .argument("<file>", "configuration (YAML)")
      .summary("print phases, stages, schemas, splits, memory estimate")
      .description("Reads the model's folder and scans the input, and prints what a run would do. Starts no inference, writes nothing.");
    withConfigOptions(command).option("--json", "print the plan as JSON", false);
    return withExamples(command, ["pipeline plan pipelines/select.yaml", "pipeline plan pipelines/select.yaml --json | jq .memory"]);
  },
  async run(shell, options, [file]) {
    const [{ loadConfig }, { devicesOf, examinePlan }, { estimateMemory }, { planAsData, renderPlan }] = await Promise.all([
      import("../config/load-config.ts"),
      import("../config/build-plan.ts"),
      import("../config/memory-estimate.ts"),
      import("./plan-page.ts"),
    ]);
    const { config } = await loadConfig(file!, { overrides: options.set, environment: shell.env });
    const { plan, model, steps, selection, card } = await examinePlan(config);
    const memory = await estimateMemory(model, config.stages.paired_inference.max_batch_tokens, plan.resources, devicesOf(config).every((device) => device === "cpu"));
    const input = await interruptible((signal) => countInput(plan, signal), () => undefined);
    const printed: PrintedPlan = { plan, steps, selection, memory, input, ...(card ? { card } : {}) };
    shell.stdout.write(options.json ? `${JSON.stringify(planAsData(printed), null, 2)}\n` : renderPlan(printed, colorsFor(shell.stdout, shell, options)));
    return EXIT_CODE.done;
  },
};

async function countInput(plan: Plan, signal: AbortSignal): Promise<PrintedPlan["input"]> {
  let num_splits = 0;
  let num_records = 0;
  for await (const split of plan.source.splits(signal)) {
    num_splits++;
    num_records += split.num_records;
  }
  return { num_splits, num_records };
}
