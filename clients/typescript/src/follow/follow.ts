// One stream on a connection of its own.

import type { AnyEvent } from "../events.js";
import { ProblemError, ProtocolError } from "../errors.js";
import type { Http, Query } from "../http.js";
import { Pause, unlessAborted } from "../timing.js";
import { type BackoffOptions, isPassing } from "./backoff.js";
import { Following, type Line } from "./following.js";
import { type Frame, Lost, NotStreamed } from "./frames.js";
import { persist } from "./persist.js";
import { Place, type Start } from "./place.js";
import { page, poll } from "./poll.js";
import { type Request, sse } from "./sse.js";
import { createdAt, eventsPath } from "./streams.js";

export type Level = "debug" | "info" | "warn" | "error";

export interface Filter {
  /** Only these, such as `["run.*", "console.line"]`; the terminal event always comes. */
  types?: readonly string[];
  scope?: "build" | "run";
  /** Console lines of at least this level. */
  level?: Level;
  /** Console lines in which this stands, in letters of any case; 1 to 500 bytes. */
  contains?: string;
}

export interface ReaderOptions {
  /** `auto` polls where streams turn out not to get through. */
  transport?: "auto" | "sse" | "poll";
  /** A connection on which nothing arrives for so long is given up; milliseconds, 45,000. The service breaks its silence every 15 s. */
  silence?: number;
  backoff?: BackoffOptions;
}

export interface FollowOptions extends Start, Filter, ReaderOptions {
  signal?: AbortSignal;
}

export const SILENCE = 45_000;

export function filterQuery({ types, scope, level, contains }: Filter): Query {
  return { types: types?.join(","), scope, level, contains };
}

export class Follow<E extends AnyEvent = AnyEvent> extends Following<E> {
  readonly #http: Http;
  readonly #options: FollowOptions;
  readonly #place: Place;
  readonly #isFiltered: boolean;
  readonly #end = new AbortController();
  readonly #pause = new Pause();
  #polls: boolean;
  /** Signs that the stream has more than what gets through. */
  #evidence = 0;
  #gap: number | undefined;
  #ticket: string | undefined;

  constructor(http: Http, stream: string, options: FollowOptions = {}) {
    super(stream);
    this.#http = http;
    this.#options = options;
    this.#place = new Place(stream, options);
    this.#isFiltered = Object.values(filterQuery(options)).some((value) => value !== undefined);
    this.#polls = options.transport === "poll";
  }

  get position(): number | undefined {
    return this.#place.position;
  }

  close(): void {
    this.#end.abort();
  }

  protected async *source(): AsyncGenerator<Line[]> {
    const { signal, backoff } = this.#options;
    const close = () => this.close();
    signal?.addEventListener("abort", close);
    if (signal?.aborted) close();
    try {
      for await (const frames of persist(() => this.#open(), this.#pause, this.#end.signal, backoff)) {
        const lines = this.#take(frames);
        this.changed();
        if (lines.length > 0) yield lines;
        if (this.#place.ended) return;
      }
    } finally {
      signal?.removeEventListener("abort", close);
    }
  }

  async *#open(): AsyncGenerator<Frame[]> {
    try {
      await this.#findTicket();
      for await (const frames of this.#connection()) {
        this.#check(frames);
        if (frames.some(({ kind }) => kind === "mute")) await this.#doubt();
        yield frames;
      }
    } catch (error) {
      this.#judge(error);
    }
  }

  #connection(): AsyncGenerator<Frame[]> {
    const { silence = SILENCE } = this.#options;
    if (this.#polls) return poll(this.#http, () => this.#request(""), silence, this.#end.signal);
    return sse(this.#http, this.#request("/stream"), silence, this.#end.signal);
  }

  #request(form: string): Request {
    const names = form ? { event_names: "constant" } : {};
    const ticket = this.#ticket === undefined ? {} : { ticket: this.#ticket };
    const query = { ...this.#place.query(), ...filterQuery(this.#options), ...names, ...ticket };
    return { path: `${eventsPath(this.stream)}${form}`, query };
  }

  async #findTicket(): Promise<void> {
    const { auth } = this.#http;
    if (!auth || !("ticket" in auth) || this.#ticket !== undefined) return;
    try {
      this.#ticket = await unlessAborted(Promise.resolve(auth.ticket(this.stream)), this.#end.signal);
    } catch (error) {
      if (error instanceof ProblemError && !isPassing(error.status)) throw error;
      throw new Lost("there is no ticket", 0, { cause: error });
    }
  }

  /** Comes back where a line is missing before another; not a second time for the same one. */
  #check(frames: Frame[]): void {
    let position = this.#place.position;
    for (const frame of frames) {
      if (frame.kind !== "event") continue;
      const sequence = Number(frame.id);
      if (!Number.isSafeInteger(sequence)) throw new ProtocolError(`not a sequence: ${frame.id}`);
      if (!this.#isFiltered && position !== undefined && sequence > position + 1) {
        if (this.#gap === position) throw new ProtocolError(`nothing between the events ${position} and ${sequence}`);
        this.#gap = position;
        throw new Lost("an event is missing");
      }
      position = Math.max(sequence, position ?? 0);
    }
  }

  #take(frames: Frame[]): Line[] {
    const lines: Line[] = [];
    for (const frame of frames) {
      if (frame.kind === "event") {
        const sequence = Number(frame.id);
        const previous = this.#isFiltered ? 0 : sequence - 1;
        if (this.#place.take(sequence, previous, frame.data) === "new") {
          lines.push({ stream: this.stream, sequence, id: frame.id, data: frame.data });
        }
      } else this.#note(frame);
    }
    const last = lines.at(-1);
    if (last && this.state === "catching up") this.phase.event(createdAt(last.data));
    return lines;
  }

  #note(frame: Exclude<Frame, { kind: "event" }>): void {
    if (frame.kind === "opened") this.phase.opened(frame.at);
    if (frame.kind === "idle" || frame.kind === "alive") this.phase.quiet();
    if (frame.kind === "moved") this.#place.moved(Number(frame.id));
    if (frame.kind === "lost") this.phase.lost();
    if (frame.kind === "control" && frame.name === "stream.degraded") this.degraded = true;
    if (frame.kind === "over") this.#place.end();
  }

  /** Nothing has arrived: is there nothing, or does something between keep it back? */
  async #doubt(): Promise<void> {
    if (this.#options.transport === "sse" || this.#polls) return;
    const { path, query } = this.#request("");
    const found = await page(this.#http, path, { query: { ...query, limit: 1 }, signal: this.#end.signal });
    const { lines, closed } = found.page;
    this.#evidence = lines.length > 0 || closed ? this.#evidence + 1 : 0;
    if (this.#evidence >= 2) throw new NotStreamed("streams do not get through");
  }

  #judge(error: unknown): never {
    if (error instanceof NotStreamed && this.#options.transport !== "sse") this.#polls = true;
    if (error instanceof ProblemError && error.status === 401 && this.#ticket !== undefined) {
      this.#ticket = undefined;
      throw new Lost("the ticket has ended", 0, { cause: error });
    }
    throw error;
  }
}
