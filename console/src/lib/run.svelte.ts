// A run or a build as its page shows it: the resource as the service has it, and the events that tell of its phases.

import { get, query } from "./api";
import { watch } from "./live.svelte";
import { Log } from "./log.svelte";
import { STATE_TYPES } from "./timeline";
import type { EventPage, StreamEvent } from "./types";

const STATES_MAX = 3000;
const isState = (event: StreamEvent): boolean =>
  event.type !== "console.line" && event.type !== "run.validation.issue";

export class Work<R extends { status: string; last_sequence: number }> {
  resource = $state.raw<R | undefined>();
  events = $state.raw<StreamEvent[]>([]);
  error = $state.raw<Error | undefined>();
  /** The log was deleted, as old ones are. */
  isLogGone = $state(false);
  hasEnded = $state(false);
  /** What came before this page was opened is among `events`. */
  isRead = $state(false);
  readonly log: Log;
  readonly #path: string;
  readonly #id: string;
  readonly #ended: () => void;
  #stop: (() => void) | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isStopped = false;

  constructor(collection: "runs" | "builds", id: string, ended: () => void) {
    this.#path = `${collection}/${id}`;
    this.#id = id;
    this.#ended = ended;
    this.log = new Log(this.#path);
  }

  async start(): Promise<void> {
    this.error = undefined;
    try {
      const [resource, end] = await Promise.all([get<R>(this.#path), this.#end()]);
      if (this.#isStopped) return;
      this.resource = resource;
      if (!end) {
        this.isLogGone = true;
        return;
      }
      this.hasEnded = end.closed;
      // The end first: that is what somebody looks at.
      this.log.begin(this.log.filter, end.last_sequence);
      const reading = this.#readStates();
      this.#stop?.();
      this.#stop = undefined;
      if (!end.closed) {
        this.#stop = watch(this.#id, end.last_sequence, {
          events: (events, last) => this.#take(events, last),
          reset: () => void this.start(),
        });
      }
      await reading;
    } catch (error) {
      this.error = error as Error;
    }
  }

  stop(): void {
    this.#isStopped = true;
    this.#stop?.();
    this.log.stop();
    clearTimeout(this.#timer);
  }

  async reload(): Promise<void> {
    try {
      const resource = await get<R>(this.#path);
      if (!this.#isStopped) this.resource = resource;
    } catch {
      // The next event, or the next page, tells more.
    }
  }

  async #end(): Promise<EventPage | undefined> {
    try {
      return await get<EventPage>(`${this.#path}/events?tail=1&types=console.line`);
    } catch (error) {
      if ((error as { status?: number }).status === 410) return undefined;
      throw error;
    }
  }

  async #readStates(): Promise<void> {
    const found: StreamEvent[] = [];
    for (let after = 0; found.length < STATES_MAX;) {
      const page = await get<EventPage>(`${this.#path}/events${query({ after_sequence: after, limit: 1000, types: STATE_TYPES.join(",") })}`);
      if (this.#isStopped) return;
      found.push(...page.items);
      if (page.next_after_sequence <= after || page.next_after_sequence >= page.last_sequence) break;
      after = page.next_after_sequence;
    }
    this.#merge(found);
    this.isRead = true;
  }

  #merge(more: StreamEvent[]): void {
    const known = new Map(this.events.map((event) => [event.sequence, event]));
    for (const event of more) known.set(event.sequence, event);
    this.events = [...known.values()].sort((a, b) => a.sequence - b.sequence);
  }

  #take(events: StreamEvent[], last: number): void {
    this.log.append(events, last);
    const states = events.filter(isState);
    if (states.length === 0) return;
    this.#merge(states);
    const ended = states.some((event) => event.type === "run.completed" && this.#id.startsWith("run_")) ||
      states.some((event) => event.type === "build.completed" && this.#id.startsWith("build_"));
    if (ended) {
      this.hasEnded = true;
      this.#stop?.();
      this.#stop = undefined;
      void this.#reloadUntilFinal(0);
      return;
    }
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      void this.reload();
    }, 250);
  }

  /** The row follows the log, a moment later. */
  async #reloadUntilFinal(attempt: number): Promise<void> {
    await this.reload();
    const isFinal = (this.resource as { completed_at?: string | null } | undefined)?.completed_at;
    if (isFinal || attempt > 20 || this.#isStopped) {
      this.#ended();
      return;
    }
    this.#timer = setTimeout(() => void this.#reloadUntilFinal(attempt + 1), 100 + 100 * attempt);
  }
}
