// One connection for all tabs of a browser: the tab that has the lock reads, and tells the others.
//
// Law: whoever leads, each tab gets each line once: lines carry their sequence, and a tab that missed some while the
// leader changed reads them itself. The lock goes on when its tab is closed or crashes; so does that of each tab, by
// which the leader learns that nobody wants a stream any more.

import { ProblemError } from "../errors.js";
import { Hub } from "./hub.js";
import { type Carried, remembered, type Sign, type Sink, type Source } from "./source.js";

type Message =
  | { kind: "want"; tab: string; stream: string; position: number | undefined }
  | { kind: "unwanted"; tab: string; stream: string }
  | { kind: "leader" }
  | { kind: "wake" }
  | { kind: "attached"; tab: string; stream: string; position: number | undefined; signs: Sign[] }
  | { kind: "offer"; stream: string; lines: readonly Carried[] }
  | { kind: "sign"; stream: string; sign: Sign }
  | { kind: "end"; stream: string }
  | { kind: "fail"; stream: string; error: unknown };

export function canShareTabs(): boolean {
  const navigator = globalThis.navigator as Navigator | undefined;
  return typeof BroadcastChannel === "function" && navigator?.locks !== undefined && typeof document !== "undefined";
}

export class Tabs implements Source {
  readonly #name: string;
  readonly #hub: Hub;
  readonly #tab = crypto.randomUUID();
  readonly #channel: BroadcastChannel;
  readonly #closed = new AbortController();
  /** Once this tab has its own lock, others can tell that it is there. */
  readonly #present: Promise<void>;
  readonly #sinks = new Map<string, Set<Sink>>();
  readonly #relays = new Map<string, Relay>();
  readonly #watched = new Set<string>();
  #leads = false;

  constructor(name: string, hub: Hub) {
    this.#name = name;
    this.#hub = hub;
    this.#channel = new BroadcastChannel(name);
    this.#channel.onmessage = ({ data }) => this.#hear(data as Message);
    this.#present = this.#hold(`${name} tab ${this.#tab}`);
    void this.#hold(name).then(() => this.#lead());
    document.addEventListener("visibilitychange", this.#wake, { signal: this.#closed.signal });
  }

  get role(): "leader" | "follower" {
    return this.#leads ? "leader" : "follower";
  }

  attach(stream: string, sink: Sink): void {
    const sinks = this.#sinks.get(stream) ?? new Set();
    this.#sinks.set(stream, sinks.add(sink));
    void this.#present.then(() => this.#want(stream));
  }

  detach(stream: string, sink: Sink): void {
    const sinks = this.#sinks.get(stream);
    sinks?.delete(sink);
    if (!sinks || sinks.size > 0) return;
    this.#sinks.delete(stream);
    if (this.#leads) this.#unwanted(this.#tab, stream);
    else this.#post({ kind: "unwanted", tab: this.#tab, stream });
  }

  /** Whoever leads comes back now. */
  wake(): void {
    this.#hub.wake();
    this.#post({ kind: "wake" });
  }

  close(): void {
    this.#leads = false;
    this.#closed.abort();
    this.#hub.close();
    this.#channel.close();
  }

  /** Resolves once the lock is there, which is kept until this closes. */
  #hold(name: string): Promise<void> {
    return new Promise((resolve) => {
      const signal = this.#closed.signal;
      const kept = () => {
        resolve();
        return new Promise<void>((release) => signal.addEventListener("abort", () => release()));
      };
      navigator.locks.request(name, { signal }, kept).catch(() => {});
    });
  }

  #lead(): void {
    if (this.#closed.signal.aborted) return;
    this.#leads = true;
    for (const stream of this.#sinks.keys()) this.#want(stream);
    this.#post({ kind: "leader" });
  }

  #want(stream: string): void {
    const sinks = [...(this.#sinks.get(stream) ?? [])];
    if (sinks.length === 0 || this.#closed.signal.aborted) return;
    const positions = sinks.flatMap(({ position }) => (position === undefined ? [] : [position]));
    const position = positions.length > 0 ? Math.max(...positions) : undefined;
    if (this.#leads) this.#wanted(this.#tab, stream, position);
    else this.#post({ kind: "want", tab: this.#tab, stream, position });
  }

  #post(message: Message): void {
    if (!this.#closed.signal.aborted) this.#channel.postMessage(message);
  }

  /** A hidden tab's timers are slow: one that is looked at tells the leader not to wait. */
  readonly #wake = () => {
    if (document.visibilityState === "visible") this.wake();
  };

  #hear(message: Message): void {
    if (message.kind === "leader") for (const stream of this.#sinks.keys()) this.#want(stream);
    else if (this.#leads) this.#serve(message);
    else this.#deliver(message);
  }

  #serve(message: Message): void {
    if (message.kind === "want") {
      this.#watch(message.tab);
      this.#wanted(message.tab, message.stream, message.position);
    }
    if (message.kind === "unwanted") this.#unwanted(message.tab, message.stream);
    if (message.kind === "wake") this.#hub.wake();
  }

  #wanted(tab: string, stream: string, position: number | undefined): void {
    let relay = this.#relays.get(stream);
    if (!relay) {
      relay = new Relay(stream, position, (message) => this.#pass(message));
      this.#relays.set(stream, relay);
      relay.tabs.add(tab);
      this.#hub.attach(stream, relay);
    } else relay.tabs.add(tab);
    this.#pass({ kind: "attached", tab, stream, position: relay.position, signs: relay.signs });
  }

  #unwanted(tab: string, stream: string): void {
    const relay = this.#relays.get(stream);
    if (!relay?.tabs.delete(tab) || relay.tabs.size > 0) return;
    this.#relays.delete(stream);
    this.#hub.detach(stream, relay);
  }

  /** The lock of a tab is to be had once the tab is gone. */
  #watch(tab: string): void {
    if (this.#watched.has(tab)) return;
    this.#watched.add(tab);
    const gone = () => {
      this.#watched.delete(tab);
      for (const stream of [...this.#relays.keys()]) this.#unwanted(tab, stream);
    };
    navigator.locks.request(`${this.#name} tab ${tab}`, { signal: this.#closed.signal }, gone).catch(() => {});
  }

  /** To the other tabs, and to this one. */
  #pass(message: Message): void {
    if (message.kind === "end" || message.kind === "fail") this.#relays.delete(message.stream);
    if (!("tab" in message) || message.tab !== this.#tab) this.#post(message);
    this.#deliver(message);
  }

  #deliver(message: Message): void {
    if (!("stream" in message)) return;
    for (const sink of this.#sinks.get(message.stream) ?? []) {
      if (message.kind === "attached" && message.tab === this.#tab) {
        sink.attached(message.position);
        message.signs.forEach((sign) => sink.sign(sign));
      }
      if (message.kind === "offer") sink.offer(message.lines);
      if (message.kind === "sign") sink.sign(message.sign);
      if (message.kind === "end") sink.end();
      if (message.kind === "fail") sink.fail(revived(message.error));
    }
  }
}

/** What the leader's connection has of one stream, on its way to all tabs. */
class Relay implements Sink {
  readonly tabs = new Set<string>();
  signs: Sign[] = [];

  constructor(
    private readonly stream: string,
    public position: number | undefined,
    private readonly pass: (message: Message) => void,
  ) {}

  attached(): void {}

  offer(lines: readonly Carried[]): void {
    this.position = lines.at(-1)?.sequence ?? this.position;
    this.pass({ kind: "offer", stream: this.stream, lines });
  }

  sign(sign: Sign): void {
    this.signs = remembered(this.signs, sign);
    this.pass({ kind: "sign", stream: this.stream, sign });
  }

  end(): void {
    this.pass({ kind: "end", stream: this.stream });
  }

  fail(error: unknown): void {
    const { status, code, detail, problem } = error instanceof ProblemError ? error : ({} as Partial<ProblemError>);
    this.pass({ kind: "fail", stream: this.stream, error: { status, code, detail, problem, message: String(error) } });
  }
}

function revived(error: unknown): Error {
  const { status, code, detail, problem, message } = error as Partial<ProblemError>;
  return status === undefined ? new Error(message) : new ProblemError(status, code ?? "", detail ?? "", problem);
}
