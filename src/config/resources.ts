import { availableParallelism } from "node:os";
import type { Resources } from "../core/plan.ts";
import type { ResourcesConfig } from "./pipeline-config.ts";

export interface Machine {
  readonly cores?: number;
  /** What a card holds (src/config/card-share.ts). */
  readonly processes_per_device?: number;
}

/**
 * Workers, threads and lanes for what the configuration leaves open. Lanes are a multiple of workers, since a lane's
 * splits all go to one worker.
 */
export function resolveResources(config: ResourcesConfig, devices: readonly string[], { cores = availableParallelism(), processes_per_device = 1 }: Machine = {}): Resources {
  const onCpu = devices.every((device) => device === "cpu");
  // A device that is listed twice is to have two processes.
  const onDevices = Math.max(devices.length, processes_per_device * new Set(devices).size);
  const num_workers = config.num_workers ?? (onCpu ? Math.max(1, Math.floor(cores / 4)) : onDevices);
  const num_threads = config.num_threads ?? Math.max(1, Math.floor(cores / num_workers));
  const num_lanes = config.num_lanes ?? num_workers;
  return { num_lanes, num_workers, num_threads };
}
