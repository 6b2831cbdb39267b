// Colours of terminals in a line of text (SGR sequences); every other control sequence is left out.
//
// Made here because what makes HTML of it writes `style` attributes, which the content security policy refuses.

export interface Span { text: string; classes: string; color?: string }

// eslint-disable-next-line no-control-regex
const SEQUENCE = /\u001b(?:\[([0-9;:?]*)([ -/]*[@-~])|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[@-Z\\-_])/g;
const NAMES = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];

interface Style { bold: boolean; dim: boolean; italic: boolean; underline: boolean; name?: string; color?: string }

const plain = (): Style => ({ bold: false, dim: false, italic: false, underline: false });

export function hasAnsi(text: string): boolean {
  return text.includes("\u001b");
}

export function stripAnsi(text: string): string {
  return hasAnsi(text) ? text.replace(SEQUENCE, "") : text;
}

export function spans(text: string): Span[] {
  if (!hasAnsi(text)) return [{ text, classes: "" }];
  const found: Span[] = [];
  let style = plain();
  let at = 0;
  const push = (end: number): void => {
    if (end > at) found.push({ text: text.slice(at, end), classes: classesOf(style), color: style.color });
  };
  for (const match of text.matchAll(SEQUENCE)) {
    push(match.index);
    at = match.index + match[0].length;
    if (match[2] === "m") style = changed(style, match[1] ?? "");
  }
  push(text.length);
  return found;
}

function classesOf(style: Style): string {
  const classes = [];
  if (style.name) classes.push(`ansi-${style.name}`);
  if (style.bold) classes.push("ansi-bold");
  if (style.dim) classes.push("ansi-dim");
  if (style.italic) classes.push("ansi-italic");
  if (style.underline) classes.push("ansi-underline");
  return classes.join(" ");
}

function changed(before: Style, codes: string): Style {
  const style = { ...before };
  const numbers = codes === "" ? [0] : codes.split(/[;:]/).map(Number);
  for (let at = 0; at < numbers.length; at += 1) {
    const code = numbers[at]!;
    if (code === 0) Object.assign(style, plain(), { name: undefined, color: undefined });
    else if (code === 1) style.bold = true;
    else if (code === 2) style.dim = true;
    else if (code === 3) style.italic = true;
    else if (code === 4) style.underline = true;
    else if (code === 22) style.bold = style.dim = false;
    else if (code === 23) style.italic = false;
    else if (code === 24) style.underline = false;
    else if (code === 39) style.name = style.color = undefined;
    else if (code >= 30 && code <= 37) [style.name, style.color] = [NAMES[code - 30], undefined];
    else if (code >= 90 && code <= 97) [style.name, style.color] = [NAMES[code - 90], undefined];
    else if (code === 38 || code === 48) {
      const [color, used] = extended(numbers.slice(at + 1));
      if (code === 38) {
        style.name = color.name;
        style.color = color.rgb;
      }
      at += used;
    }
  }
  return style;
}

function extended(rest: number[]): [{ name?: string; rgb?: string }, number] {
  if (rest[0] === 2) return [{ rgb: `rgb(${rest.slice(1, 4).map(byte).join(" ")})` }, 4];
  if (rest[0] !== 5) return [{}, 0];
  const index = byte(rest[1]);
  if (index < 16) return [{ name: NAMES[index % 8] }, 2];
  if (index >= 232) {
    const grey = 8 + (index - 232) * 10;
    return [{ rgb: `rgb(${grey} ${grey} ${grey})` }, 2];
  }
  const level = (value: number): number => (value === 0 ? 0 : 55 + value * 40);
  const cube = index - 16;
  return [{ rgb: `rgb(${level(Math.floor(cube / 36))} ${level(Math.floor(cube / 6) % 6)} ${level(cube % 6)})` }, 2];
}

const byte = (value: number | undefined): number => Math.min(255, Math.max(0, value || 0));
