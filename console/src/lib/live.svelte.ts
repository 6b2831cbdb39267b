// A tab's end of the live connection: what it watches, and how the connection is doing.
//
// Whatever arrives is applied once in a frame, so that a flood of events costs a page no more than a frame's work.

import { randomId } from "./browser";
import type { FromWorker, LiveState, ToWorker } from "./protocol";
import type { StreamEvent } from "./types";

export interface Watcher {
  events(events: StreamEvent[], last: number): void;
  /** The stream cannot be followed from where it was: read everything anew and watch again. */
  reset?(): void;
}

export const live = $state({ state: "idle" as LiveState, since: Date.now(), connections: 0, tabs: 1 });

const AGAIN_MS = 2_000;

interface Endpoint { postMessage(message: ToWorker): void }

const watchers = new Map<string, Set<Watcher>>();
const waiting = new Map<string, { events: StreamEvent[]; last: number }>();
let endpoint: Endpoint | undefined;
let isScheduled = false;

type Hear = (message: MessageEvent<FromWorker>) => void;

function worker(hear: Hear, fail: () => void): Endpoint {
  // Without locks a worker of many tabs would not learn that one is gone.
  if (typeof SharedWorker === "function" && navigator.locks) {
    const shared = new SharedWorker(new URL("./live.worker.ts", import.meta.url), { type: "module", name: "ade" });
    shared.port.onmessage = hear;
    shared.onerror = fail;
    return shared.port;
  }
  const own = new Worker(new URL("./live.worker.ts", import.meta.url), { type: "module", name: "ade" });
  own.onmessage = hear;
  own.onerror = fail;
  return own;
}

/** What is said before the worker has answered waits for that: its script comes from a service that may be away. */
function connect(): Endpoint {
  const tab = randomId();
  const said: ToWorker[] = [];
  let made: Endpoint | undefined;
  let isOpen = false;
  const say = (message: ToWorker): void => void (isOpen ? made?.postMessage(message) : said.push(message));
  const hear: Hear = (message) => {
    isOpen = true;
    for (const message of said.splice(0)) made?.postMessage(message);
    receive(message);
  };
  const begin = (): void => {
    made = worker(hear, () => {
      if (isOpen) return;
      beAway();
      setTimeout(begin, AGAIN_MS);
    });
    made.postMessage({ do: "open", tab });
  };
  // Held until the tab is gone; the worker learns of that by getting it.
  if (navigator.locks) {
    void navigator.locks.request(`ade.tab.${tab}`, () => {
      begin();
      return new Promise(() => {});
    });
  } else {
    begin();
  }
  window.addEventListener("online", () => say({ do: "retry" }));
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && live.state !== "live") say({ do: "retry" });
  });
  return { postMessage: say };
}

function beAway(): void {
  if (live.state === "reconnecting") return;
  live.state = "reconnecting";
  live.since = Date.now();
}

function receive({ data }: MessageEvent<FromWorker>): void {
  switch (data.is) {
    case "state":
      live.state = data.state;
      live.since = data.since;
      live.connections = data.connections;
      live.tabs = data.tabs;
      break;
    case "reset":
      for (const watcher of watchers.get(data.stream) ?? []) watcher.reset?.();
      break;
    case "events": {
      const before = waiting.get(data.stream);
      if (before) {
        before.events.push(...data.events);
        before.last = data.last;
      } else {
        waiting.set(data.stream, { events: data.events, last: data.last });
      }
      schedule();
      break;
    }
  }
}

function schedule(): void {
  if (isScheduled) return;
  isScheduled = true;
  // A hidden tab draws no frames.
  if (document.hidden) setTimeout(apply, 500);
  else requestAnimationFrame(apply);
}

function apply(): void {
  isScheduled = false;
  for (const [stream, batch] of waiting) {
    for (const watcher of watchers.get(stream) ?? []) watcher.events(batch.events, batch.last);
  }
  waiting.clear();
}

/** Whoever is signed in has changed, or the service may be back. */
export function retry(): void {
  endpoint?.postMessage({ do: "retry" });
}

/** Follows a stream from the event after `after`, or from now; returns how to stop. */
export function watch(stream: string, after: number | undefined, watcher: Watcher): () => void {
  endpoint ??= connect();
  const all = watchers.get(stream) ?? new Set();
  watchers.set(stream, all);
  all.add(watcher);
  // Whoever wants only what is new joins those of this tab who have the stream already.
  if (all.size === 1 || after !== undefined) endpoint.postMessage({ do: "watch", stream, after });
  return () => {
    all.delete(watcher);
    if (all.size > 0) return;
    watchers.delete(stream);
    waiting.delete(stream);
    endpoint?.postMessage({ do: "unwatch", stream });
  };
}
