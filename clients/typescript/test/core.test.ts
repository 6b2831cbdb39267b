// What both clients decide alike: clients/cases.json.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { answerOf, Backoff } from "../src/follow/backoff.js";
import type { Frame } from "../src/follow/frames.js";
import { parsePage } from "../src/follow/page.js";
import { Phase } from "../src/follow/phase.js";
import { Place } from "../src/follow/place.js";
import { parser } from "../src/follow/sse.js";
import { eventsPath, parsePositions, printPositions, terminalOf, typeOf } from "../src/follow/streams.js";

const cases = JSON.parse(readFileSync(new URL("../../../cases.json", import.meta.url), "utf8"));

test("a stream is what its id says", () => {
  for (const [stream, path, terminal] of cases.streams) {
    assert.deepEqual([eventsPath(stream), terminalOf(stream) ?? null], [path, terminal]);
  }
  for (const text of cases.no_streams) assert.throws(() => eventsPath(text), /not the id/);
});

for (const { what, stream, after, tail, takes, position, ended, query } of cases.places) {
  test(`a place lets each event through once: ${what}`, () => {
    const place = new Place(stream, { after, tail });
    for (const [sequence, previous, type, verdict] of takes) {
      assert.equal(place.take(sequence, previous, JSON.stringify({ type })), verdict);
    }
    assert.deepEqual([place.position ?? null, place.ended, place.query()], [position, ended, query]);
  });
}

test("an answer is read, or asked for again, or final", () => {
  for (const [status, type, wanted, answer] of cases.answers) assert.equal(answerOf(status, type, wanted), answer);
});

test("a page is cut into the lines of the log", () => {
  for (const { text, lines, next, last, closed } of cases.pages) {
    const page = { lines, next_after_sequence: next, last_sequence: last, closed };
    assert.deepEqual(parsePage(text), { items: [], ...page });
  }
});

function shown(frame: Frame): unknown[] {
  if (frame.kind === "event") return ["event", frame.id, frame.data];
  if (frame.kind === "moved") return ["moved", frame.id];
  if (frame.kind === "retry") return ["retry", frame.milliseconds];
  if (frame.kind === "control") return ["control", frame.name, frame.data];
  return [frame.kind];
}

for (const { what, chunks, frames } of cases.sse) {
  test(`frames are found wherever chunks are cut: ${what}`, () => {
    const parse = parser();
    assert.deepEqual(chunks.flatMap((chunk: string) => parse(chunk)).map(shown), frames);
    const slow = parser();
    // A position without an event may be missed when it is cut: it only saves the service some work.
    const events = (all: unknown[][]) => all.filter(([kind]) => kind !== "moved");
    assert.deepEqual(events([...chunks.join("")].flatMap((one) => slow(one)).map(shown)), events(frames));
  });
}

for (const { what, steps, states } of cases.phases) {
  test(`the state is what a person would say: ${what}`, () => {
    const phase = new Phase();
    assert.equal(phase.state, "connecting");
    const seen = steps.map(([name, at]: ["opened" | "event" | "quiet" | "lost" | "end", string?]) => {
      phase[name](at === undefined ? (undefined as never) : Date.parse(at));
      return phase.state;
    });
    assert.deepEqual(seen, states);
  });
}

test("pauses grow up to a limit", () => {
  for (const { hints, chance, retry_after, pauses } of cases.pauses) {
    const backoff = new Backoff({ random: () => chance });
    for (const hint of hints) backoff.hint(hint);
    assert.deepEqual(pauses.map(() => backoff.next(retry_after)), pauses);
    backoff.progressed();
    assert.equal(backoff.next(), hints[0] ?? 1000);
  }
});

test("positions in several streams are written and read", () => {
  assert.deepEqual([...parsePositions("run_1:12,ws_1:3")], [["run_1", 12], ["ws_1", 3]]);
  assert.equal(printPositions([["run_1", 12], ["ws_1", 3]]), "run_1:12,ws_1:3");
  assert.throws(() => parsePositions("12"), /not a position/);
});

test("the type is read without the rest", () => {
  assert.equal(typeOf('{"type":"run.queued","payload":'), "run.queued");
  assert.equal(typeOf('{"type":"a\\u0062"}'), "ab");
});
