import assert from "node:assert/strict";
import { test } from "node:test";
import { AdeClient, type Following, ProblemError } from "../src/index.js";
import { cut, event, json, line, page, range, type Seen, serve, stream, until } from "./server.js";

const end = (sequence: number) => line(sequence, "run.completed");

async function taken(follow: Following): Promise<number[]> {
  const sequences = [];
  for await (const { sequence } of follow) sequences.push(sequence);
  return sequences;
}

const streams = ({ query }: Seen) => query.getAll("stream").sort();

test("streams that are followed together share a connection, and resume together", async (context) => {
  const { url, seen } = await serve(context, (_, response, count) => {
    const first = [event("run_1:1,run_2:0", line(1)), event("run_1:1,run_2:1", line(1))];
    if (count === 0) return cut(stream(response, ...first));
    stream(response, event("run_1:2,run_2:1", end(2)), event("run_1:2,run_2:2", end(2))).end();
  });
  const connection = new AdeClient({ url }).connection();
  const both = [connection.follow("run_1"), connection.follow("run_2")];
  assert.deepEqual(await Promise.all(both.map(taken)), [[1, 2], [1, 2]]);
  assert.deepEqual(streams(seen[0]!), ["run_1", "run_2"]);
  assert.equal(seen[1]?.headers["last-event-id"], "run_1:1,run_2:1");
});

test("a stream that is added later joins by another connection, which goes on where the other was", async (context) => {
  const { url, seen } = await serve(context, (request, response) => {
    if (streams(request).length === 1) return void stream(response, event("run_1:1", line(1)));
    stream(response, event("run_1:2,run_2:0", end(2)), event("run_1:2,run_2:1", end(1))).end();
  });
  const connection = new AdeClient({ url }).connection();
  const first = connection.follow("run_1");
  const lines = first.lines();
  assert.equal((await lines.next()).value?.sequence, 1);
  const second = taken(connection.follow("run_2"));
  assert.equal((await lines.next()).value?.sequence, 2);
  assert.deepEqual(await second, [1]);
  assert.equal(seen[1]?.headers["last-event-id"], "run_1:1,run_2:0");
});

test("a stream is live throughout while others come and go on its connection", async (context) => {
  const { url, seen } = await serve(context, ({ query }, response) => {
    const all = query.getAll("stream").map((stream) => `${stream}:1`).join(",");
    stream(response, event(all, line(1)));
  });
  const connection = new AdeClient({ url }).connection();
  context.after(() => connection.close());
  const first = connection.follow("run_1", { after: 1 });
  const states: string[] = [];
  first.onState(({ state }) => states.push(state));
  void taken(first);
  await until("it is live", () => first.state === "live");
  const second = connection.follow("run_2", { after: 1 });
  void taken(second);
  await until("so is the second", () => second.state === "live");
  second.close();
  await until("it has left", () => seen.length === 3);
  assert.deepEqual([states, first.state], [["connecting", "catching up", "live"], "live"]);
});

test("who joins a stream that is carried reads what was before, and the stream is carried once", async (context) => {
  let response1: import("node:http").ServerResponse | undefined;
  const { url, seen } = await serve(context, ({ path, query }, response) => {
    if (path === "/api/v1/runs/run_1/events") return page(response, range(Number(query.get("after_sequence")) + 1, 5), 5);
    response1 = stream(response, ...range(1, 5).map((at) => event(`run_1:${at}`, line(at))));
  });
  const connection = new AdeClient({ url }).connection();
  const first = connection.follow("run_1");
  const early = taken(first);
  await until("the first has all", () => first.position === 5);
  const late = taken(connection.follow("run_1", { after: 2 }));
  await until("the second reads a page", () => seen.length === 2);
  response1?.end(event("run_1:6", end(6)));
  assert.deepEqual([await early, await late], [range(1, 6), range(3, 6)]);
  assert.equal(seen.filter(({ path }) => path.endsWith("/events/stream")).length, 1);
});

test("who joins a stream that is carried is as live as the connection, and learns of its loss", async (context) => {
  let response1: import("node:http").ServerResponse | undefined;
  const { url } = await serve(context, ({ path }, response, count) => {
    if (path === "/api/v1/runs/run_1/events") return page(response, [], 1);
    if (count > 0 && response1?.destroyed) return void response.destroy();
    response1 = stream(response, event("run_1:1", line(1)));
  });
  const connection = new AdeClient({ url }).connection();
  context.after(() => connection.close());
  const follows = [connection.follow("run_1")];
  void taken(follows[0]!);
  await until("the first is live", () => follows[0]!.state === "live");
  follows.push(connection.follow("run_1", { after: 1 }));
  void taken(follows[1]!);
  await until("so is the second", () => follows[1]!.state === "live");
  response1!.destroy();
  await until("both have lost it", () => follows.every(({ state }) => state === "reconnecting"));
});

test("a subscriber that takes slowly holds up nobody, and misses nothing", async (context) => {
  const COUNT = 10_000;
  const { url, seen } = await serve(context, ({ path, query }, response) => {
    const from = Number(query.get("after_sequence")) + 1;
    const to = Math.min(from + Number(query.get("limit")) - 1, COUNT);
    if (path === "/api/v1/runs/run_1/events") return page(response, range(from, to), COUNT, true, "run.completed");
    const all = range(1, COUNT).map((at) => event(`run_1:${at}`, at === COUNT ? end(at) : line(at)));
    stream(response, ...all).end();
  });
  const connection = new AdeClient({ url }).connection();
  const slow = connection.follow("run_1").lines();
  assert.equal((await slow.next()).value?.sequence, 1);
  assert.deepEqual(await taken(connection.follow("run_1")), range(1, COUNT));
  const rest = [];
  for await (const { sequence } of slow) rest.push(sequence);
  assert.deepEqual(rest, range(2, COUNT));
  const held = Number(seen.find(({ path }) => path.endsWith("run_1/events"))?.query.get("after_sequence"));
  assert(held < 5_000, `${held} events were kept for a subscriber that took none`);
});

test("a stream that does not exist fails for its own subscriber only", async (context) => {
  const { url } = await serve(context, (request, response) => {
    if (streams(request).includes("run_9")) {
      return json(response, 404, { code: "not_found", detail: "no", stream: "run_9" });
    }
    stream(response, event("run_1:1", end(1))).end();
  });
  const connection = new AdeClient({ url }).connection();
  const good = taken(connection.follow("run_1"));
  await assert.rejects(taken(connection.follow("run_9")), ProblemError);
  assert.deepEqual(await good, [1]);
});

test("more streams than a connection takes go over several", async (context) => {
  const { url, seen } = await serve(context, (request, response) => {
    const all = streams(request);
    const blocks = all.map((_, at) => event(all.map((id, other) => `${id}:${other <= at ? 1 : 0}`).join(","), end(1)));
    stream(response, ...blocks).end();
  });
  const connection = new AdeClient({ url }).connection();
  const all = range(100, 299).map((at) => connection.follow(`run_${at}`));
  assert.deepEqual(await Promise.all(all.map(taken)), all.map(() => [1]));
  assert.deepEqual(seen.map((request) => streams(request).length), [100, 100]);
});

test("a log that has failed ends its subscribers only", async (context) => {
  const { url } = await serve(context, (_, response) => {
    const degraded = 'event: stream.degraded\ndata: {"code":"log_unavailable","stream":"run_1"}\n\n';
    const first = [event("run_1:1,run_2:0", line(1)), degraded];
    stream(response, ...first, event("run_1:1,run_2:1", end(1))).end();
  });
  const connection = new AdeClient({ url }).connection();
  const failed = connection.follow("run_1");
  assert.deepEqual(await Promise.all([taken(failed), taken(connection.follow("run_2"))]), [[1], [1]]);
  assert.equal(failed.status.degraded, true);
});

test("the connection ends with its last subscriber, and begins anew with the next", async (context) => {
  let open = 0;
  const { url } = await serve(context, (_, response) => {
    open++;
    response.on("close", () => open--);
    stream(response, event("run_1:1", line(1)));
  });
  const connection = new AdeClient({ url }).connection();
  for (let round = 0; round < 2; round++) {
    for await (const { sequence } of connection.follow("run_1")) {
      assert.deepEqual([sequence, open], [1, 1]);
      break;
    }
    await until("it is closed", () => open === 0);
  }
});

test("the tail of a stream is read once, then it goes on from there", async (context) => {
  const { url, seen } = await serve(context, ({ path }, response) => {
    if (!path.endsWith("/events/stream")) return page(response, [8, 9], 9);
    stream(response, event("run_1:10", end(10))).end();
  });
  assert.deepEqual(await taken(new AdeClient({ url }).connection().follow("run_1", { tail: 2 })), [8, 9, 10]);
  assert.deepEqual([seen[0]?.query.get("tail"), seen[1]?.headers["last-event-id"]], ["2", "run_1:9"]);
});

test("closing the connection ends everybody", async (context) => {
  const { url } = await serve(context, (_, response) => void stream(response, event("run_1:1,ws_1:0", line(1))));
  const connection = new AdeClient({ url }).connection();
  const follows = [connection.follow("run_1"), connection.follow("ws_1")];
  const all = Promise.all(follows.map(taken));
  await until("an event", () => follows[0]!.position === 1);
  connection.close();
  assert.deepEqual(await all, [[1], []]);
});

for (const options of [{}, { tail: 5 }]) {
  test(`a connection that is closed inside the fetch that opens it ends everybody: ${JSON.stringify(options)}`, async () => {
    const fetch = () => {
      connection.close();
      return new Promise<Response>(() => {});
    };
    const connection = new AdeClient({ url: "http://ade.test", fetch }).connection();
    const follow = connection.follow("run_1", options);
    let all: number[] | undefined;
    void taken(follow).then((found) => (all = found));
    await until("it has ended", () => all !== undefined);
    assert.deepEqual([all, follow.state], [[], "ended"]);
  });
}

test("who wakes a connection that waits has it at once", async (context) => {
  const { url } = await serve(context, (_, response, count) => {
    if (count === 0) return cut(stream(response, event("run_1:1", line(1)), "retry: 3600000\n\n"));
    stream(response, event("run_1:2", end(2))).end();
  });
  const connection = new AdeClient({ url }).connection({ backoff: { longest: 3_600_000 } });
  const follow = connection.follow("run_1");
  const all = taken(follow);
  await until("it is lost", () => follow.state === "reconnecting");
  connection.wake();
  assert.deepEqual(await all, [1, 2]);
});

test("a stream that has nothing is live, however busy another one on its connection is", async (context) => {
  const { url } = await serve(context, (_, response) => {
    stream(response);
    let at = 0;
    // Never quiet for long enough to say so; and each line is as old as any.
    const timer = setInterval(() => response.write(event(`run_1:${++at},run_2:7`, line(at))), 20);
    response.on("close", () => clearInterval(timer));
  });
  const connection = new AdeClient({ url }).connection();
  context.after(() => connection.close());
  const follows = [connection.follow("run_1"), connection.follow("run_2", { after: 7 })];
  follows.forEach((follow) => void taken(follow));
  await until("it is live", () => follows[1]!.state === "live");
  assert.equal(follows[0]!.state, "catching up");
});

test("who has never been answered learns that nobody answers", async (context) => {
  let isThere = false;
  const { url } = await serve(context, (_, response) => {
    if (!isThere) return void response.destroy();
    stream(response, event("run_1:1", end(1))).end();
  });
  const connection = new AdeClient({ url }).connection({ backoff: { base: 10, longest: 20 } });
  const follow = connection.follow("run_1");
  const told: string[] = [];
  follow.onState(({ state, failing }) => told.push(`${state} ${failing}`));
  const all = taken(follow);
  await until("it is told", () => told.length > 1);
  isThere = true;
  assert.deepEqual(await all, [1]);
  assert.deepEqual(told.slice(0, 3), ["connecting false", "connecting true", "catching up false"]);
  assert.equal(told.at(-1), "ended false");
});
