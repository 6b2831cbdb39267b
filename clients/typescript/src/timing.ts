// Waiting that ends early.

export class Aborted extends Error {
  override name = "AbortError";
}

/** What the promise becomes, or `Aborted` as soon as the signal is: for what may not heed it, or settles never. */
export async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  // Nobody looks at it any more when the signal was first.
  promise.catch(() => {});
  let abort = () => {};
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(new Aborted("aborted", { cause: signal.reason }));
    signal.addEventListener("abort", abort);
    if (signal.aborted) abort();
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

/** `undefined` when the time is over first. */
export async function within<T>(promise: Promise<T>, milliseconds: number): Promise<{ value: T } | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<undefined>((resolve) => (timer = setTimeout(resolve, milliseconds, undefined)));
  try {
    return await Promise.race([promise.then((value) => ({ value })), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Waits; at once when the machine is online again or `wake` is called. */
export class Pause {
  #wake: (() => void) | undefined;

  wake(): void {
    this.#wake?.();
  }

  async for(milliseconds: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const wake = () => this.#wake?.();
    // Windows and workers tell; Node does not, and needs none of it.
    globalThis.addEventListener?.("online", wake);
    signal.addEventListener("abort", wake);
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        timer = setTimeout(resolve, milliseconds);
      });
    } finally {
      clearTimeout(timer);
      this.#wake = undefined;
      signal.removeEventListener("abort", wake);
      globalThis.removeEventListener?.("online", wake);
    }
  }
}

/** A bell that one waiter hears, also when it was rung before. */
export class Bell {
  #rung = false;
  #hear: (() => void) | undefined;

  ring(): void {
    this.#rung = true;
    this.#hear?.();
  }

  async wait(): Promise<void> {
    if (!this.#rung) await new Promise<void>((resolve) => (this.#hear = resolve));
    this.#rung = false;
    this.#hear = undefined;
  }
}
