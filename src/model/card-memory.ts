import { execFile } from "node:child_process";
import { promisify } from "node:util";

/** Bytes of the smallest NVIDIA card, as nvidia-smi says; undefined where it says nothing. */
export async function smallestCardBytes(): Promise<number | undefined> {
  const query = ["--query-gpu=memory.total,mig.mode.current", "--format=csv,noheader,nounits"];
  const answer = await promisify(execFile)("nvidia-smi", query, { timeout: 10_000 }).catch(() => undefined);
  return answer && smallestOf(answer.stdout);
}

/** Undefined too where a card is cut into parts (MIG), or shares the host's memory and names none of its own. */
export function smallestOf(csv: string): number | undefined {
  const cards = csv.trim().split("\n").map((line) => line.split(",").map((field) => field.trim()));
  const bytes = cards.map(([mib, mig]) => (mig === "Enabled" ? NaN : Number(mib || NaN) * 2 ** 20));
  const smallest = Math.min(...bytes);
  return Number.isFinite(smallest) ? smallest : undefined;
}
