import { AdeClient, type RunEvent } from "@ade/client";
import { createRoot } from "react-dom/client";
import { StrictMode } from "react";
import { useStream } from "./useStream.js";

const connection = new AdeClient({ auth: { session: true } }).connection({ tabs: true });

export function RunPage({ run }: { run: string }) {
  const { events, state, error } = useStream<RunEvent>(connection, run);
  return (
    <section>
      <p data-state={state}>{error ? String(error) : state}</p>
      <ol>
        {events.map((event) => (
          <li key={event.sequence}>{textOf(event)}</li>
        ))}
      </ol>
    </section>
  );
}

function textOf(event: RunEvent): string {
  switch (event.type) {
    case "console.line":
      return event.payload.message;
    case "run.completed":
      return `ended: ${event.payload.status}`;
    default:
      return event.type;
  }
}

export function show(element: HTMLElement, run: string): void {
  createRoot(element).render(
    <StrictMode>
      <RunPage run={run} />
    </StrictMode>,
  );
}
