/**
 * `${NAME}`, `${NAME:-default}` and `$${` (a literal `${`) in a configuration's values.
 *
 * Braces would end a plain value inside `{ ... }`, and a substitution before parsing would let a variable's content
 * change the document's structure and shift every column. So before parsing each reference becomes a token of the
 * same length made of private-use characters, and after parsing tokens in values are replaced by text: structure
 * and positions are those of the file, whatever the environment holds.
 */
const REFERENCE = /\$\$\{|\$\{([^}\n]*)\}/g;
const NAME_AND_DEFAULT = /^([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?$/s;

const TOKEN_START = "\uE000";
const TOKEN_END = "\uE001";
const DIGIT_ZERO = 0xe100;
const BASE = 0x400;
const TOKEN = /\uE000([\uE100-\uE4FF]+)\uE001/g;

/** Characters that no configuration may contain, since tokens are made of them. */
export const RESERVED_CHARACTERS = /[\uE000\uE001\uE100-\uE4FF]/;

export interface Reference {
  /** Offset of the `$` in the text. */
  readonly offset: number;
  readonly text: string;
}

export interface MaskedText {
  readonly text: string;
  readonly references: readonly Reference[];
}

/** The text with each reference replaced by a token of equal length. */
export function maskReferences(text: string): MaskedText {
  const references: Reference[] = [];
  const masked = text.replace(REFERENCE, (reference, _body, offset: number) => {
    references.push({ offset, text: reference });
    return token(references.length - 1, reference.length);
  });
  return { text: masked, references };
}

function token(index: number, length: number): string {
  let digits = "";
  for (let rest = index, i = 2; i < length; i++, rest = Math.floor(rest / BASE)) {
    digits = String.fromCharCode(DIGIT_ZERO + (rest % BASE)) + digits;
  }
  return TOKEN_START + digits + TOKEN_END;
}

export function hasReference(masked: string): boolean {
  return masked.includes(TOKEN_START);
}

export type Environment = Readonly<Record<string, string | undefined>>;

export interface ReferenceMistake {
  readonly reference: Reference;
  readonly message: string;
  readonly remedy: string;
}

/** The value with every token replaced. A variable that is set but empty takes its default, as in a shell. */
export function expandReferences(
  masked: string,
  references: readonly Reference[],
  environment: Environment,
): { readonly text: string; readonly mistakes: readonly ReferenceMistake[] } {
  const mistakes: ReferenceMistake[] = [];
  const text = masked.replace(TOKEN, (_token, digits: string) => {
    let index = 0;
    for (const digit of digits) index = index * BASE + (digit.charCodeAt(0) - DIGIT_ZERO);
    const reference = references[index]!;
    if (reference.text === "$${") return "${";
    const match = NAME_AND_DEFAULT.exec(reference.text.slice(2, -1));
    if (match === null) {
      mistakes.push({
        reference,
        message: `${reference.text} is not a reference to an environment variable`,
        remedy: "write ${NAME} or ${NAME:-default}, or $${ for a literal ${",
      });
      return "";
    }
    const name = match[1]!;
    const fallback = match[2];
    const value = environment[name];
    if (value !== undefined && !(value === "" && fallback !== undefined)) return value;
    if (fallback !== undefined) return fallback;
    mistakes.push({
      reference,
      message: `environment variable ${name} is not set`,
      remedy: `set it, or give a default: \${${name}:-default}`,
    });
    return "";
  });
  return { text, mistakes };
}
