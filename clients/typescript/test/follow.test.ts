import assert from "node:assert/strict";
import { test } from "node:test";
import { AdeClient, type Following, type FollowOptions, ProblemError, ProtocolError, type State } from "../src/index.js";
import { cut, event, json, line, page, range, serve, stream, until } from "./server.js";

const END = line(3, "run.completed");

async function taken(follow: Following): Promise<number[]> {
  const sequences = [];
  for await (const { sequence } of follow) sequences.push(sequence);
  return sequences;
}

const sequences = (url: string, options: FollowOptions = {}) => taken(new AdeClient({ url }).follow("run_1", options));

test("events are taken once and in order, over connections that are cut and repeat themselves", async (context) => {
  const { url, seen } = await serve(context, (_, response, count) => {
    if (count === 0) cut(stream(response, event(1, line(1)), event(2, line(2))));
    else stream(response, event(1, line(1)), event(2, line(2)), event(3, END)).end();
  });
  assert.deepEqual(await sequences(url), [1, 2, 3]);
  assert.equal(seen[1]?.query.get("after_sequence"), "2");
});

test("the reader stops at the terminal event, whatever follows and whether or not the server closes", async (context) => {
  const { url, seen } = await serve(context, (_, response) => {
    stream(response, event(1, line(1)), event(2, line(2)), event(3, END), event(4, line(4)));
  });
  assert.deepEqual(await sequences(url), [1, 2, 3]);
  assert.equal(seen.length, 1);
});

test("what comes behind a gap is not shown: the reader comes back for what is missing", async (context) => {
  const { url } = await serve(context, (_, response, count) => {
    stream(response, event(1, line(1)), ...(count === 0 ? [] : [event(2, line(2))]), event(3, END)).end();
  });
  assert.deepEqual(await sequences(url), [1, 2, 3]);
});

test("a gap that is still there the second time is told", async (context) => {
  const { url } = await serve(context, (_, response) => void stream(response, event(1, line(1)), event(3, END)).end());
  await assert.rejects(sequences(url), ProtocolError);
});

test("a connection on which nothing arrives is given up", async (context) => {
  const { url } = await serve(context, (_, response, count) => {
    stream(response, event(1, line(1)), ...(count === 0 ? [] : [event(2, line(2)), event(3, END)]));
  });
  assert.deepEqual(await sequences(url, { silence: 400, transport: "sse" }), [1, 2, 3]);
});

test("where streams do not get through, the reader polls", async (context) => {
  const { url, seen } = await serve(context, ({ path, query }, response) => {
    // Headers are passed on, and the body is kept until it is complete: never.
    if (path.endsWith("/stream")) return stream(response.writeHead(200, { "Content-Type": "text/event-stream" }) && blind(response));
    page(response, query.get("after_sequence") === "0" ? range(1, 3) : [], 3, true, "run.completed");
  });
  assert.deepEqual(await sequences(url), [1, 2, 3]);
  assert.equal(seen.at(-1)?.query.get("limit"), "500");
});

test("a stream that has nothing to say is not mistaken for one that does not get through", async (context) => {
  const { url, seen } = await serve(context, ({ path }, response) => {
    if (!path.endsWith("/stream")) return page(response, [], 0);
    response.writeHead(200, { "Content-Type": "text/event-stream" }).flushHeaders();
    setTimeout(() => response.write(range(1, 2).map((at) => event(at, line(at))).join("") + event(3, END)), 5_000);
  });
  assert.deepEqual(await sequences(url), [1, 2, 3]);
  assert.equal(seen.filter(({ path }) => path.endsWith("/stream")).length, 1);
});

test("204 is the end, also without a terminal event", async (context) => {
  const { url } = await serve(context, (_, response, count) => {
    const degraded = 'event: stream.degraded\ndata: {"code":"log_unavailable"}\n\n';
    if (count === 0) stream(response, event(1, line(1)), degraded).end();
    else response.writeHead(204).end();
  });
  const follow = new AdeClient({ url }).runs.follow("run_1");
  const taken = [];
  for await (const { sequence } of follow) taken.push(sequence);
  assert.deepEqual([taken, follow.state, follow.status.degraded], [[1], "ended", true]);
});

test("what coming back does not help against is thrown", async (context) => {
  const { url } = await serve(context, (_, response) => {
    json(response, 410, { code: "position_expired", detail: "gone", first_sequence: 40 });
  });
  const follow = new AdeClient({ url }).workspaces.follow("ws_1", { after: 3 });
  await assert.rejects(follow.lines().next(), (error) => {
    assert(error instanceof ProblemError);
    assert.deepEqual([error.code, error.problem.first_sequence], ["position_expired", 40]);
    return true;
  });
  assert.equal(follow.state, "ended");
  assert(follow.status.error instanceof ProblemError);
});

test("each change of the state is told", async (context) => {
  const { url } = await serve(context, (_, response, count) => {
    if (count === 0) setTimeout(() => response.destroy(), 600);
    stream(response, event(1, line(1)));
    if (count === 1) setTimeout(() => response.write(event(2, line(2)) + event(3, END)), 600);
  });
  const follow = new AdeClient({ url }).runs.follow("run_1");
  const states: State[] = [];
  follow.onState(({ state }) => states.push(state));
  for await (const _ of follow);
  assert.deepEqual(states, ["connecting", "catching up", "live", "reconnecting", "catching up", "live", "ended"]);
});

test("it reads no faster than events are taken", async (context) => {
  let written = 0;
  const text = "x".repeat(60_000);
  const { url } = await serve(context, (_, response) => {
    stream(response);
    const more = () => {
      while (written < 3_000) {
        const data = JSON.stringify({ type: "console.line", sequence: ++written, payload: { text } });
        if (!response.write(event(written, data))) return void response.once("drain", more);
      }
    };
    more();
  });
  const follow = new AdeClient({ url }).runs.follow("run_1");
  const lines = follow.lines();
  for (let taken = 0; taken < 20; taken++) await lines.next();
  // Socket buffers and one chunk: some megabytes of 180.
  let before = -1;
  await until("the server is held up", () => before === (before = written));
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert(written < 400, `${written} events were sent for 20 that were taken`);
  await lines.return(undefined);
  assert.equal(follow.state, "ended");
});

test("closing ends the iteration, also while it waits", async (context) => {
  const { url } = await serve(context, (_, response) => void stream(response, event(1, line(1))));
  const follow = new AdeClient({ url }).runs.follow("run_1");
  const taken = [];
  for await (const { sequence } of follow) {
    taken.push(sequence);
    setTimeout(() => follow.close(), 50);
  }
  assert.deepEqual([taken, follow.state], [[1], "ended"]);
});

test("a signal ends it while it waits to come back", async (context) => {
  const { url, seen } = await serve(context, (_, response) => void response.writeHead(503, { "Retry-After": "60" }).end());
  const abort = new AbortController();
  const taken = sequences(url, { signal: abort.signal });
  await until("a request", () => seen.length > 0);
  abort.abort();
  assert.deepEqual(await taken, []);
});

test("a ticket that has ended is asked for again", async (context) => {
  const { url, seen } = await serve(context, ({ query }, response) => {
    if (query.get("ticket") === "t1") json(response, 401, { code: "credentials_refused", detail: "" });
    else stream(response, event(1, line(1)), event(2, line(2)), event(3, END)).end();
  });
  let asked = 0;
  const client = new AdeClient({ url, auth: { ticket: (of) => (assert.equal(of, "run_1"), `t${++asked}`) } });
  const taken = [];
  for await (const { sequence } of client.runs.follow("run_1")) taken.push(sequence);
  assert.deepEqual([taken, seen.length], [[1, 2, 3], 2]);
});

test("a server that gives no ticket at the moment is asked again, and one that refuses is not", async (context) => {
  const { url } = await serve(context, (_, response) => {
    stream(response, event(1, line(1)), event(2, line(2)), event(3, END)).end();
  });
  const answers = [new TypeError("fetch failed"), new ProblemError(503, "draining", "")];
  const ticket = async () => {
    if (answers.length > 0) throw answers.shift();
    return "t";
  };
  const taken = [];
  const options = { backoff: { base: 10 } };
  for await (const { sequence } of new AdeClient({ url, auth: { ticket } }).runs.follow("run_1", options)) taken.push(sequence);
  assert.deepEqual(taken, [1, 2, 3]);
  answers.push(new ProblemError(403, "role_required", ""));
  await assert.rejects(new AdeClient({ url, auth: { ticket } }).runs.follow("run_1").lines().next(), ProblemError);
});

test("a filtered reader resumes behind what was left out", async (context) => {
  const { url, seen } = await serve(context, (_, response, count) => {
    if (count === 0) stream(response, event(90, line(90)), "id: 5000\n\n").end();
    else stream(response, event(5001, line(5001, "run.completed"))).end();
  });
  assert.deepEqual(await sequences(url, { types: ["run.*"] }), [90, 5001]);
  assert.deepEqual([seen[0]?.query.get("types"), seen[1]?.query.get("after_sequence")], ["run.*", "5000"]);
});

test("what is looked for is looked for by the service, with whatever way it is read", async (context) => {
  const { url, seen } = await serve(context, ({ path }, response) => {
    if (path.endsWith("/stream")) stream(response, event(5001, line(5001, "run.completed"))).end();
    else page(response, [5001], 5001, true, "run.completed");
  });
  for (const transport of ["sse", "poll"] as const) {
    assert.deepEqual(await sequences(url, { contains: "a & b", transport }), [5001]);
  }
  assert.deepEqual(seen.map(({ query }) => query.get("contains")), ["a & b", "a & b"]);
});

function blind<T extends { write: unknown }>(response: T): T {
  return Object.assign(response, { writeHead: () => response, write: () => true });
}

for (const transport of ["sse", "poll"] as const) {
  test(`a stream that is closed while it is asked for has ended, whatever becomes of the request: ${transport}`, async () => {
    // Not every `fetch` that is given heeds a signal, and one that comes to it late hears nothing of it.
    const fetch = () => {
      follow.close();
      return new Promise<Response>(() => {});
    };
    const follow = new AdeClient({ url: "http://ade.test", fetch }).follow("run_1", { transport });
    let all: number[] | undefined;
    void taken(follow).then((found) => (all = found));
    await until("it has ended", () => all !== undefined);
    assert.deepEqual([all, follow.state], [[], "ended"]);
  });
}

test("a stream that is closed while a ticket for it is asked for has ended", async () => {
  const auth = {
    ticket: () => {
      follow.close();
      return new Promise<string>(() => {});
    },
  };
  const follow = new AdeClient({ url: "http://ade.test", auth }).follow("run_1");
  let all: number[] | undefined;
  void taken(follow).then((found) => (all = found));
  await until("it has ended", () => all !== undefined);
  assert.deepEqual(all, []);
});
