// A page of events as its text, cut into the lines of the log as they are: numbers beyond 2^53 and escapes stay.

export interface EventPage {
  lines: string[];
  next_after_sequence: number;
  last_sequence: number;
  /** The stream has ended. */
  closed: boolean;
}

const ITEMS = '"items":[';
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN = [0x7b, 0x5b];
const CLOSE = [0x7d, 0x5d];

export function parsePage(text: string): EventPage {
  const found = text.indexOf(ITEMS);
  if (found === -1) throw new SyntaxError("the page has no items");
  const begin = found + ITEMS.length;
  const { lines, end } = cut(text, begin);
  const rest = JSON.parse(`${text.slice(0, begin)}${text.slice(end)}`) as Omit<EventPage, "lines">;
  return { ...rest, lines };
}

/** The objects of an array, and where its bracket closes. */
function cut(text: string, begin: number): { lines: string[]; end: number } {
  const lines: string[] = [];
  let depth = 0;
  let start = begin;
  for (let at = begin; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      at = endOfString(text, at);
    } else if (OPEN.includes(code)) {
      if (depth++ === 0) start = at;
    } else if (CLOSE.includes(code)) {
      if (depth-- === 0) return { lines, end: at };
      if (depth === 0) lines.push(text.slice(start, at + 1));
    }
  }
  throw new SyntaxError("the page has no end");
}

/** The closing quote: the first that has an even number of backslashes before it. */
function endOfString(text: string, quote: number): number {
  for (let at = text.indexOf('"', quote + 1); at !== -1; at = text.indexOf('"', at + 1)) {
    let backslashes = 0;
    while (text.charCodeAt(at - 1 - backslashes) === BACKSLASH) backslashes++;
    if (backslashes % 2 === 0) return at;
  }
  throw new SyntaxError("a text in the page has no end");
}
