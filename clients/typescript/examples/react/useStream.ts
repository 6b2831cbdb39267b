// A stream in a React component: `const { events, state } = useStream<RunEvent>(connection, run)`.

import { useEffect, useState } from "react";
import type { AnyEvent, Connection, State } from "@ade/client";

export interface Streamed<E> {
  /** The last ones, in order. */
  events: readonly E[];
  state: State;
  /** Why it has ended, when it was not by itself. */
  error: unknown;
}

/** Follows while the component is there. Draws once for what has arrived together, and keeps `most` events. */
export function useStream<E extends AnyEvent = AnyEvent>(
  connection: Connection,
  stream: string,
  most = 1_000,
): Streamed<E> {
  const [shown, show] = useState<Streamed<E>>({ events: [], state: "connecting", error: undefined });
  useEffect(() => {
    const follow = connection.follow<E>(stream);
    show({ events: [], state: "connecting", error: undefined });
    follow.onState(({ state, error }) => show((before) => ({ ...before, state, error })));
    void (async () => {
      for await (const batch of follow.batches()) {
        show((before) => ({ ...before, events: [...before.events, ...batch].slice(-most) }));
      }
    })().catch(() => {
      // It is in `error`.
    });
    return () => follow.close();
  }, [connection, stream, most]);
  return shown;
}
