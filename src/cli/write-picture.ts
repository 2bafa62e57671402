import { writeFile } from "node:fs/promises";
import { PlanError } from "../core/errors.ts";

/** Writes the picture where it was asked for. */
export async function writePicture(path: string, svg: string): Promise<void> {
  try {
    await writeFile(path, svg);
  } catch (cause) {
    throw new PlanError(`can't write ${path}: ${(cause as Error).message}`, { cause, remedy: "choose another path" });
  }
}
