// What every reader of a stream offers: events in order, each once, and how far it is.

import type { AnyEvent } from "../events.js";
import { AdeError } from "../errors.js";
import { Phase, type State } from "./phase.js";

/** An event as the line of the log that it is. `JSON.parse` loses digits of long numbers; this has all. */
export interface Line {
  stream: string;
  sequence: number;
  /** Where a reader stands that has seen it; what `Last-Event-ID` takes on the connection that it came on. */
  id: string;
  data: string;
}

export interface Status {
  state: State;
  /** Nobody answers: also while `connecting`, where there is nothing to reconnect yet. */
  failing: boolean;
  /** The last sequence that was taken. */
  position: number | undefined;
  /** The log could not be written to its end; what there is has been read. */
  degraded: boolean;
  /** Why it has ended, when it was not by itself. */
  error: unknown;
}

/**
 * A stream that is followed. Events are taken by iterating, once:
 *
 *     for await (const event of client.follow(run)) { ... }
 *
 * It reads as fast as it is iterated and holds no more than what has arrived together. It ends after the terminal
 * event, by `close`, or by an error that coming back does not help against.
 */
export abstract class Following<E extends AnyEvent = AnyEvent> implements AsyncIterable<E> {
  readonly #listeners = new Set<(status: Status) => void>();
  protected readonly phase = new Phase();
  protected degraded = false;
  #error: unknown;
  #taken = false;
  #told = "connecting";

  constructor(readonly stream: string) {}

  abstract get position(): number | undefined;
  abstract close(): void;
  /** Lines that have arrived together, never none. */
  protected abstract source(): AsyncGenerator<Line[]>;

  get state(): State {
    return this.phase.state;
  }

  get status(): Status {
    return { state: this.state, failing: this.phase.failing, position: this.position, degraded: this.degraded, error: this.#error };
  }

  /** Calls the listener now and at each change of `state` or `failing`; returns what takes it off. */
  onState(listener: (status: Status) => void): () => void {
    this.#listeners.add(listener);
    listener(this.status);
    return () => this.#listeners.delete(listener);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<E> {
    for await (const events of this.batches()) yield* events;
  }

  /** Events that have arrived together: for pages that draw once for all of them. */
  async *batches(): AsyncGenerator<E[]> {
    for await (const lines of this.lineBatches()) yield lines.map(({ data }) => JSON.parse(data) as E);
  }

  /** Events as lines of the log, byte for byte. */
  async *lines(): AsyncGenerator<Line> {
    for await (const lines of this.lineBatches()) yield* lines;
  }

  async *lineBatches(): AsyncGenerator<Line[]> {
    if (this.#taken) throw new AdeError("a stream is iterated once; follow it again for another reader");
    this.#taken = true;
    try {
      yield* this.source();
    } catch (error) {
      this.#error = error;
      throw error;
    } finally {
      this.close();
      this.phase.end();
      this.changed();
    }
  }

  /** Tells listeners when the state is another one, or nobody answers any more. */
  protected changed(): void {
    const now = this.phase.failing ? `${this.state}, failing` : this.state;
    if (this.#told === now) return;
    this.#told = now;
    for (const listener of this.#listeners) listener(this.status);
  }
}
