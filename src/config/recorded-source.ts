/** The source's configuration in the manifest, so that a run's images can be found again. */
import path from "node:path";
import type { Source } from "../core/source.ts";
import { openSource, sourceConfig, type SourceConfig } from "../io/sources/open-source.ts";

/** Key of the manifest's `input`. Places of files stand here and in no hash. */
const KEY = "source";

/** The source, describing itself with its configuration. `config` has absolute paths. */
export function recordingSource(source: Source, config: SourceConfig): Source {
  return {
    kind: source.kind,
    schema: source.schema,
    splits: (signal) => source.splits(signal),
    read: (split, signal) => source.read(split, signal),
    describe: async () => ({ ...(await source.describe()), [KEY]: config }),
  };
}

/** The source that a manifest's `input` names; undefined where it names none that is known here. */
export async function openRecordedSource(input: Readonly<Record<string, unknown>>): Promise<Source | undefined> {
  const parsed = sourceConfig.safeParse(input[KEY]);
  return parsed.success ? openSource(parsed.data, path.sep) : undefined;
}
