import type { Diagnostic } from "../core/errors.ts";

/** A place in a configuration: keys and list indices from the root. */
export type ConfigPath = readonly (string | number)[];

export interface Position {
  readonly file: string;
  /** Counted from 1. */
  readonly line: number;
  readonly column: number;
}

interface Entry {
  readonly key: Position | undefined;
  readonly value: Position;
}

/** Remembers where every key and value of a configuration was written: in the file, or on the command line. */
export class SourceMap {
  readonly #entries = new Map<string, Entry>();

  set(path: ConfigPath, value: Position, key?: Position): void {
    this.#entries.set(toPointer(path), { key, value });
  }

  /** Forgets everything below a path: it has been replaced as a whole. */
  forgetBelow(path: ConfigPath): void {
    const prefix = `${toPointer(path)}/`;
    for (const pointer of [...this.#entries.keys()]) if (pointer.startsWith(prefix)) this.#entries.delete(pointer);
  }

  /** Where the key stands (where the value stands, in lists); the nearest enclosing place for a path not written. */
  keyAt(path: ConfigPath): Position {
    const entry = this.#nearest(path);
    return entry.key ?? entry.value;
  }

  /** Where the value begins; the nearest enclosing key for a path not written. */
  valueAt(path: ConfigPath): Position {
    const entry = this.#entries.get(toPointer(path));
    return entry === undefined ? this.keyAt(path) : entry.value;
  }

  #nearest(path: ConfigPath): Entry {
    for (let length = path.length; length >= 0; length--) {
      const entry = this.#entries.get(toPointer(path.slice(0, length)));
      if (entry !== undefined) return entry;
    }
    throw new RangeError("a source map always has its root");
  }
}

export function diagnosticAt(position: Position, message: string, remedy?: string): Diagnostic {
  return { ...position, message, ...(remedy === undefined ? {} : { remedy }) };
}

/** JSON pointer: unambiguous for any key. */
function toPointer(path: ConfigPath): string {
  return path.map((part) => `/${String(part).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
}
