// What a stream is by its id: where its events are, and which one is the last.

export type StreamKind = "run" | "build" | "execution" | "workspace";

interface Facts {
  kind: StreamKind;
  collection: string;
  /** Nothing follows it. The feed of a workspace has none. */
  terminal: string | undefined;
}

const FACTS: Record<string, Facts> = {
  run: { kind: "run", collection: "runs", terminal: "run.completed" },
  build: { kind: "build", collection: "builds", terminal: "build.completed" },
  exec: { kind: "execution", collection: "executions", terminal: "complete" },
  ws: { kind: "workspace", collection: "workspaces", terminal: undefined },
};

function factsOf(stream: string): Facts {
  const [prefix, rest] = stream.split("_", 2);
  const facts = rest ? FACTS[prefix!] : undefined;
  if (!facts) throw new TypeError(`not the id of a run, a build, an execution or a workspace: ${JSON.stringify(stream)}`);
  return facts;
}

export function kindOf(stream: string): StreamKind {
  return factsOf(stream).kind;
}

export function eventsPath(stream: string): string {
  return `/${factsOf(stream).collection}/${encodeURIComponent(stream)}/events`;
}

/** The type of the last event; the feed of a workspace has none. */
export function terminalOf(stream: string): string | undefined {
  return factsOf(stream).terminal;
}

export function isTerminal(stream: string, line: string): boolean {
  const terminal = terminalOf(stream);
  return terminal !== undefined && typeOf(line) === terminal;
}

/** The type of an event; it is the first key of its line, so that nothing else needs to be read. */
export function typeOf(line: string): string {
  const found = /^\{"type":"([^"\\]*)"/.exec(line)?.[1];
  return found ?? String((JSON.parse(line) as { type: unknown }).type);
}

/** When an event was emitted, in milliseconds; NaN when the line does not say. */
export function createdAt(line: string): number {
  return Date.parse(/"created_at":"([^"]*)"/.exec(line.slice(0, 1000))?.[1] ?? "");
}

/** The position in each of several streams, as the ids of their common connection have it. */
export function parsePositions(id: string): Map<string, number> {
  const positions = new Map<string, number>();
  for (const part of id.split(",")) {
    const at = part.lastIndexOf(":");
    const sequence = Number(part.slice(at + 1));
    if (at <= 0 || !Number.isSafeInteger(sequence)) throw new TypeError(`not a position in several streams: ${id}`);
    positions.set(part.slice(0, at), sequence);
  }
  return positions;
}

export function printPositions(positions: Iterable<readonly [string, number]>): string {
  return Array.from(positions, ([stream, sequence]) => `${stream}:${sequence}`).join(",");
}
