// A reader's place in one stream: what has been seen, and what a line that arrives is.
//
// Law: `take` lets each sequence through once, in order, and none after the terminal event. No input or output here.

import { isTerminal, kindOf } from "./streams.js";

export interface Start {
  /** Begin behind this sequence; 0 is the beginning. */
  after?: number;
  /** Begin at the n-th event from the end; only when there is no `after`. */
  tail?: number;
}

/** `gap`: something is missing before it, so it must not be shown. */
export type Verdict = "new" | "repeated" | "gap";

export class Place {
  readonly stream: string;
  #position: number | undefined;
  readonly #tail: number | undefined;
  #ended = false;

  constructor(stream: string, start: Start = {}) {
    this.stream = stream;
    this.#tail = start.after === undefined ? start.tail : undefined;
    // A feed begins with what is left of it; everything else begins at 1.
    const begin = this.#tail === undefined && kindOf(stream) !== "workspace" ? 0 : undefined;
    this.#position = start.after ?? begin;
  }

  /** The last sequence that was seen, or that a filter has left out; none before the first. */
  get position(): number | undefined {
    return this.#position;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** `previous`: up to where what is before the line is known to be complete. */
  judge(sequence: number, previous: number): Verdict {
    if (this.#ended) return "repeated";
    if (this.#position === undefined) return "new";
    if (sequence <= this.#position) return "repeated";
    return previous <= this.#position ? "new" : "gap";
  }

  /** Judges a line, and moves behind it when it is new. */
  take(sequence: number, previous: number, line: string): Verdict {
    const verdict = this.judge(sequence, previous);
    if (verdict === "new") {
      this.#position = sequence;
      this.#ended = isTerminal(this.stream, line);
    }
    return verdict;
  }

  /** What a filter has left out is seen too. */
  moved(sequence: number): void {
    if (this.#position === undefined || sequence > this.#position) this.#position = sequence;
  }

  /** There will be no more, and no terminal event: the log has failed. */
  end(): void {
    this.#ended = true;
  }

  /** Where the next request is to begin. */
  query(): Record<string, string> {
    if (this.#position !== undefined) return { after_sequence: String(this.#position) };
    return this.#tail === undefined ? {} : { tail: String(this.#tail) };
  }
}
