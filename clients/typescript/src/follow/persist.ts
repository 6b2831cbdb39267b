// Coming back, however often a connection is lost.

import { Backoff, type BackoffOptions } from "./backoff.js";
import { type Frame, Lost } from "./frames.js";
import type { Pause } from "../timing.js";

/** Frames of one connection after the other, with `lost` between them, until one is `over` or refused. */
export async function* persist(
  open: () => AsyncGenerator<Frame[]>,
  pause: Pause,
  signal: AbortSignal,
  options?: BackoffOptions,
): AsyncGenerator<Frame[]> {
  const backoff = new Backoff(options);
  while (!signal.aborted) {
    let lost = new Lost("the connection ended");
    try {
      for await (const frames of open()) {
        note(frames, backoff);
        yield frames;
        if (frames.some(({ kind }) => kind === "over")) return;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof Lost)) throw error;
      lost = error;
    }
    if (lost.pause === "at once") continue;
    yield [{ kind: "lost", why: lost.message }];
    await pause.for(backoff.next(lost.pause), signal);
  }
}

/** An answer alone is no progress: proxies answer for a service that is away. */
function note(frames: Frame[], backoff: Backoff): void {
  for (const frame of frames) {
    if (frame.kind === "retry") backoff.hint(frame.milliseconds);
    if (frame.kind === "event" || frame.kind === "alive") backoff.progressed();
  }
}
