import type { CommonOptions, OutputStream, Shell } from "./shell.ts";

/** The few text styles that are used; each returns its text unchanged where colour is off. */
export interface Colors {
  readonly bold: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly red: (text: string) => string;
  readonly yellow: (text: string) => string;
  readonly green: (text: string) => string;
}

const plain = (text: string): string => text;
const styled = (open: number, close: number) => (text: string) => `\u001b[${open}m${text}\u001b[${close}m`;

export const NO_COLORS: Colors = { bold: plain, dim: plain, red: plain, yellow: plain, green: plain };

/** Colour on a terminal, unless --no-color, NO_COLOR (set and not empty) or TERM=dumb say otherwise. */
export function colorsFor(stream: OutputStream, shell: Shell, options: Pick<CommonOptions, "color">): Colors {
  const isWanted = options.color && !shell.env["NO_COLOR"] && stream.isTTY === true && shell.env["TERM"] !== "dumb";
  if (!isWanted) return NO_COLORS;
  return { bold: styled(1, 22), dim: styled(2, 22), red: styled(31, 39), yellow: styled(33, 39), green: styled(32, 39) };
}

/** Text from data or from other programs, without what could steer a terminal. */
export function printable(text: string): string {
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, "\ufffd");
}
