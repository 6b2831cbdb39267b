// What a tab and the worker that holds its connections say to each other.

import type { StreamEvent } from "./types";

export type LiveState = "idle" | "connecting" | "catching up" | "live" | "reconnecting" | "signed out";

export type ToWorker =
  | { do: "open"; tab: string }
  /** From the event after this one; without a number, from now. */
  | { do: "watch"; stream: string; after: number | undefined }
  | { do: "unwatch"; stream: string }
  /** The network is back, or somebody has signed in: try at once. */
  | { do: "retry" };

export type FromWorker =
  | { is: "state"; state: LiveState; since: number; connections: number; tabs: number }
  /** New events in their order; of a flood of lines only the last ones, `last` says how far the stream is. */
  | { is: "events"; stream: string; events: StreamEvent[]; last: number }
  /** The stream cannot be read from there any more: read its state anew, and watch again. */
  | { is: "reset"; stream: string };
