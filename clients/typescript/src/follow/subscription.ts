// One stream of a connection that carries several.
//
// Law: it holds at most MOST_LINES lines or MOST_TEXT characters that were not taken. Whoever takes more slowly is
// behind, and reads pages until it is where the connection is; then it goes on there. So does whoever joins later.

import type { AnyEvent } from "../events.js";
import type { Http, Query } from "../http.js";
import { Bell, Pause } from "../timing.js";
import { Backoff } from "./backoff.js";
import { Following, type Line } from "./following.js";
import { Lost } from "./frames.js";
import type { EventPage } from "./page.js";
import type { State } from "./phase.js";
import { Place, type Start } from "./place.js";
import { PAGE, page, sequenceOf } from "./poll.js";
import type { Carried, Sign, Sink, Source } from "./source.js";
import { createdAt, eventsPath } from "./streams.js";

const MOST_LINES = 2_000;
const MOST_TEXT = 4 << 20;

export interface SubscriptionOptions extends Start {
  signal?: AbortSignal;
}

export class Subscription<E extends AnyEvent = AnyEvent> extends Following<E> implements Sink {
  readonly #http: Http;
  readonly #connection: Source;
  /** The filter of the connection. */
  readonly #query: Query;
  readonly #options: SubscriptionOptions;
  readonly #place: Place;
  readonly #bell = new Bell();
  readonly #closed = new AbortController();
  #queue: Line[] = [];
  #text = 0;
  #isBehind = false;
  /** The furthest that the connection has offered. */
  #seen = 0;
  #noMore = false;
  #failure: { error: unknown } | undefined;

  constructor(http: Http, connection: Source, query: Query, stream: string, options: SubscriptionOptions) {
    super(stream);
    this.#http = http;
    this.#connection = connection;
    this.#query = query;
    this.#options = options;
    this.#place = new Place(stream, options);
  }

  get position(): number | undefined {
    return this.#place.position;
  }

  override get state(): State {
    return super.state === "live" && this.#isBehind ? "catching up" : super.state;
  }

  close(): void {
    this.#closed.abort();
    this.#bell.ring();
  }

  attached(position: number | undefined): void {
    if (position === undefined || position <= (this.#place.position ?? 0)) return;
    this.#seen = Math.max(this.#seen, position);
    this.#fallBehind();
  }

  offer(lines: readonly Carried[]): void {
    for (const { sequence, previous, data } of lines) {
      this.#seen = Math.max(this.#seen, sequence);
      if (!this.#isBehind) this.#accept(sequence, previous, data);
    }
    const last = lines.at(-1)?.data;
    if (last !== undefined && this.phase.state === "catching up") this.phase.event(createdAt(last));
    this.#bell.ring();
  }

  sign(sign: Sign): void {
    if (sign.kind === "opened") this.phase.opened(sign.at);
    if (sign.kind === "quiet") this.phase.quiet();
    if (sign.kind === "lost") this.phase.lost();
    this.changed();
  }

  end(): void {
    this.#noMore = true;
    this.degraded = !this.#place.ended;
    this.#bell.ring();
  }

  fail(error: unknown): void {
    this.#failure = { error };
    this.#bell.ring();
  }

  #accept(sequence: number, previous: number, data: string | undefined): void {
    if (this.#queue.length >= MOST_LINES || this.#text >= MOST_TEXT) return this.#fallBehind();
    const verdict = this.#place.judge(sequence, previous);
    if (verdict === "gap") return this.#fallBehind();
    if (verdict === "repeated") return;
    if (data === undefined) return this.#place.moved(sequence);
    this.#place.take(sequence, previous, data);
    this.#text += data.length;
    this.#queue.push({ stream: this.stream, sequence, id: String(sequence), data });
  }

  #fallBehind(): void {
    this.#isBehind = true;
    this.#bell.ring();
    this.changed();
  }

  protected async *source(): AsyncGenerator<Line[]> {
    const { signal } = this.#options;
    const close = () => this.close();
    signal?.addEventListener("abort", close);
    if (signal?.aborted) close();
    try {
      // Where the last n begin is known only once they have been read.
      if (this.#place.query().tail !== undefined) yield* this.#page();
      this.#connection.attach(this.stream, this);
      while (!this.#closed.signal.aborted) {
        if (this.#queue.length > 0) yield this.#drain();
        else if (this.#place.ended || this.#failure || (this.#noMore && !this.#isBehind)) break;
        else if (this.#isBehind) yield* this.#page();
        else await this.#bell.wait();
      }
      if (this.#failure && !this.#place.ended && !this.#closed.signal.aborted) throw this.#failure.error;
    } finally {
      signal?.removeEventListener("abort", close);
      this.#connection.detach(this.stream, this);
    }
  }

  #drain(): Line[] {
    const lines = this.#queue;
    this.#queue = [];
    this.#text = 0;
    this.changed();
    return lines;
  }

  async *#page(): AsyncGenerator<Line[]> {
    const found = await this.#read();
    if (!found) return;
    const lines: Line[] = [];
    for (const data of found.lines) {
      const sequence = sequenceOf(data);
      if (this.#place.take(sequence, 0, data) !== "new") continue;
      lines.push({ stream: this.stream, sequence, id: String(sequence), data });
    }
    this.#place.moved(found.next_after_sequence);
    const hasAll = found.next_after_sequence >= found.last_sequence;
    if (hasAll && (found.closed || this.#noMore)) this.#place.end();
    // Nothing is offered between this look and the next one at the queue.
    if (this.#place.ended || (this.#place.position ?? 0) >= this.#seen) this.#isBehind = false;
    this.changed();
    if (lines.length > 0) yield lines;
  }

  async #read(): Promise<EventPage | undefined> {
    const backoff = new Backoff();
    const { signal } = this.#closed;
    while (!signal.aborted) {
      try {
        const query = { ...this.#query, ...this.#place.query(), limit: PAGE };
        return (await page(this.#http, eventsPath(this.stream), { query, signal })).page;
      } catch (error) {
        if (!(error instanceof Lost)) throw error;
        await new Pause().for(backoff.next(typeof error.pause === "number" ? error.pause : 0), signal);
      }
    }
    return undefined;
  }
}
