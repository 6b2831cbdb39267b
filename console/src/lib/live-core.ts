// The connections of all tabs of one browser. Runs, builds and feeds of every tab share one; an execution has one of
// its own, since the service does not carry executions together.
//
// Invariant: a tab is given each event of a stream at most once and in order, whatever is connected anew or repeated
// for another tab: its position only grows.

import type { FromWorker, LiveState, ToWorker } from "./protocol";
import { readFrames, type Frame } from "./sse";
import type { StreamEvent } from "./types";

const SILENCE_MS = 40_000; // the service sends something every 15 s
const BATCH_MS = 50;
const LINES_KEPT = 400;

export interface Port { postMessage(message: FromWorker): void }

interface Watch { after: number | undefined; batch: StreamEvent[]; last: number }
interface Tab { port: Port; watches: Map<string, Watch> }

/** What a page changes its state by; lines and issues are read by page when they are looked at. */
const isBulk = (event: StreamEvent): boolean =>
  event.type === "console.line" || event.type === "run.validation.issue" || event.type === "step_progress";

export class Hub {
  readonly #tabs = new Map<string, Tab>();
  readonly #connections = new Map<string, Connection>();
  #state: LiveState = "idle";
  #since = Date.now();
  #timer: ReturnType<typeof setTimeout> | undefined;

  open(id: string, port: Port): void {
    this.#tabs.set(id, { port, watches: new Map() });
    this.#tellState();
  }

  close(id: string): void {
    if (this.#tabs.delete(id)) this.#arrange();
    this.#tellState();
  }

  take(id: string, message: ToWorker): void {
    const tab = this.#tabs.get(id);
    if (!tab) return;
    switch (message.do) {
      case "watch":
        tab.watches.set(message.stream, { after: message.after, batch: [], last: message.after ?? 0 });
        this.#arrange(message.stream);
        break;
      case "unwatch":
        tab.watches.delete(message.stream);
        this.#arrange();
        break;
      case "retry":
        for (const connection of this.#connections.values()) connection.hurry();
        break;
    }
  }

  /** Makes the connections carry what the tabs watch. */
  #arrange(renewed?: string): void {
    const wanted = new Map<string, Map<string, number | undefined>>();
    for (const tab of this.#tabs.values()) {
      for (const [stream, watch] of tab.watches) {
        const key = stream.startsWith("exec_") ? stream : "shared";
        const streams = wanted.get(key) ?? new Map<string, number | undefined>();
        // Who is furthest behind says where it begins; the others leave out what they have had.
        const before = streams.get(stream);
        streams.set(stream, streams.has(stream) ? lower(before, watch.after) : watch.after);
        wanted.set(key, streams);
      }
    }
    for (const [key, connection] of this.#connections) {
      if (!wanted.has(key)) {
        connection.end();
        this.#connections.delete(key);
      }
    }
    for (const [key, streams] of wanted) {
      let connection = this.#connections.get(key);
      if (!connection) {
        connection = new Connection(key, {
          event: (stream, event) => this.#deliver(stream, event),
          position: (stream, last) => this.#position(stream, last),
          lost: (stream) => this.#lost(stream),
          state: () => this.#judge(),
        });
        this.#connections.set(key, connection);
      }
      connection.carry(streams, renewed);
    }
    this.#judge();
  }

  #deliver(stream: string, event: StreamEvent): void {
    for (const tab of this.#tabs.values()) {
      const watch = tab.watches.get(stream);
      if (!watch || (watch.after !== undefined && event.sequence <= watch.after)) continue;
      watch.after = event.sequence;
      watch.last = event.sequence;
      watch.batch.push(event);
      if (watch.batch.length > 4 * LINES_KEPT) watch.batch = thin(watch.batch);
    }
    this.#timer ??= setTimeout(() => this.#flush(), BATCH_MS);
  }

  #position(stream: string, last: number): void {
    for (const tab of this.#tabs.values()) {
      const watch = tab.watches.get(stream);
      if (watch && last > (watch.after ?? 0)) watch.after = last;
    }
  }

  #flush(): void {
    this.#timer = undefined;
    for (const tab of this.#tabs.values()) {
      for (const [stream, watch] of tab.watches) {
        if (watch.batch.length === 0) continue;
        tab.port.postMessage({ is: "events", stream, events: thin(watch.batch), last: watch.last });
        watch.batch = [];
      }
    }
  }

  #lost(stream: string): void {
    for (const tab of this.#tabs.values()) {
      if (tab.watches.delete(stream)) tab.port.postMessage({ is: "reset", stream });
    }
    this.#arrange();
  }

  #judge(): void {
    const states = [...this.#connections.values()].filter((it) => !it.hasEnded).map((it) => it.state);
    const order: LiveState[] = ["signed out", "reconnecting", "connecting", "live"];
    const state = order.find((it) => states.includes(it)) ?? "idle";
    if (state !== this.#state) {
      this.#state = state;
      this.#since = Date.now();
    }
    this.#tellState();
  }

  #tellState(): void {
    const connections = [...this.#connections.values()].filter((it) => !it.hasEnded).length;
    for (const tab of this.#tabs.values()) {
      const { size: tabs } = this.#tabs;
      tab.port.postMessage({ is: "state", state: this.#state, since: this.#since, connections, tabs });
    }
  }
}

function lower(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return Math.min(a, b);
}

/** Every event that changes a state, and of the others the last ones. */
function thin(events: StreamEvent[]): StreamEvent[] {
  const surplus = events.filter(isBulk).length - LINES_KEPT;
  if (surplus <= 0) return events;
  let skipped = 0;
  return events.filter((event) => !isBulk(event) || ++skipped > surplus);
}

interface Listener {
  event(stream: string, event: StreamEvent): void;
  position(stream: string, last: number): void;
  lost(stream: string): void;
  state(): void;
}

class Connection {
  state: LiveState = "connecting";
  hasEnded = false;
  readonly #key: string;
  readonly #listener: Listener;
  #streams: string[] = [];
  #positions = new Map<string, number>();
  #abort: AbortController | undefined;
  #wake: (() => void) | undefined;
  #attempts = 0;
  #round = 0;
  /** Streams whose last event has come. */
  readonly #finished = new Set<string>();

  constructor(key: string, listener: Listener) {
    this.#key = key;
    this.#listener = listener;
  }

  carry(wanted: Map<string, number | undefined>, renewed?: string): void {
    const same = wanted.size === this.#streams.length && this.#streams.every((stream) => wanted.has(stream));
    let behind = false;
    for (const [stream, after] of wanted) {
      const at = this.#positions.get(stream);
      if (at === undefined && after !== undefined) this.#positions.set(stream, after);
      if (at !== undefined && after !== undefined && after < at && stream === renewed) {
        this.#positions.set(stream, after);
        behind = true;
      }
    }
    for (const stream of [...this.#positions.keys()]) {
      if (wanted.has(stream)) continue;
      this.#positions.delete(stream);
      this.#finished.delete(stream);
    }
    this.#streams = [...wanted.keys()];
    if (same && !behind) return;
    this.hasEnded = false;
    void this.#run(++this.#round);
  }

  hurry(): void {
    this.#attempts = 0;
    this.#wake?.();
  }

  end(): void {
    this.#round += 1;
    this.#abort?.abort();
    this.#wake?.();
  }

  async #run(round: number): Promise<void> {
    this.#abort?.abort();
    this.#wake?.();
    // Several changes of one moment become one connection.
    await new Promise((then) => setTimeout(then, 15));
    while (round === this.#round) {
      const pause = await this.#connect(round);
      if (round !== this.#round || pause === undefined) return;
      await new Promise<void>((then) => {
        this.#wake = then;
        setTimeout(then, pause);
      });
    }
  }

  /** How long to wait before the next attempt; nothing when there is nothing more to come. */
  async #connect(round: number): Promise<number | undefined> {
    const abort = new AbortController();
    this.#abort = abort;
    let silence = setTimeout(() => abort.abort(), SILENCE_MS);
    const alive = (): void => {
      clearTimeout(silence);
      silence = setTimeout(() => abort.abort(), SILENCE_MS);
    };
    try {
      const answer = await fetch(this.#url(), {
        headers: { Accept: "text/event-stream" }, credentials: "same-origin", cache: "no-store", signal: abort.signal,
      });
      if (round !== this.#round) return undefined;
      if (answer.status === 204) return this.#finish();
      if (!answer.ok || !answer.body) return await this.#refused(answer);
      this.#attempts = 0;
      this.#become("live");
      await readFrames(answer.body, (frame) => round === this.#round && this.#take(frame), alive);
    } catch {
      // It has broken off, or was given up; the next one goes on where this one was.
    } finally {
      clearTimeout(silence);
    }
    if (round !== this.#round) return undefined;
    if (this.#streams.every((stream) => this.#finished.has(stream))) return this.#finish();
    this.#become("reconnecting");
    return this.#pause();
  }

  #finish(): undefined {
    this.hasEnded = true;
    this.#listener.state();
    return undefined;
  }

  #pause(): number {
    const longest = Math.min(10_000, 250 * 2 ** this.#attempts++);
    return longest / 2 + (Math.random() * longest) / 2;
  }

  async #refused(answer: Response): Promise<number | undefined> {
    if (answer.status === 401) {
      this.#become("signed out");
      return 15_000;
    }
    const problem = (await answer.json().catch(() => ({}))) as { stream?: string };
    if (answer.status === 404 || answer.status === 409 || answer.status === 410) {
      // One of many is named; without a name it is the only one, or any: those that are left are asked for anew.
      for (const stream of problem.stream ? [problem.stream] : this.#streams) {
        this.#positions.delete(stream);
        this.#listener.lost(stream);
      }
      return undefined;
    }
    this.#become("reconnecting");
    const after = Number(answer.headers.get("retry-after"));
    return after > 0 ? after * 1000 : this.#pause();
  }

  #become(state: LiveState): void {
    this.state = state;
    this.#listener.state();
  }

  /**
   * The last event that is known is asked for once more: so something comes at once, which tells that the connection
   * stands, and the service need not wait for news to say so. Who has it leaves it out.
   */
  #url(): string {
    const before = (stream: string): number => Math.max(0, (this.#positions.get(stream) ?? 0) - 1);
    if (this.#key !== "shared") {
      const isKnown = this.#positions.has(this.#key);
      return `/api/v1/executions/${this.#key}/events/stream?${isKnown ? `after_sequence=${before(this.#key)}` : "tail=1"}`;
    }
    const parts = this.#streams.map((stream) => `stream=${stream}`);
    const known = this.#streams.filter((stream) => this.#positions.has(stream));
    if (known.length > 0) parts.push(`last_event_id=${known.map((stream) => `${stream}:${before(stream)}`).join(",")}`);
    // What nobody has a position in begins at its end.
    if (known.length < this.#streams.length) parts.push("tail=1");
    return `/api/v1/events/stream?${parts.join("&")}`;
  }

  #take(frame: Frame): void {
    if (frame.id === undefined) return;
    if (!frame.data) {
      for (const [stream, at] of positionsOf(frame.id, this.#key)) {
        this.#positions.set(stream, at);
        this.#listener.position(stream, at);
      }
      return;
    }
    const event = JSON.parse(frame.data) as StreamEvent;
    const stream = this.#key === "shared" ? this.#streamOf(event) : this.#key;
    if (stream === undefined) return;
    if (this.#positions.size < this.#streams.length) this.#learn(frame.id);
    this.#positions.set(stream, event.sequence);
    if (event.type === terminalOf(stream)) this.#finished.add(stream);
    this.#listener.event(stream, event);
  }

  /** Entries of feeds say where they come from; a run's stream has its build's events too, with the run's id. */
  #streamOf(event: StreamEvent): string | undefined {
    const stream = event.payload.origin ? event.workspace_id : (event.run_id ?? event.build_id);
    return stream && this.#streams.includes(stream) ? stream : undefined;
  }

  /** Streams that began at their end have no position until the first event, of any of them, tells it. */
  #learn(id: string): void {
    for (const [stream, at] of positionsOf(id, this.#key)) {
      if (!this.#positions.has(stream) && this.#streams.includes(stream)) this.#positions.set(stream, at);
    }
  }
}

function positionsOf(id: string, key: string): [string, number][] {
  if (key !== "shared") return [[key, Number(id)]];
  return id.split(",").map((part) => {
    const colon = part.lastIndexOf(":");
    return [part.slice(0, colon), Number(part.slice(colon + 1))];
  });
}

const terminalOf = (stream: string): string =>
  stream.startsWith("run_") ? "run.completed"
    : stream.startsWith("build_") ? "build.completed"
      : stream.startsWith("exec_") ? "complete" : "";
