// The first rows of a workbook or a CSV file, read in the browser: no more of it is unpacked than that takes.

export const ROWS = 200;
const COLUMNS = 60;
const STRINGS_MAX = 200_000;

export interface Sheet { name: string; rows: string[][]; /** There are more rows than these. */ isCut: boolean }

export async function sheetsOf(name: string, file: ArrayBuffer): Promise<Sheet[]> {
  const bytes = new Uint8Array(file);
  return bytes[0] === 0x50 && bytes[1] === 0x4b ? workbook(bytes) : [delimited(name, bytes)];
}

// ---- zip

interface Member { offset: number; packed: number; method: number }

function directory(zip: Uint8Array): Map<string, Member> {
  const view = new DataView(zip.buffer, zip.byteOffset, zip.byteLength);
  let end = zip.length - 22;
  while (end >= 0 && view.getUint32(end, true) !== 0x06054b50) end -= 1;
  if (end < 0) throw new Error("The file is no workbook that can be read here.");
  const members = new Map<string, Member>();
  let at = view.getUint32(end + 16, true);
  for (let left = view.getUint16(end + 10, true); left > 0 && at + 46 <= zip.length; left -= 1) {
    if (view.getUint32(at, true) !== 0x02014b50) break;
    const [nameLength, extra, comment] = [view.getUint16(at + 28, true), view.getUint16(at + 30, true), view.getUint16(at + 32, true)];
    const name = new TextDecoder().decode(zip.subarray(at + 46, at + 46 + nameLength));
    members.set(name.replace(/^\//, ""), {
      method: view.getUint16(at + 10, true), packed: view.getUint32(at + 20, true), offset: view.getUint32(at + 42, true),
    });
    at += 46 + nameLength + extra + comment;
  }
  return members;
}

/** The text of a member, up to where `isEnough` says so. */
async function textOf(zip: Uint8Array, member: Member, isEnough?: (text: string) => boolean): Promise<string> {
  const view = new DataView(zip.buffer, zip.byteOffset, zip.byteLength);
  const start = member.offset + 30 + view.getUint16(member.offset + 26, true) + view.getUint16(member.offset + 28, true);
  const packed = zip.subarray(start, start + member.packed) as Uint8Array<ArrayBuffer>;
  let body: ReadableStream<Uint8Array> = new Blob([packed]).stream();
  if (member.method === 8) body = body.pipeThrough(new DecompressionStream("deflate-raw") as ReadableWritablePair<Uint8Array, Uint8Array>);
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return text + decoder.decode();
    text += decoder.decode(value, { stream: true });
    if (isEnough?.(text)) {
      void reader.cancel();
      return text;
    }
  }
}

// ---- workbooks

const NS = "*";

async function workbook(zip: Uint8Array): Promise<Sheet[]> {
  const members = directory(zip);
  const book = members.get("xl/workbook.xml");
  if (!book) throw new Error("The file is no workbook that can be read here.");
  const parse = (text: string): Document => new DOMParser().parseFromString(text, "application/xml");
  const relations = members.get("xl/_rels/workbook.xml.rels");
  const targets = new Map<string, string>();
  if (relations) {
    for (const one of parse(await textOf(zip, relations)).getElementsByTagNameNS(NS, "Relationship")) {
      const target = one.getAttribute("Target") ?? "";
      targets.set(one.getAttribute("Id") ?? "", target.startsWith("/") ? target.slice(1) : `xl/${target}`);
    }
  }
  const parsed = parse(await textOf(zip, book));
  const is1904 = ["1", "true"].includes(parsed.getElementsByTagNameNS(NS, "workbookPr")[0]?.getAttribute("date1904") ?? "");
  const dates = await dateStyles(zip, members, parse);
  const found: Sheet[] = [];
  let strings: string[] | undefined;
  for (const sheet of [...parsed.getElementsByTagNameNS(NS, "sheet")].slice(0, 50)) {
    const relation = [...sheet.attributes].find((it) => it.localName === "id" && it.prefix)?.value ?? "";
    const member = members.get(targets.get(relation) ?? "");
    if (!member) continue;
    const text = await textOf(zip, member, (sofar) => count(sofar, "</row>", ROWS + 1));
    strings ??= await sharedStrings(zip, members);
    const rows = rowsOf(text, strings, dates, is1904);
    found.push({ name: sheet.getAttribute("name") ?? "", rows: rows.slice(0, ROWS), isCut: rows.length > ROWS });
  }
  return found;
}

function count(text: string, what: string, most: number): boolean {
  let found = 0;
  for (let at = text.indexOf(what); at >= 0; at = text.indexOf(what, at + what.length)) {
    found += 1;
    if (found >= most) return true;
  }
  return false;
}

async function sharedStrings(zip: Uint8Array, members: Map<string, Member>): Promise<string[]> {
  const member = members.get("xl/sharedStrings.xml");
  if (!member) return [];
  const text = await textOf(zip, member, (sofar) => sofar.length > 20_000_000);
  const strings: string[] = [];
  for (const [, item = ""] of text.matchAll(/<(?:\w+:)?si(?:\s[^>]*)?>([\s\S]*?)<\/(?:\w+:)?si>/g)) {
    strings.push(plainOf(item));
    if (strings.length >= STRINGS_MAX) break;
  }
  return strings;
}

/** Which styles are those of dates. */
async function dateStyles(zip: Uint8Array, members: Map<string, Member>, parse: (text: string) => Document): Promise<boolean[]> {
  const member = members.get("xl/styles.xml");
  if (!member) return [];
  const styles = parse(await textOf(zip, member));
  const formats = new Map<string, string>();
  for (const one of styles.getElementsByTagNameNS(NS, "numFmt")) formats.set(one.getAttribute("numFmtId") ?? "", one.getAttribute("formatCode") ?? "");
  const own = styles.getElementsByTagNameNS(NS, "cellXfs")[0];
  return [...(own?.getElementsByTagNameNS(NS, "xf") ?? [])].map((style) => {
    const id = style.getAttribute("numFmtId") ?? "0";
    const code = formats.get(id);
    if (code === undefined) return (Number(id) >= 14 && Number(id) <= 22) || (Number(id) >= 45 && Number(id) <= 47);
    return /[dmyhs]/i.test(code.replace(/"[^"]*"|\\.|\[[^\]]*\]/g, ""));
  });
}

function rowsOf(text: string, strings: string[], dates: boolean[], is1904: boolean): string[][] {
  const rows: string[][] = [];
  const rowPattern = /<(?:\w+:)?row\b([^>]*?)(?:\/>|>([\s\S]*?)<\/(?:\w+:)?row>)/g;
  for (const [, attributes = "", body = ""] of text.matchAll(rowPattern)) {
    const number = Number(/\br="(\d+)"/.exec(attributes)?.[1] ?? rows.length + 1);
    if (number > ROWS + 1 || rows.length > ROWS) {
      rows.length = Math.max(rows.length, ROWS + 1);
      break;
    }
    while (rows.length < number - 1) rows.push([]);
    rows.push(cellsOf(body, strings, dates, is1904));
  }
  for (let at = 0; at < rows.length; at += 1) rows[at] ??= [];
  return rows;
}

function cellsOf(body: string, strings: string[], dates: boolean[], is1904: boolean): string[] {
  const cells: string[] = [];
  for (const [, attributes = "", inner = ""] of body.matchAll(/<(?:\w+:)?c\b([^>]*?)(?:\/>|>([\s\S]*?)<\/(?:\w+:)?c>)/g)) {
    const letters = /\br="([A-Z]+)\d+"/.exec(attributes)?.[1];
    const column = letters ? [...letters].reduce((sum, letter) => sum * 26 + letter.charCodeAt(0) - 64, 0) - 1 : cells.length;
    if (column >= COLUMNS) break;
    while (cells.length < column) cells.push("");
    const kind = /\bt="(\w+)"/.exec(attributes)?.[1] ?? "n";
    const value = decode(/<(?:\w+:)?v\b[^>]*>([\s\S]*?)<\/(?:\w+:)?v>/.exec(inner)?.[1] ?? "");
    if (kind === "s") cells[column] = strings[Number(value)] ?? "";
    else if (kind === "inlineStr") cells[column] = plainOf(inner);
    else if (kind === "b") cells[column] = value === "1" ? "TRUE" : "FALSE";
    else if (kind === "n" && value !== "" && dates[Number(/\bs="(\d+)"/.exec(attributes)?.[1] ?? -1)]) cells[column] = dateOf(Number(value), is1904);
    else if (kind === "d") cells[column] = value.replace(/T00:00:00(\.0+)?$/, "").replace("T", " ");
    else cells[column] = value;
  }
  return cells;
}

function dateOf(serial: number, is1904: boolean): string {
  const days = is1904 ? serial + 1462 : serial;
  // Before March 1900 spreadsheets count a day that never was.
  const ms = Math.round((days - (days < 60 ? 25568 : 25569)) * 86_400_000);
  if (!Number.isFinite(ms) || Math.abs(ms) > 8.64e15) return String(serial);
  const text = new Date(ms).toISOString();
  if (days < 1) return text.slice(11, 19);
  return text.endsWith("T00:00:00.000Z") ? text.slice(0, 10) : text.slice(0, 19).replace("T", " ");
}

function plainOf(xml: string): string {
  let text = "";
  const readable = xml.replace(/<(?:\w+:)?rPh\b[\s\S]*?<\/(?:\w+:)?rPh>/g, "");
  for (const [, part = ""] of readable.matchAll(/<(?:\w+:)?t\b[^>]*>([\s\S]*?)<\/(?:\w+:)?t>/g)) text += part;
  return decode(text);
}

const ENTITIES: Record<string, string> = { lt: "<", gt: ">", amp: "&", quot: '"', apos: "'" };
function decode(text: string): string {
  if (!text.includes("&") && !text.includes("_x")) return text;
  return text
    .replace(/&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi, (whole, hex?: string, decimal?: string, name?: string) => {
      const code = hex ? parseInt(hex, 16) : Number(decimal);
      if (name) return ENTITIES[name] ?? whole;
      return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
    })
    .replace(/_x([0-9a-f]{4})_/gi, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)));
}

// ---- CSV

function delimited(name: string, bytes: Uint8Array): Sheet {
  const head = bytes.subarray(0, 2_000_000);
  const wide = head[0] === 0xff && head[1] === 0xfe ? "utf-16le" : head[0] === 0xfe && head[1] === 0xff ? "utf-16be" : "";
  let text: string;
  try {
    text = new TextDecoder(wide || "utf-8", { fatal: head.length === bytes.length }).decode(head);
  } catch {
    text = new TextDecoder("windows-1252").decode(head);
  }
  const first = text.slice(0, 4000).split(/\r?\n/).slice(0, 5).join("\n");
  const separators = [",", ";", "\t", "|"].map((it) => [it, first.split(it).length] as const);
  const separator = separators.reduce((best, it) => (it[1] > best[1] ? it : best))[0];
  const rows: string[][] = [];
  let [row, cell, isQuoted] = [[] as string[], "", false];
  const endCell = (): void => {
    if (row.length < COLUMNS) row.push(cell);
    cell = "";
  };
  for (let at = 0; at < text.length && rows.length <= ROWS; at += 1) {
    const char = text[at]!;
    if (isQuoted) {
      if (char !== '"') cell += char;
      else if (text[at + 1] === '"') {
        cell += '"';
        at += 1;
      } else isQuoted = false;
    } else if (char === '"' && cell === "") isQuoted = true;
    else if (char === separator) endCell();
    else if (char === "\n") {
      endCell();
      rows.push(row);
      row = [];
    } else if (char !== "\r") cell += char;
  }
  if ((cell !== "" || row.length > 0) && rows.length <= ROWS) {
    endCell();
    rows.push(row);
  }
  return { name, rows: rows.slice(0, ROWS), isCut: rows.length > ROWS || head.length < bytes.length };
}
