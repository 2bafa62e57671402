/** Every metric by name. */
import { ChairTally } from "./chair.ts";
import { ChoiceTally } from "./choice.ts";
import { DocvqaTally } from "./docvqa.ts";
import type { MetricTally } from "./estimate.ts";
import { MmhalTally } from "./mmhal.ts";
import type { ObjectTable } from "./object-table.ts";
import { PopeTally } from "./pope.ts";

export const METRIC_NAMES = ["pope", "chair", "mmhal", "choice", "docvqa"] as const;
export type MetricName = (typeof METRIC_NAMES)[number];

/** `objects`: CHAIR's table of names. Throws RangeError where it is missing. */
export function newTally(name: MetricName, objects?: ObjectTable): MetricTally {
  switch (name) {
    case "pope":
      return new PopeTally();
    case "chair":
      if (!objects) throw new RangeError("chair needs a table of objects");
      return new ChairTally(objects);
    case "mmhal":
      return new MmhalTally();
    case "choice":
      return new ChoiceTally();
    case "docvqa":
      return new DocvqaTally();
  }
}
