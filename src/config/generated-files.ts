import { renderOutputsPage, renderRejectsPage } from "./data-pages.ts";
import { renderJsonSchema } from "./pipeline-config.ts";
import { renderConfigurationPage } from "./reference-page.ts";

/** The page's example, from the root of the project. */
export const EXAMPLE_FILE = "pipelines/select.yaml";

/** Files that are never edited: path from the root of the project -> content. `example` is the text of EXAMPLE_FILE. */
export function generatedFiles(example: string): Readonly<Record<string, string>> {
  return {
    "schemas/pipeline.schema.json": renderJsonSchema(),
    "docs/configuration.md": renderConfigurationPage(example),
    "docs/outputs.md": renderOutputsPage(),
    "docs/rejects.md": renderRejectsPage(),
  };
}
