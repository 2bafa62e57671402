/**
 * Finds objects in text by a table of names: which words mean which object. Text: one object a line, its name first, then
 * its synonyms, with commas between; names may have several words; `#` begins a comment.
 */

const WORD = /[\p{L}\p{M}\p{N}]+(?:['’-][\p{L}\p{M}\p{N}]+)*/gu;

/** English plurals that no rule makes. */
const IRREGULAR: Readonly<Record<string, string>> = {
  men: "man",
  women: "woman",
  people: "person",
  children: "child",
  mice: "mouse",
  geese: "goose",
  feet: "foot",
  teeth: "tooth",
  oxen: "ox",
};

/** Words that `word` may be the plural of, itself first. A wrong guess does no harm: only words of the table count. */
export function singulars(word: string): string[] {
  const found = [word];
  const irregular = Object.keys(IRREGULAR).find((plural) => word.endsWith(plural));
  if (irregular !== undefined) found.push(word.slice(0, word.length - irregular.length) + IRREGULAR[irregular]!);
  if (/[^s]s$/.test(word)) found.push(word.slice(0, -1));
  if (/(s|x|z|ch|sh|o)es$/.test(word)) found.push(word.slice(0, -2));
  if (/[^aeiou]ies$/.test(word)) found.push(`${word.slice(0, -3)}y`);
  if (word.endsWith("ves")) found.push(`${word.slice(0, -3)}f`, `${word.slice(0, -3)}fe`);
  return found;
}

export class ObjectTable {
  /** Object by phrase: words with one space between. */
  readonly #objects = new Map<string, string>();
  #longest = 1;

  /** Throws RangeError naming the line where a phrase stands for two objects or a line is empty of words. */
  static parse(text: string): ObjectTable {
    const table = new ObjectTable();
    for (const [index, line] of text.split("\n").entries()) {
      const names = line
        .replace(/#.*$/, "")
        .split(",")
        .map((name) => wordsOf(name).join(" "))
        .filter((name) => name !== "");
      for (const name of names) table.#add(name, names[0]!, index + 1);
    }
    if (table.#objects.size === 0) throw new RangeError("the table names no object");
    return table;
  }

  #add(phrase: string, object: string, line: number): void {
    const other = this.#objects.get(phrase);
    if (other !== undefined && other !== object) throw new RangeError(`line ${line}: "${phrase}" stands for ${object} here and for ${other} before`);
    this.#objects.set(phrase, object);
    this.#longest = Math.max(this.#longest, phrase.split(" ").length);
  }

  /** The object that a name as a whole stands for. */
  objectOf(name: string): string | undefined {
    return this.#lookUp(wordsOf(name));
  }

  /** Every object mentioned, in order, repetitions too. The longest name wins and its words are used up: a hot dog is no dog. */
  mentions(text: string): string[] {
    const words = wordsOf(text);
    const found: string[] = [];
    for (let at = 0; at < words.length; ) {
      let length = Math.min(this.#longest, words.length - at);
      let object: string | undefined;
      while (length > 0 && (object = this.#lookUp(words.slice(at, at + length))) === undefined) length--;
      if (object !== undefined) found.push(object);
      at += Math.max(1, length);
    }
    return found;
  }

  /** The last word may be a plural. */
  #lookUp(words: readonly string[]): string | undefined {
    const last = words.at(-1);
    if (last === undefined) return undefined;
    const before = words.slice(0, -1).map((word) => `${word} `).join("");
    for (const form of singulars(last)) {
      const object = this.#objects.get(before + form);
      if (object !== undefined) return object;
    }
    return undefined;
  }
}

/** In lower case; a hyphen is a space, a possessive ending is left out. */
function wordsOf(text: string): string[] {
  return (text.toLowerCase().match(WORD) ?? []).flatMap((word) => word.replace(/['’]s$/, "").split("-"));
}
