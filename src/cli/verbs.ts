import { schemaVerb } from "./schema.ts";
import { validateVerb } from "./validate.ts";
import type { Verb } from "./verb.ts";

/** Every command, in the order in which help shows them. */
export const VERBS: readonly Verb<never>[] = [validateVerb, schemaVerb];
