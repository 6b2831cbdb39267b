// The phases of a run and its build in time, from the few events that tell of them. Idle time is drawn short, so that
// an hour in the queue does not squash a second of work.

import type { StreamEvent } from "./types";

export interface Bar {
  name: string; scope: "wait" | "build" | "run"; from: number; to: number | undefined; status: string;
  durationMs: number | undefined; note: string;
}
export interface Break { at: number; lengthMs: number }
export interface Drawn { bars: (Bar & { left: number; width: number })[]; breaks: (Break & { left: number })[]; endsAt: number }

export const STATE_TYPES = [
  "run.queued", "run.waiting", "run.started", "run.phase.*", "run.cancelling", "run.completed", "run.error",
  "run.table.summary", "run.validation.summary", "build.*",
];

export function barsOf(events: StreamEvent[]): Bar[] {
  const bars: Bar[] = [];
  let waiting: Bar | undefined;
  const endWait = (at: number): void => {
    if (waiting && waiting.to === undefined) waiting.to = at;
    waiting = undefined;
  };
  const open = (bar: Omit<Bar, "to" | "durationMs">): Bar => {
    const made: Bar = { ...bar, to: undefined, durationMs: undefined };
    bars.push(made);
    return made;
  };
  for (const event of events) {
    const at = Date.parse(event.created_at);
    const { payload } = event;
    switch (event.type) {
      case "run.queued":
        waiting = open({ name: "queued", scope: "wait", from: at, status: "running", note: "" });
        break;
      case "run.waiting":
        if (payload.reason === "build") break;
        if (waiting?.name === `waiting for ${payload.reason}`) waiting.note = placeOf(payload);
        else {
          endWait(at);
          waiting = open({ name: `waiting for ${payload.reason}`, scope: "wait", from: at, status: "running", note: placeOf(payload) });
        }
        break;
      case "build.created":
      case "run.started":
        endWait(at);
        break;
      case "build.phase.started":
      case "run.phase.started":
        endWait(at);
        open({
          name: String(payload.phase), scope: event.type.startsWith("build") ? "build" : "run", from: at,
          status: "running", note: String(payload.message ?? ""),
        });
        break;
      case "build.phase.completed":
      case "run.phase.completed": {
        const bar = bars.findLast((it) => it.name === payload.phase && it.to === undefined && it.scope !== "wait");
        if (!bar) break;
        bar.to = at;
        bar.status = String(payload.status ?? "succeeded");
        bar.durationMs = payload.duration_ms;
        break;
      }
      case "build.completed":
        for (const bar of bars) if (bar.scope === "build") close(bar, at, payload.status === "active" ? "succeeded" : payload.status);
        break;
      case "run.completed":
        endWait(at);
        for (const bar of bars) close(bar, at, String(payload.status));
        break;
    }
  }
  for (const bar of bars) if (bar.scope === "wait" && bar.to !== undefined) bar.status = "succeeded";
  // A wait of no length tells nothing.
  return bars.filter((bar) => bar.scope !== "wait" || bar.to === undefined || bar.to - bar.from >= 100);
}

const placeOf = (payload: Record<string, any>): string => (payload.position ? `place ${payload.position}` : "");

function close(bar: Bar, at: number, status: string): void {
  if (bar.to !== undefined) return;
  bar.to = at;
  bar.status = status;
}

/** Places in shares of the width. */
export function draw(bars: Bar[], now: number): Drawn {
  if (bars.length === 0) return { bars: [], breaks: [], endsAt: now };
  const end = (bar: Bar): number => bar.to ?? Math.max(now, bar.from);
  const start = Math.min(...bars.map((bar) => bar.from));
  const last = Math.max(...bars.map(end));
  const work = mergeOf(bars.filter((bar) => bar.scope !== "wait").map((bar) => [bar.from, end(bar)] as [number, number]));
  const worked = work.reduce((sum, [from, to]) => sum + to - from, 0);
  // What is idle, a queue included, gets at most a tenth of the work's width for each gap.
  const most = Math.max(worked * 0.1, 250);
  const gaps: [number, number][] = [];
  let at = start;
  for (const [from, to] of [...work, [last, last] as [number, number]]) {
    if (from - at > most) gaps.push([at, from]);
    at = Math.max(at, to);
  }
  const squeezed = (time: number): number => {
    let shown = time - start;
    for (const [from, to] of gaps) {
      if (time <= from) break;
      const inside = Math.min(time, to) - from;
      shown -= inside - (inside / (to - from)) * most;
    }
    return shown;
  };
  const width = Math.max(1, squeezed(last));
  const share = (time: number): number => (100 * squeezed(time)) / width;
  return {
    bars: bars.map((bar) => ({ ...bar, left: share(bar.from), width: Math.max(0.4, share(end(bar)) - share(bar.from)) })),
    breaks: gaps.map(([from, to]) => ({ at: from, lengthMs: to - from, left: (share(from) + share(to)) / 2 })),
    endsAt: last,
  };
}

function mergeOf(spans: [number, number][]): [number, number][] {
  const merged: [number, number][] = [];
  for (const [from, to] of spans.toSorted((a, b) => a[0] - b[0])) {
    const before = merged.at(-1);
    if (before && from <= before[1]) before[1] = Math.max(before[1], to);
    else merged.push([from, to]);
  }
  return merged;
}
