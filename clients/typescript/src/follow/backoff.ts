// When to come back, and whether at all. No input or output here.

export interface BackoffOptions {
  /** The first pause, unless the server says another; milliseconds. */
  base?: number;
  /** The longest pause; milliseconds. */
  longest?: number;
  random?: () => number;
}

export class Backoff {
  readonly #longest: number;
  readonly #random: () => number;
  #base: number;
  #attempt = 0;

  constructor({ base = 1_000, longest = 30_000, random = Math.random }: BackoffOptions = {}) {
    this.#base = base;
    this.#longest = longest;
    this.#random = random;
  }

  /** The server's `retry:`, which has jitter already. */
  hint(milliseconds: number): void {
    this.#base = Math.min(milliseconds, this.#longest);
  }

  /** Something has arrived, so the next loss is a new one. */
  progressed(): void {
    this.#attempt = 0;
  }

  /** The pause before the next attempt: at first the base, then doubled each time, half of it by chance. */
  next(retryAfter = 0): number {
    const doubled = Math.min(this.#base * 2 ** this.#attempt, this.#longest);
    const pause = this.#attempt === 0 ? doubled : doubled * (0.5 + this.#random() / 2);
    this.#attempt = Math.min(this.#attempt + 1, 30);
    return Math.max(pause, Math.min(retryAfter, 10 * this.#longest));
  }
}

/** What becomes of a reader that got this answer: `over` means that there will never be more. */
export type Answer = "read" | "over" | "again" | "refused";

export function answerOf(status: number, contentType: string, wanted: string): Answer {
  if (status === 204) return "over";
  // A page that a proxy shows instead is no answer of the service.
  if (status === 200) return contentType.toLowerCase().startsWith(wanted) ? "read" : "again";
  return isPassing(status) ? "again" : "refused";
}

/** Statuses of what passes: the same request may succeed later. */
export function isPassing(status: number): boolean {
  return status === 408 || status === 425 || status === 429 || status >= 500;
}
