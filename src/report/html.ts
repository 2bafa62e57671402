/** HTML as strings, in which nothing that comes from data can become markup. */

/** Markup that is safe to stand in a page. Only `html` and `trusted` make it. */
export class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

type Part = string | number | Html | readonly Part[] | null | undefined | false;

/** A template whose values are escaped unless they are Html. null, undefined and false leave nothing. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return new Html(strings.reduce((text, string, i) => text + render(parts[i - 1]) + string));
}

/** For what this project wrote itself: styles, scripts, charts whose texts are escaped already. */
export const trusted = (text: string): Html => new Html(text);

export const NOTHING = new Html("");

function render(part: Part): string {
  if (part === null || part === undefined || part === false) return "";
  if (part instanceof Html) return part.text;
  if (typeof part === "string") return escapeText(part);
  if (typeof part === "number") return String(part);
  return part.map(render).join("");
}

const ENTITIES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

/** Also without what steers the direction of text: names from data must not turn a line around. */
export function escapeText(text: string): string {
  return visible(text).replace(/[&<>"']/g, (character) => ENTITIES[character]!);
}

/** Control characters and marks that reorder text become U+FFFD; tab and line break stay. */
export function visible(text: string): string {
  return text.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, "\ufffd");
}

/** A value as JSON that can stand inside a script element: no end tag, no comment, no line separator of old parsers. */
export function scriptJson(value: unknown): Html {
  const text = JSON.stringify(value, (_, item: unknown) => (typeof item === "string" ? visible(item) : item));
  return new Html(text.replace(/[<>&\u2028\u2029]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`));
}
