// Up to 100 streams on one connection.
//
// Law: each stream is offered in its order, without gap or repeat, whatever is added and removed meanwhile. A sink takes
// at once or not at all, so that a slow one holds up nobody.

import { ProblemError } from "../errors.js";
import type { Http, Query } from "../http.js";
import { Pause } from "../timing.js";
import type { BackoffOptions } from "./backoff.js";
import { type Frame, Lost } from "./frames.js";
import { persist } from "./persist.js";
import { type Carried, remembered, type Sign, type Sink } from "./source.js";
import { type Request, sse } from "./sse.js";
import { isTerminal, kindOf, parsePositions, printPositions } from "./streams.js";

export const MOST_STREAMS = 100;
/** Streams that are added one after the other share one new connection. */
const SETTLE = 20;
/** The service sends of one stream after the other: one of which nothing came for so long has nothing. */
const SILENT = 1_000;

class Lane {
  readonly sinks = new Set<Sink>();
  /** For those who join. */
  signs: Sign[] = [];
  /** When the connection was opened, or something of it came. */
  #heard = 0;

  constructor(
    readonly stream: string,
    public position: number | undefined,
  ) {}

  hear(): void {
    this.#heard = Date.now();
  }

  isSilent(): boolean {
    return this.signs.at(-1)?.kind === "opened" && Date.now() - this.#heard > SILENT;
  }

  tell(sign: Sign): void {
    if (sign.kind === "opened") this.hear();
    else if (sign.kind === this.signs.at(-1)?.kind) return;
    this.signs = remembered(this.signs, sign);
    this.sinks.forEach((sink) => sink.sign(sign));
  }
}

export interface CarrierOptions {
  query: Query;
  silence: number;
  backoff?: BackoffOptions | undefined;
}

export class Carrier {
  readonly #http: Http;
  readonly #options: CarrierOptions;
  readonly #isFiltered: boolean;
  readonly #lanes = new Map<string, Lane>();
  readonly #pause = new Pause();
  #end = new AbortController();
  #connection = new AbortController();
  #running = false;
  #stale = false;

  constructor(http: Http, options: CarrierOptions) {
    this.#http = http;
    this.#options = options;
    this.#isFiltered = Object.values(options.query).some((value) => value !== undefined);
  }

  get isFull(): boolean {
    return this.#lanes.size >= MOST_STREAMS;
  }

  carries(stream: string): boolean {
    return this.#lanes.has(stream);
  }

  /** Comes back now, if it waits. */
  wake(): void {
    this.#pause.wake();
  }

  attach(stream: string, sink: Sink): void {
    const there = this.#lanes.get(stream);
    if (there) {
      there.sinks.add(sink);
      sink.attached(there.position);
      there.signs.forEach((sign) => sink.sign(sign));
      return;
    }
    const lane = new Lane(stream, sink.position);
    lane.sinks.add(sink);
    this.#lanes.set(stream, lane);
    sink.attached(lane.position);
    this.#renew();
  }

  detach(stream: string, sink: Sink): void {
    const lane = this.#lanes.get(stream);
    if (!lane?.sinks.delete(sink) || lane.sinks.size > 0) return;
    this.#lanes.delete(stream);
    if (this.#lanes.size === 0) this.close();
    else this.#renew();
  }

  close(): void {
    this.#lanes.clear();
    this.#end.abort();
  }

  /** Another set of streams needs another connection. */
  #renew(): void {
    this.#stale = true;
    this.#connection.abort();
    this.#pause.wake();
    if (!this.#running) void this.#run();
  }

  async #run(): Promise<void> {
    this.#running = true;
    this.#end = new AbortController();
    try {
      for await (const frames of persist(() => this.#open(), this.#pause, this.#end.signal, this.#options.backoff)) {
        if (frames.some(({ kind }) => kind === "lost")) this.#tell({ kind: "lost" });
      }
    } catch (error) {
      for (const lane of this.#lanes.values()) this.#drop(lane, (sink) => sink.fail(error));
    } finally {
      this.#running = false;
      if (this.#lanes.size > 0) void this.#run();
    }
  }

  async *#open(): AsyncGenerator<Frame[]> {
    await new Promise((resolve) => setTimeout(resolve, SETTLE));
    this.#stale = false;
    this.#connection.abort();
    this.#connection = new AbortController();
    if (this.#lanes.size === 0) return yield [{ kind: "over" }];
    const wanted = [...this.#lanes.values()];
    try {
      for await (const frames of sse(this.#http, this.#request(wanted), this.#options.silence, this.#signal())) {
        if (this.#stale) break;
        this.#take(frames);
        // Others may have been added, so that it is not over for all.
        yield frames.filter(({ kind }) => kind !== "over");
        if (frames.some(({ kind }) => kind === "over")) return this.#over(wanted);
      }
    } catch (error) {
      this.#judge(error);
    }
    throw new Lost("other streams", "at once");
  }

  #signal(): AbortSignal {
    const both = this.#connection;
    this.#end.signal.addEventListener("abort", () => both.abort(), { signal: both.signal });
    return both.signal;
  }

  #request(lanes: Lane[]): Request {
    const stream = lanes.map((lane) => lane.stream);
    const known = lanes.flatMap((lane) => (lane.position === undefined ? [] : [[lane.stream, lane.position] as const]));
    const headers: Record<string, string> = known.length > 0 ? { "Last-Event-ID": printPositions(known) } : {};
    const query = { stream, ...this.#options.query, event_names: "constant" };
    return { path: "/events/stream", query, headers };
  }

  /** Everything of these has been read, so that nothing is left to ask for. */
  #over(lanes: Lane[]): void {
    for (const lane of lanes) this.#drop(lane, (sink) => sink.end());
    throw new Lost("these have ended", "at once");
  }

  #judge(error: unknown): void {
    if (this.#stale) return;
    const about = error instanceof ProblemError ? error.problem.stream : undefined;
    const lane = typeof about === "string" ? this.#lanes.get(about) : undefined;
    if (!lane) throw error;
    this.#drop(lane, (sink) => sink.fail(error));
  }

  #drop(lane: Lane, tell: (sink: Sink) => void): void {
    if (this.#lanes.get(lane.stream) === lane) this.#lanes.delete(lane.stream);
    lane.sinks.forEach(tell);
  }

  #tell(sign: Sign): void {
    for (const lane of this.#lanes.values()) lane.tell(sign);
  }

  #take(frames: Frame[]): void {
    const carried = new Map<Lane, Carried[]>();
    try {
      for (const frame of frames) this.#takeOne(frame, carried);
    } finally {
      // Also what came before a fault: positions are behind it.
      this.#offer(carried);
    }
    const isQuiet = frames.some(({ kind }) => kind === "idle" || kind === "alive");
    for (const lane of this.#lanes.values()) if (isQuiet || lane.isSilent()) lane.tell({ kind: "quiet" });
  }

  #takeOne(frame: Frame, carried: Map<Lane, Carried[]>): void {
    if (frame.kind === "event") this.#event(frame.id, frame.data, carried);
    if (frame.kind === "moved") this.#moved(frame.id, carried);
    if (frame.kind === "opened") this.#tell(frame);
    if (frame.kind === "control") this.#control(frame.name, frame.data, carried);
  }

  #event(id: string, data: string, carried: Map<Lane, Carried[]>): void {
    const positions = parsePositions(id);
    const lane = this.#laneOf(positions, data);
    if (!lane) return;
    const sequence = positions.get(lane.stream)!;
    const previous = lane.position ?? sequence - 1;
    if (!this.#isFiltered && sequence !== previous + 1) throw new Lost("an event is missing");
    lane.position = sequence;
    lane.hear();
    listed(carried, lane).push({ sequence, previous, data });
  }

  /** The stream whose position has changed. */
  #laneOf(positions: Map<string, number>, data: string): Lane | undefined {
    const changed = [...positions.keys()].flatMap((stream) => {
      const lane = this.#lanes.get(stream);
      return lane && (lane.position === undefined || lane.position < positions.get(stream)!) ? [lane] : [];
    });
    // A feed that was begun without a position has none before its first entry, or before another stream's event.
    const known = changed.find((lane) => lane.position !== undefined);
    const { workspace_id } = known || changed.length < 2 ? { workspace_id: "" } : JSON.parse(data);
    const found = known ?? changed.find((lane) => changed.length === 1 || lane.stream === workspace_id);
    for (const lane of changed) {
      if (lane !== found && kindOf(lane.stream) === "workspace") lane.position ??= positions.get(lane.stream)!;
    }
    return found;
  }

  #moved(id: string, carried: Map<Lane, Carried[]>): void {
    for (const [stream, sequence] of parsePositions(id)) {
      const lane = this.#lanes.get(stream);
      if (!lane || (lane.position ?? 0) >= sequence) continue;
      listed(carried, lane).push({ sequence, previous: lane.position ?? 0 });
      lane.position = sequence;
    }
  }

  #control(name: string, data: string, carried: Map<Lane, Carried[]>): void {
    if (name !== "stream.degraded") return;
    const { stream } = JSON.parse(data) as { stream?: string };
    const lane = stream === undefined ? undefined : this.#lanes.get(stream);
    if (!lane) return;
    this.#offer(carried);
    this.#drop(lane, (sink) => sink.end());
  }

  #offer(carried: Map<Lane, Carried[]>): void {
    for (const [lane, lines] of carried) {
      const last = lines.at(-1)?.data;
      if (last !== undefined && isTerminal(lane.stream, last)) this.#drop(lane, () => {});
      lane.sinks.forEach((sink) => sink.offer(lines));
    }
    carried.clear();
  }
}

function listed(carried: Map<Lane, Carried[]>, lane: Lane): Carried[] {
  const lines = carried.get(lane) ?? [];
  carried.set(lane, lines);
  return lines;
}
