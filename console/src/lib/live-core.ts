// What the tabs of one browser follow, on one connection of `@ade/client`.
//
// Invariant: a tab is given each event of a stream at most once and in order, whatever is connected anew. Of a flood of
// lines it is given the last ones, and told how far the stream is; of everything that changes a state, all.

import { AdeClient, type Following, type Line, ProblemError, type State } from "@ade/client";
import type { FromWorker, LiveState, ToWorker } from "./protocol";
import type { StreamEvent } from "./types";

const BATCH_MS = 50;
const LINES_KEPT = 400;
/** Streams that one connection carries. */
const CARRIED = 100;
const AGAIN_MS = 5_000;
/** What the service answers about a stream that cannot be read from there, or not any more. */
const LOST = [404, 409, 410];
/** The worst first: what the page says of all its streams. */
const STATES: LiveState[] = ["signed out", "reconnecting", "connecting", "catching up", "live"];

export interface Port { postMessage(message: FromWorker): void }

/** A line of the log that no state depends on, or one that does. */
interface Waiting { data: string; isBulk: boolean }

/** The type is the first key of each line. Lines, issues and pieces of text are read by page when they are looked at. */
const BULK = /^\{"type":"(?:console\.line|run\.validation\.issue|step_progress)"/;

class Watch {
  state: State | "signed out" = "connecting";
  waiting: Waiting[] = [];
  /** What the tab has; nothing when it wants what is new. */
  last: number | undefined;
  readonly closed = new AbortController();

  constructor(readonly stream: string, after: number | undefined) {
    this.last = after;
  }

  take(lines: Line[]): void {
    for (const { sequence, data } of lines) {
      if (sequence <= (this.last ?? 0)) continue;
      this.last = sequence;
      this.waiting.push({ data, isBulk: BULK.test(data) });
    }
    if (this.waiting.length > 4 * LINES_KEPT) this.waiting = thin(this.waiting);
  }

  flush(port: Port): void {
    if (this.waiting.length === 0) return;
    const events = thin(this.waiting).map(({ data }) => JSON.parse(data) as StreamEvent);
    this.waiting = [];
    port.postMessage({ is: "events", stream: this.stream, events, last: this.last ?? 0 });
  }
}

interface Tab { port: Port; watches: Map<string, Watch> }

export class Hub {
  readonly #tabs = new Map<string, Tab>();
  readonly #connection = new AdeClient({ auth: { session: true } }).connection({ backoff: { longest: 10_000 } });
  readonly #hurry = new EventTarget();
  #state: LiveState = "idle";
  #since = Date.now();
  #timer: ReturnType<typeof setTimeout> | undefined;

  open(id: string, port: Port): void {
    this.#tabs.set(id, { port, watches: new Map() });
    this.#judge();
  }

  close(id: string): void {
    for (const watch of this.#tabs.get(id)?.watches.values() ?? []) watch.closed.abort();
    this.#tabs.delete(id);
    this.#judge();
  }

  take(id: string, message: ToWorker): void {
    const tab = this.#tabs.get(id);
    if (!tab) return;
    if (message.do === "retry") this.#retry();
    if (message.do === "unwatch" || message.do === "watch") {
      tab.watches.get(message.stream)?.closed.abort();
      tab.watches.delete(message.stream);
    }
    if (message.do === "watch") {
      const watch = new Watch(message.stream, message.after);
      tab.watches.set(message.stream, watch);
      void this.#follow(tab, watch);
    }
    this.#judge();
  }

  #retry(): void {
    this.#connection.wake();
    this.#hurry.dispatchEvent(new Event("hurry"));
  }

  async #follow(tab: Tab, watch: Watch): Promise<void> {
    const { signal } = watch.closed;
    while (!signal.aborted) {
      try {
        return await this.#read(watch);
      } catch (error) {
        if (signal.aborted) return;
        const status = error instanceof ProblemError ? error.status : 0;
        if (LOST.includes(status)) return this.#lost(tab, watch);
        this.#become(watch, status === 401 ? "signed out" : "reconnecting");
        await this.#pause(signal);
      }
    }
  }

  async #read(watch: Watch): Promise<void> {
    const following = this.#begin(watch);
    const off = following.onState(({ state, failing, error }) => {
      // A page is there to be watched: the service was, whether or not this stream has ever been answered.
      if (error === undefined) this.#become(watch, failing ? "reconnecting" : state);
    });
    try {
      for await (const lines of following.lineBatches()) {
        watch.take(lines);
        this.#timer ??= setTimeout(() => this.#flush(), BATCH_MS);
      }
    } finally {
      off();
    }
  }

  #begin({ stream, last, closed: { signal } }: Watch): Following {
    const start = last === undefined ? { tail: 0 } : { after: last };
    return this.#connection.follow(stream, { ...start, signal });
  }

  #lost(tab: Tab, watch: Watch): void {
    tab.watches.delete(watch.stream);
    tab.port.postMessage({ is: "reset", stream: watch.stream });
    this.#judge();
  }

  async #pause(signal: AbortSignal): Promise<void> {
    await new Promise<void>((then) => {
      const timer = setTimeout(then, AGAIN_MS);
      const now = (): void => {
        clearTimeout(timer);
        then();
      };
      this.#hurry.addEventListener("hurry", now, { once: true, signal });
      signal.addEventListener("abort", now, { once: true });
    });
  }

  #flush(): void {
    this.#timer = undefined;
    for (const { port, watches } of this.#tabs.values()) for (const watch of watches.values()) watch.flush(port);
  }

  #become(watch: Watch, state: State | "signed out"): void {
    watch.state = state;
    this.#judge();
  }

  #judge(): void {
    const watches = [...this.#tabs.values()].flatMap((tab) => [...tab.watches.values()]).filter((it) => it.state !== "ended");
    const state = STATES.find((it) => watches.some((watch) => watch.state === it)) ?? "idle";
    if (state !== this.#state) {
      this.#state = state;
      this.#since = Date.now();
    }
    const connections = Math.ceil(new Set(watches.map((it) => it.stream)).size / CARRIED);
    const { size: tabs } = this.#tabs;
    for (const { port } of this.#tabs.values()) port.postMessage({ is: "state", state, since: this.#since, connections, tabs });
  }
}

/** Every line that changes a state, and of the others the last ones. */
function thin(lines: Waiting[]): Waiting[] {
  const surplus = lines.filter((line) => line.isBulk).length - LINES_KEPT;
  if (surplus <= 0) return lines;
  let skipped = 0;
  return lines.filter((line) => !line.isBulk || ++skipped > surplus);
}
