import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import { cardText } from "../../src/cli/plan-page.ts";
import { examinePlan } from "../../src/config/build-plan.ts";
import { shareCard } from "../../src/config/card-share.ts";
import { loadConfig } from "../../src/config/load-config.ts";
import { estimateCardProcess, estimateMemory } from "../../src/config/memory-estimate.ts";
import type { Model } from "../../src/model/contract.ts";
import { smallestOf } from "../../src/model/card-memory.ts";

const root = path.join(import.meta.dirname, "..", "..");
const fixture = path.join(root, "test", "fixtures", "models", "llava");
const GIB = 2 ** 30;

describe("smallestOf", () => {
  it("is the smallest card's memory in bytes", () => {
    expect(smallestOf("81559, Disabled\n")).toBe(81559 * 2 ** 20);
    expect(smallestOf("81559, Disabled\n24564, [N/A]\n")).toBe(24564 * 2 ** 20);
  });

  it("is unknown where a card is cut into parts, has no memory of its own, or nothing is listed", () => {
    for (const csv of ["", "No devices were found\n", "[N/A], [N/A]\n", "81559, Enabled\n81559, Disabled\n"]) expect(smallestOf(csv), csv).toBeUndefined();
  });
});

describe("shareCard", () => {
  const model = { description: { path: fixture, digests: {}, dtype: "fp16", max_length: 2048 } } as unknown as Model;
  const processesOn = async (bytes: number | undefined) => (await shareCard(model, 8192, () => Promise.resolve(bytes))).num_processes;

  it("gives a card two processes where it holds both, one where it does not or is not known", async () => {
    const bytes = await estimateCardProcess(model, 8192);
    expect(await processesOn(undefined)).toBe(1);
    expect(await processesOn(bytes / 2)).toBe(1);
    expect(await processesOn(2 * bytes)).toBe(1);
    expect(await processesOn(2.2 * bytes)).toBe(2);
    expect(await processesOn(80 * GIB)).toBe(2);
  });

  it("knows that larger batches and float32 take more", async () => {
    const bytes = await estimateCardProcess(model, 8192);
    expect(await estimateCardProcess(model, 24576)).toBeGreaterThan(bytes);
    expect(await estimateCardProcess({ ...model, description: { ...model.description, dtype: "fp32" } }, 8192)).toBeGreaterThan(bytes);
  });
});

describe("what a plan says", () => {
  it("names the card, a process and the choice", () => {
    expect(cardText({ card_bytes: 85.5e9, process_bytes: 21.6e9, num_processes: 2 })).toBe("85.5 GB, a process takes up to 21.6 GB: 2 by default");
    expect(cardText({ process_bytes: 21.6e9, num_processes: 1 })).toMatch(/nvidia-smi does not say.*one by default/);
  });

  it("counts no weights on the host where a device holds them", async () => {
    const file = path.join(root, "pipelines", "select.yaml");
    const { config } = await loadConfig(file, { overrides: [`model.path=${fixture}`], environment: {} });
    const { model, plan } = await examinePlan(config);
    const [onCpu, onDevice] = await Promise.all([true, false].map((cpu) => estimateMemory(model, 8_000_000, plan.resources, cpu)));
    expect(onCpu!.worker_bytes).toBeGreaterThan(onCpu!.weights_bytes + onCpu!.activations_bytes);
    expect(onDevice!.worker_bytes).toBeLessThan(onDevice!.activations_bytes);
  });
});

describe("a plan on CUDA", () => {
  afterEach(() => vi.unstubAllEnvs());
  const planned = async (...overrides: string[]) => {
    const file = path.join(root, "pipelines", "select.yaml");
    const { config } = await loadConfig(file, { overrides: [`model.path=${fixture}`, "model.device=cuda", ...overrides], environment: {} });
    const { plan, card } = await examinePlan(config);
    return { ...plan.resources, scores_hash: plan.scores_hash, card };
  };

  it("shares the card that nvidia-smi names, and changes no hash by it", async () => {
    const folder = await mkdtemp(path.join(tmpdir(), "smi-"));
    const smi = path.join(folder, "nvidia-smi");
    await writeFile(smi, "#!/bin/sh\necho '81559, Disabled'\n");
    await chmod(smi, 0o755);
    vi.stubEnv("PATH", "/nonexistent");
    const unknown = await planned();
    vi.stubEnv("PATH", `${folder}:/bin:/usr/bin`);
    const known = await planned();
    expect(unknown).toMatchObject({ num_workers: 1, num_lanes: 1, card: { num_processes: 1 } });
    expect(known).toMatchObject({ num_workers: 2, num_lanes: 2, card: { card_bytes: 81559 * 2 ** 20, num_processes: 2 } });
    expect(known.scores_hash).toBe(unknown.scores_hash);
    expect(await planned("resources.num_workers=3")).toMatchObject({ num_workers: 3 });
    await rm(folder, { recursive: true });
  });
});
