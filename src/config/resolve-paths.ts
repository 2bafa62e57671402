import path from "node:path";
import { resolveSourcePaths } from "../io/sources/open-source.ts";
import type { PipelineConfig } from "./pipeline-config.ts";

/** The configuration with every path absolute: relative ones are relative to the file that names them. */
export function resolvePaths(config: PipelineConfig, directory: string): PipelineConfig {
  const absolute = (value: string): string => path.resolve(directory, value);
  const { tau_from: tauFrom, ...threshold } = config.stages.quantile_threshold;
  return {
    ...config,
    source: resolveSourcePaths(config.source, directory),
    model: { ...config.model, path: absolute(config.model.path) },
    modules: config.modules.map((module) => ({ ...module, path: absolute(module.path) })),
    output: { ...config.output, path: absolute(config.output.path) },
    stages: {
      ...config.stages,
      quantile_threshold: tauFrom === undefined ? threshold : { ...threshold, tau_from: absolute(tauFrom) },
    },
  };
}
