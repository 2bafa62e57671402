import { availableParallelism } from "node:os";
import type { Resources } from "../core/plan.ts";
import type { ResourcesConfig } from "./pipeline-config.ts";

/** Defaults to this machine and to a model of unknown size. */
export interface ResourceLimits {
  readonly cores?: number;
  /** Of the model's graphs. */
  readonly weights_bytes?: number;
  /** What a card holds (src/config/card-share.ts). */
  readonly processes_per_device?: number;
}

/** A model this small gains more from a process a core, none waiting for another at each operator, than it takes in memory. */
const SMALL_MODEL_BYTES = 100 * 2 ** 20;
/** More processes of a small model than this wait for the main thread. */
const MAX_SMALL_WORKERS = 8;

/**
 * Workers, threads and lanes for what the configuration leaves open. Lanes are a multiple of workers, since a lane's
 * splits all go to one worker.
 */
export function resolveResources(config: ResourcesConfig, devices: readonly string[], limits: ResourceLimits = {}): Resources {
  const { cores = availableParallelism(), weights_bytes = Infinity, processes_per_device = 1 } = limits;
  const onCpu = devices.every((device) => device === "cpu");
  const forCores = Math.max(1, Math.floor(cores / 4), weights_bytes <= SMALL_MODEL_BYTES ? Math.min(cores, MAX_SMALL_WORKERS) : 0);
  // A device that is listed twice is to have two processes.
  const forDevices = Math.max(devices.length, processes_per_device * new Set(devices).size);
  const num_workers = config.num_workers ?? (onCpu ? forCores : forDevices);
  const num_threads = config.num_threads ?? Math.max(1, Math.floor(cores / num_workers));
  const num_lanes = config.num_lanes ?? num_workers;
  return { num_lanes, num_workers, num_threads };
}
