// What arrives on a connection, in pieces that belong together, and what a connection ends with.

export type Frame =
  /** The service has answered; `at` by its clock. */
  | { kind: "opened"; at: number | undefined }
  | { kind: "event"; id: string; data: string }
  /** The position moves without an event: a filter has left out what was before it. */
  | { kind: "moved"; id: string }
  /** When to come back after the connection is lost. */
  | { kind: "retry"; milliseconds: number }
  | { kind: "alive" }
  /** Nothing more has arrived for a moment. */
  | { kind: "idle" }
  /** Nothing at all has arrived on this connection for a while. */
  | { kind: "mute" }
  /** About the connection: `stream.draining`, `stream.degraded`. */
  | { kind: "control"; name: string; data: string }
  /** There will never be more. */
  | { kind: "over" }
  | { kind: "lost"; why: string };

/** The connection has ended, and the reader is to come back. */
export class Lost extends Error {
  override name = "Lost";

  constructor(
    why: string,
    /** Not before so many milliseconds; `at once` when nothing was wrong. */
    readonly pause: number | "at once" = 0,
    options?: ErrorOptions,
  ) {
    super(why, options);
  }
}

/** This platform, or what is between, does not let streams through. */
export class NotStreamed extends Lost {
  override name = "NotStreamed";

  constructor(why: string) {
    super(why, "at once");
  }
}
