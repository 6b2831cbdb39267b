// Between what carries many streams and those who follow one of them.

export interface Carried {
  sequence: number;
  /** Everything up to here has been offered before, or was left out by the filter. */
  previous: number;
  /** None when a filter has left out what is before `sequence`, and `sequence` itself. */
  data?: string;
}

/** What is known of the connection: it is there (`at` by the server's clock), has nothing more for now, or is lost. */
export type Sign = { kind: "opened"; at?: number | undefined } | { kind: "quiet" } | { kind: "lost" };

/** What one who joins is to be told: that the connection is there, and what is the newest. Without the first, no state follows. */
export function remembered(signs: readonly Sign[], sign: Sign): Sign[] {
  return sign.kind === "opened" ? [sign] : [...signs.filter(({ kind }) => kind === "opened"), sign];
}

/** A subscriber of one stream. */
export interface Sink {
  readonly position: number | undefined;
  /** The stream is carried from this position on; what is before it comes from elsewhere. */
  attached(position: number | undefined): void;
  offer(lines: readonly Carried[]): void;
  sign(sign: Sign): void;
  /** Nothing more will be offered although there was no terminal event: the log has failed. */
  end(): void;
  fail(error: unknown): void;
}

export interface Source {
  attach(stream: string, sink: Sink): void;
  detach(stream: string, sink: Sink): void;
}
