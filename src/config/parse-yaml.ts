/**
 * YAML text to plain data with the place of every key and value. Input is not trusted: no tags, bounded size,
 * depth and number of values (aliases multiply values, so the bound is on what they expand to).
 */
import { type Document, type ErrorCode, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, type Pair, parseDocument, Scalar, type YAMLError } from "yaml";
import type { Diagnostic } from "../core/errors.ts";
import { type Environment, expandReferences, hasReference, maskReferences, type Reference, RESERVED_CHARACTERS } from "./interpolation.ts";
import { type ConfigPath, diagnosticAt, type Position, SourceMap } from "./source-map.ts";

export const YAML_LIMITS = { num_characters: 256 * 1024, depth: 32, num_values: 10_000 } as const;

export interface ParsedYaml {
  /** undefined where the text could not be read at all. */
  readonly data: unknown;
  readonly sourceMap: SourceMap;
  readonly diagnostics: readonly Diagnostic[];
  /** Places whose value could not be read: they have their diagnostic, and no other should be added. */
  readonly unreadable: readonly ConfigPath[];
}

/** Plain data, its source map and every mistake found. Never throws for bad input. `file` is only a name. */
export function parseYaml(text: string, file: string, environment: Environment): ParsedYaml {
  const sourceMap = new SourceMap();
  sourceMap.set([], { file, line: 1, column: 1 });
  const refuse = (position: Position, message: string, remedy: string): ParsedYaml => ({
    data: undefined,
    sourceMap,
    diagnostics: [diagnosticAt(position, message, remedy)],
    unreadable: [],
  });
  const start = { file, line: 1, column: 1 };

  if (text.length > YAML_LIMITS.num_characters) {
    return refuse(start, `the file has ${text.length} characters, more than ${YAML_LIMITS.num_characters}`, "a configuration is a short file: is this the right one?");
  }
  const lineCounter = new LineCounter();
  const positionOf = (offset: number): Position => {
    const { line, col } = lineCounter.linePos(Math.max(0, offset));
    return { file, line: Math.max(1, line), column: Math.max(1, col) };
  };
  const masked = maskReferences(text);
  const document = parseDocument(masked.text, {
    version: "1.2",
    schema: "core",
    customTags: [],
    merge: false,
    stringKeys: true,
    uniqueKeys: true,
    prettyErrors: false,
    lineCounter,
  });
  const reserved = RESERVED_CHARACTERS.exec(text);
  if (reserved !== null) {
    return refuse(positionOf(reserved.index), "private-use characters U+E000 and U+E100 to U+E4FF can't be used here", "remove the character");
  }
  if (document.errors.length > 0) {
    // Later syntax errors are mostly echoes of the first.
    const first = document.errors.reduce((a, b) => (b.pos[0] < a.pos[0] ? b : a));
    return refuse(positionOf(first.pos[0]), ...describeSyntaxError(first));
  }
  const reader = new NodeReader(document, masked.references, environment, sourceMap, positionOf);
  const data = document.contents === null ? undefined : reader.read(document.contents, []);
  if (data === undefined && reader.diagnostics.length === 0) {
    return refuse(start, "the configuration is empty", "start from the example in docs/configuration.md");
  }
  if (reader.isOverLimit) return { data: undefined, sourceMap, diagnostics: reader.diagnostics.slice(-1), unreadable: [] };
  return { data, sourceMap, diagnostics: reader.diagnostics, unreadable: reader.unreadable };
}

const SYNTAX_ERRORS: Readonly<Partial<Record<ErrorCode, readonly [message: string, remedy: string]>>> = {
  DUPLICATE_KEY: ["this key stands twice in the same block", "remove one of the two"],
  TAB_AS_INDENT: ["a tab indents this line; YAML takes only spaces", "replace the tab by spaces"],
  RESOURCE_EXHAUSTION: ["values are nested too deeply", `at most ${YAML_LIMITS.depth} levels are read`],
  MULTIPLE_DOCS: ["a second YAML document begins here", "keep one configuration in a file"],
  NON_STRING_KEY: ["this key is not text", "write a plain name before the colon"],
};

function describeSyntaxError(error: YAMLError): readonly [message: string, remedy: string] {
  const known = SYNTAX_ERRORS[error.code];
  return known ?? [`not valid YAML: ${error.message}`, "check indentation, brackets and quotes here and on the line before"];
}

class NodeReader {
  readonly diagnostics: Diagnostic[] = [];
  readonly unreadable: ConfigPath[] = [];
  /** Reading has stopped: the last diagnostic says why. */
  isOverLimit = false;
  #numValues = 0;

  constructor(
    readonly document: Document,
    readonly references: readonly Reference[],
    readonly environment: Environment,
    readonly sourceMap: SourceMap,
    readonly positionOf: (offset: number) => Position,
  ) {}

  read(node: Node, path: ConfigPath, keyNode?: Node): unknown {
    const position = this.positionOf(node.range?.[0] ?? 0);
    const keyPosition = keyNode?.range ? this.positionOf(keyNode.range[0]) : undefined;
    this.sourceMap.set(path, position, keyPosition);
    if (this.isOverLimit) return undefined;
    if (path.length > YAML_LIMITS.depth || ++this.#numValues > YAML_LIMITS.num_values) return this.#limitReached(position);
    if (isAlias(node)) return this.#readAlias(node.resolve(this.document), node.source, position, path, keyNode);
    if (node.tag !== undefined) {
      const tag = node.tag.replace("tag:yaml.org,2002:", "!!");
      this.#report(position, `the tag ${tag} is not allowed`, "remove the tag: values are read by their form", path);
    }
    if (isMap(node)) return this.#readMap(node.items as Pair<Node, Node | null>[], path);
    if (isSeq(node)) {
      const items: unknown[] = [];
      for (const item of node.items) {
        items.push(this.read(item as Node, [...path, items.length]));
        if (this.isOverLimit) break;
      }
      return items;
    }
    return isScalar(node) ? this.#readScalar(node, path) : undefined;
  }

  #readAlias(target: Node | undefined, name: string, position: Position, path: ConfigPath, keyNode?: Node): unknown {
    if (target === undefined) {
      this.#report(position, `*${name} refers to no anchor before it`, `add &${name} to the value that is meant`, path);
      return null;
    }
    const value = this.read(target, path);
    // A mistake in the value is shown where it is used: that is where the key stands.
    this.sourceMap.set(path, position, keyNode?.range ? this.positionOf(keyNode.range[0]) : undefined);
    return value;
  }

  #readMap(pairs: readonly Pair<Node, Node | null>[], path: ConfigPath): Record<string, unknown> {
    // No prototype: a key such as __proto__ stays an ordinary (unknown) key.
    const map = Object.create(null) as Record<string, unknown>;
    for (const { key, value } of pairs) {
      const name = isScalar(key) ? String(key.value) : "";
      const position = this.positionOf(key.range?.[0] ?? 0);
      if (hasReference(name)) {
        this.#report(position, "environment variables can't stand in keys", "write the key out", [...path, name]);
        continue;
      }
      if (value === null) {
        this.sourceMap.set([...path, name], position, position);
        map[name] = null;
      } else {
        map[name] = this.read(value, [...path, name], key);
      }
      if (this.isOverLimit) break;
    }
    return map;
  }

  #readScalar(node: Scalar, path: ConfigPath): unknown {
    if (typeof node.value === "bigint") return Number(node.value);
    if (typeof node.value !== "string" || !hasReference(node.value)) return node.value;
    const { text, mistakes } = expandReferences(node.value, this.references, this.environment);
    for (const mistake of mistakes) this.#report(this.positionOf(mistake.reference.offset), mistake.message, mistake.remedy, path);
    // A quoted value stays text; a plain one is read as if its text had stood there.
    return node.type === Scalar.PLAIN ? readPlainScalar(text) : text;
  }

  #limitReached(position: Position): undefined {
    this.isOverLimit = true;
    const limits = `at most ${YAML_LIMITS.num_values} values (aliases written out) and ${YAML_LIMITS.depth} levels are read`;
    this.#report(position, limits, "write the configuration without nested aliases", []);
    return undefined;
  }

  #report(position: Position, message: string, remedy: string, path: ConfigPath): void {
    this.unreadable.push(path);
    this.diagnostics.push(diagnosticAt(position, message, remedy));
  }
}

/** A plain scalar of YAML's core schema: null, true, 70, 0.28, or text. Never a list or a map. */
export function readPlainScalar(text: string): unknown {
  if (/^(?:~|null|Null|NULL)?$/.test(text)) return null;
  if (/^(?:true|True|TRUE)$/.test(text)) return true;
  if (/^(?:false|False|FALSE)$/.test(text)) return false;
  if (/^[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?$/.test(text)) return Number(text);
  return text;
}
