// The lines of a log as a list of unbounded length, of which a bounded part is in memory.
//
// Invariant: at most `PAGES` pages of rows are held, whatever the length of the log and wherever somebody scrolls; what
// is looked at and not here is read from the service by page. Without a filter row n is the event n + 1 of the stream, so
// any place can be gone to without reading what is before it. With one, the numbers of the events that pass are kept
// (four bytes each), and the rows are read by page all the same.

import { get, Problem, query } from "./api";
import type { EventPage, StreamEvent } from "./types";

export const PAGE = 250;
const PAGES = 48;
const TEXT_MAX = 4000;
const SCAN = 1000;

export interface Row {
  sequence: number; time: string; type: string; scope: string; level: string; text: string; isCut: boolean;
}
export interface Filter { level: string; scope: string; text: string }

export const NO_FILTER: Filter = { level: "", scope: "", text: "" };
export const isFiltered = (filter: Filter): boolean => filter.level !== "" || filter.scope !== "" || filter.text !== "";

export class Log {
  /** Changes whenever rows have come; what is drawn depends on it. */
  version = $state(0);
  /** Of the stream. */
  last = $state(0);
  count = $state(0);
  error = $state.raw<Error | undefined>();
  /** How far a filter has looked, when it has not seen everything. */
  scanned = $state(0);
  isScanning = $state(false);
  filter = $state.raw<Filter>(NO_FILTER);
  readonly path: string;
  #pages = new Map<number, (Row | undefined)[]>();
  #wanted: number[] = [];
  #loading = new Map<number, AbortController>();
  #numbers = new Numbers();
  #scan: AbortController | undefined;

  constructor(path: string) {
    this.path = path;
  }

  /** Forgets everything and begins with a filter. */
  begin(filter: Filter, last = this.last): void {
    this.stop();
    this.filter = filter;
    this.#pages.clear();
    this.#numbers = new Numbers();
    this.last = last;
    this.count = isFiltered(filter) ? 0 : last;
    this.scanned = 0;
    this.error = undefined;
    this.version += 1;
    if (isFiltered(filter)) void this.#scanOn();
  }

  stop(): void {
    this.#scan?.abort();
    this.#scan = undefined;
    this.isScanning = false;
    for (const loading of this.#loading.values()) loading.abort();
    this.#loading.clear();
  }

  row(index: number): Row | undefined {
    return this.#pages.get(Math.floor(index / PAGE))?.[index % PAGE];
  }

  /** The number of the event that a row is. */
  sequenceOf(index: number): number {
    return isFiltered(this.filter) ? this.#numbers.at(index) : index + 1;
  }

  indexOf(sequence: number): number {
    return isFiltered(this.filter) ? this.#numbers.find(sequence) : sequence - 1;
  }

  /** What is looked at: reads what of it is not here, the last page first. */
  show(first: number, last: number): void {
    const from = Math.floor(first / PAGE);
    const to = Math.floor(Math.max(first, last) / PAGE);
    this.#wanted = [];
    for (let page = to; page >= from; page -= 1) {
      const rows = this.#pages.get(page);
      if (rows) {
        // The one that was looked at last is forgotten last.
        this.#pages.delete(page);
        this.#pages.set(page, rows);
      }
      if (!this.#isWhole(page, rows)) this.#wanted.push(page);
    }
    for (const [page, loading] of this.#loading) {
      if (page < from - 1 || page > to + 1) {
        loading.abort();
        this.#loading.delete(page);
      }
    }
    this.#loadNext();
  }

  /** Takes new events of the stream. */
  append(events: StreamEvent[], last: number): void {
    if (last <= this.last && events.every((event) => event.sequence <= this.last)) return;
    this.last = Math.max(this.last, last);
    if (isFiltered(this.filter)) {
      void this.#scanOn();
      return;
    }
    for (const event of events) this.#put(event.sequence - 1, rowOf(event));
    this.count = this.last;
    this.#forget();
    this.version += 1;
  }

  /** The text of a row, whole. */
  async textOf(sequence: number): Promise<string> {
    const page = await get<EventPage>(`${this.path}/events${query({ from_sequence: sequence, limit: 1 })}`);
    const event = page.items[0];
    return event ? textOf(event) : "";
  }

  #isWhole(page: number, rows: (Row | undefined)[] | undefined): boolean {
    if (!rows) return false;
    const length = Math.min(PAGE, this.count - page * PAGE);
    for (let at = 0; at < length; at += 1) if (!rows[at]) return false;
    return true;
  }

  #loadNext(): void {
    while (this.#loading.size < 2 && this.#wanted.length > 0) {
      const page = this.#wanted.shift()!;
      if (!this.#loading.has(page)) void this.#load(page);
    }
  }

  async #load(page: number): Promise<void> {
    const mine = new AbortController();
    this.#loading.set(page, mine);
    try {
      // One answer of a search may end before the page does: the service looks through so much of a log for each.
      while (!mine.signal.aborted && (await this.#read(page, mine.signal)));
      if (mine.signal.aborted) return;
      this.error = undefined;
      this.#forget();
      this.version += 1;
    } catch (error) {
      if (mine.signal.aborted) return;
      this.error = error as Error;
      // Asked for again when somebody looks again, or in a while.
      setTimeout(() => (this.version += 1), 2000);
    } finally {
      if (this.#loading.get(page) === mine) this.#loading.delete(page);
      this.#loadNext();
    }
  }

  /** Reads from the first row that a page lacks; says whether there is more to read. */
  async #read(page: number, signal: AbortSignal): Promise<boolean> {
    const rows = this.#pages.get(page);
    const length = Math.min(PAGE, this.count - page * PAGE);
    let lacking = 0;
    while (rows && lacking < length && rows[lacking]) lacking += 1;
    if (lacking === length) return false;
    const first = page * PAGE + lacking;
    const at = { from_sequence: this.sequenceOf(first), limit: length - lacking };
    const found = await get<EventPage>(`${this.path}/events${query({ ...at, ...this.#parameters() })}`, signal);
    if (signal.aborted) return false;
    for (const event of found.items) {
      const index = this.indexOf(event.sequence);
      if (Math.floor(index / PAGE) === page) this.#put(index, rowOf(event));
    }
    return this.row(first) !== undefined && !this.#isWhole(page, this.#pages.get(page));
  }

  #put(index: number, row: Row): void {
    const page = Math.floor(index / PAGE);
    let rows = this.#pages.get(page);
    if (!rows) {
      rows = new Array<Row | undefined>(PAGE);
      this.#pages.set(page, rows);
    }
    rows[index % PAGE] = row;
  }

  #forget(): void {
    for (const page of this.#pages.keys()) {
      if (this.#pages.size <= PAGES) return;
      this.#pages.delete(page);
    }
  }

  #parameters(): Record<string, string | undefined> {
    if (!isFiltered(this.filter)) return {};
    const { level, scope, text } = this.filter;
    return { types: "console.line", level, scope, contains: text };
  }

  /** Has the service look through what the filter has not seen. */
  async #scanOn(): Promise<void> {
    if (this.#scan) return;
    const mine = new AbortController();
    this.#scan = mine;
    this.isScanning = true;
    try {
      while (this.scanned < this.last && !mine.signal.aborted) {
        const at = { after_sequence: this.scanned, limit: SCAN };
        const path = `${this.path}/events${query({ ...at, ...this.#parameters() })}`;
        const found = await get<EventPage>(path, mine.signal);
        if (mine.signal.aborted) return;
        for (const event of found.items) {
          if (event.type !== "console.line") continue;
          const index = this.#numbers.push(event.sequence);
          if (index < PAGES * PAGE) this.#put(index, rowOf(event));
        }
        this.scanned = Math.max(found.next_after_sequence, this.scanned + 1);
        this.last = Math.max(this.last, found.last_sequence);
        this.count = this.#numbers.length;
        this.#forget();
        this.version += 1;
      }
    } catch (error) {
      if (!mine.signal.aborted) this.error = error instanceof Problem ? error : (error as Error);
    } finally {
      if (this.#scan === mine) {
        this.#scan = undefined;
        this.isScanning = false;
      }
    }
  }
}

/** Ascending numbers, four bytes each. */
export class Numbers {
  length = 0;
  #held = new Uint32Array(1024);

  /** Where it stands now. */
  push(number: number): number {
    if (this.length === this.#held.length) {
      const larger = new Uint32Array(this.#held.length * 2);
      larger.set(this.#held);
      this.#held = larger;
    }
    this.#held[this.length] = number;
    this.length += 1;
    return this.length - 1;
  }

  at(index: number): number {
    return this.#held[Math.min(index, Math.max(0, this.length - 1))] ?? 1;
  }

  /** Where a number stands, or -1. */
  find(number: number): number {
    const at = this.lowerBound(number);
    return at < this.length && this.#held[at] === number ? at : -1;
  }

  /** Where the first stands that is not below it. */
  lowerBound(number: number): number {
    let [low, high] = [0, this.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#held[middle]! < number) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

export function rowOf(event: StreamEvent): Row {
  const text = textOf(event);
  const isLine = event.type === "console.line";
  return {
    sequence: event.sequence,
    time: event.created_at,
    type: event.type,
    scope: isLine ? String(event.payload.scope ?? "") : event.type.startsWith("build.") ? "build" : "run",
    level: isLine ? String(event.payload.level ?? "info") : levelOf(event),
    text: text.length > TEXT_MAX ? text.slice(0, TEXT_MAX) : text,
    isCut: text.length > TEXT_MAX,
  };
}

function levelOf(event: StreamEvent): string {
  if (event.type === "run.error" || event.payload.status === "failed") return "error";
  if (event.type === "run.validation.issue") return event.payload.severity === "error" ? "error" : "warn";
  return "event";
}

/** A line as it was written, or an event in words. */
export function textOf(event: StreamEvent): string {
  const of = event.payload;
  switch (event.type) {
    case "console.line": return String(of.message ?? "");
    case "run.queued": return `queued, ${String(of.mode ?? "execute").replaceAll("_", " ")}`;
    case "run.waiting":
      return of.reason === "capacity" ? `waiting for a place, ${of.position ?? "?"} in the queue` : `waiting for ${of.reason}`;
    case "run.started": return `run started, engine ${of.engine_version ?? "?"}`;
    case "run.completed": case "build.completed":
      return `${event.type.split(".")[0]} ${of.status}${of.failure?.message ? `: ${of.failure.message}` : of.error?.message ? `: ${of.error.message}` : ""}`;
    case "run.phase.started": case "build.phase.started": return `▸ ${of.message || of.phase}`;
    case "run.phase.completed": case "build.phase.completed":
      return `${of.status === "failed" ? "✕" : "✓"} ${String(of.phase).replaceAll("_", " ")} ${of.status}, ${of.duration_ms} ms`;
    case "run.table.summary": return `table ${of.source_sheet ?? of.source_file ?? ""}: ${of.row_count} rows, ${of.mapping?.mapped_columns?.length ?? 0} fields`;
    case "run.validation.issue": return `${of.severity ?? "issue"}: ${of.message ?? of.code ?? ""}${of.field ? ` (${of.field})` : ""}`;
    case "run.validation.summary": return `validation: ${of.issues_total ?? 0} issues`;
    case "run.cancelling": return `cancelling${of.requested_by?.name ? `, asked by ${of.requested_by.name}` : ""}`;
    case "run.error": return `${of.code ?? "error"}: ${of.message ?? ""}`;
    case "build.created": return `build ${String(of.reason ?? "").replaceAll("_", " ")}`;
    case "build.started": return "build started";
    default: return `${event.type} ${JSON.stringify(of)}`;
  }
}
