/** Stand-ins for configurations whose owners have not landed yet. */
import { z } from "zod";

export const llavaJsonConfig = z.strictObject({
  kind: z.literal("llava_json"),
  annotations: z.string().min(1).describe("LLaVA JSON or JSON lines."),
  image_root: z.string().min(1).describe("Folder that image paths are relative to."),
});
export const sourceConfig = z.discriminatedUnion("kind", [llavaJsonConfig]);

import type { Source } from "../core/source.ts";
import { PlanError } from "../core/errors.ts";

export function openSource(_config: unknown): Promise<Source> {
  throw new PlanError("sources have not landed yet");
}
