import { EXIT_CODE } from "../core/errors.ts";
import { type Verb, withCommonOptions, withExamples } from "./verb.ts";

export const schemaVerb: Verb = {
  declare(program) {
    const command = program.command("schema").summary("print the JSON Schema of the configuration").description("Prints the JSON Schema that editors check a configuration against.");
    return withExamples(withCommonOptions(command), ["pipeline schema > pipeline.schema.json"]);
  },
  async run(shell) {
    const { renderJsonSchema } = await import("../config/pipeline-config.ts");
    shell.stdout.write(renderJsonSchema());
    return EXIT_CODE.done;
  },
};
