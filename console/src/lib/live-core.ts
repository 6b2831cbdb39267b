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

export interface Port { postMessage(message: FromWorker): void }

/** A line of the log that no state depends on, or one that does. */
interface Waiting { data: string; isBulk: boolean }

class Watch {
  state: State | "signed out" = "connecting";
  waiting: Waiting[] = [];
  last: number;
  readonly closed = new AbortController();

  constructor(
    readonly stream: string,
    /** What the tab has, if it has anything. */
    readonly after: number | undefined,
  ) {
    this.last = after ?? 0;
  }

  take(lines: Line[]): void {
    for (const { sequence, data } of lines) {
      if (sequence <= this.last && this.after !== undefined) continue;
      this.last = sequence;
      this.waiting.push({ data, isBulk: BULK.test(data) });
    }
    if (this.waiting.length > 4 * LINES_KEPT) this.waiting = thin(this.waiting);
  }
}

/** The type is the first key of each line. Lines, issues and pieces of text are read by page when they are looked at. */
const BULK = /^\{"type":"(?:console\.line|run\.validation\.issue|step_progress)"/;

interface Tab { port: Port; watches: Map<string, Watch> }

export class Hub {
  readonly #tabs = new Map<string, Tab>();
  readonly #connection = new AdeClient().connection({ backoff: { longest: 10_000 } });
  #state: LiveState = "idle";
  #since = Date.now();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #hurry = new EventTarget();

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
    if (message.do === "retry") this.#hurry.dispatchEvent(new Event("hurry"));
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

  async #follow(tab: Tab, watch: Watch): Promise<void> {
    const { signal } = watch.closed;
    while (!signal.aborted) {
      try {
        const following = this.#begin(watch);
        const off = following.onState(({ state }) => {
          watch.state = state;
          this.#judge();
        });
        for await (const lines of following.lineBatches()) {
          watch.take(lines);
          this.#timer ??= setTimeout(() => this.#flush(), BATCH_MS);
        }
        off();
        return;
      } catch (error) {
        if (signal.aborted) return;
        const status = error instanceof ProblemError ? error.status : 0;
        if (status === 404 || status === 409 || status === 410) {
          tab.watches.delete(watch.stream);
          tab.port.postMessage({ is: "reset", stream: watch.stream });
          this.#judge();
          return;
        }
        watch.state = status === 401 ? "signed out" : "reconnecting";
        this.#judge();
        await this.#pause(signal);
      }
    }
  }

  /** From the last event that is known, once more: so something comes at once, and tells that the connection stands. */
  #begin(watch: Watch): Following {
    const { closed: { signal } } = watch;
    const begun = watch.after !== undefined || watch.last > 0;
    return this.#connection.follow(watch.stream, begun ? { after: Math.max(0, watch.last - 1), signal } : { tail: 1, signal });
  }

  async #pause(signal: AbortSignal): Promise<void> {
    await new Promise<void>((then) => {
      setTimeout(then, AGAIN_MS);
      this.#hurry.addEventListener("hurry", () => then(), { once: true, signal });
      signal.addEventListener("abort", () => then(), { once: true });
    });
  }

  #flush(): void {
    this.#timer = undefined;
    for (const { port, watches } of this.#tabs.values()) {
      for (const watch of watches.values()) {
        if (watch.waiting.length === 0) continue;
        const events = thin(watch.waiting).map(({ data }) => JSON.parse(data) as StreamEvent);
        watch.waiting = [];
        port.postMessage({ is: "events", stream: watch.stream, events, last: watch.last });
      }
    }
  }

  #judge(): void {
    const watches = [...this.#tabs.values()].flatMap((tab) => [...tab.watches.values()]).filter((it) => it.state !== "ended");
    const order: LiveState[] = ["signed out", "reconnecting", "connecting", "catching up", "live"];
    const state = order.find((it) => watches.some((watch) => watch.state === it)) ?? "idle";
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
