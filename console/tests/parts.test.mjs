// Parts of the console without a browser.

import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { createServer } from "vite";

let vite;
const load = (path) => vite.ssrLoadModule(path);
before(async () => {
  const root = join(dirname(fileURLToPath(import.meta.url)), "..");
  vite = await createServer({ root, configFile: join(root, "vite.config.ts"), server: { middlewareMode: true, hmr: false, ws: false }, appType: "custom", logLevel: "error", optimizeDeps: { noDiscovery: true } });
});
after(() => vite?.close());

test("colours of terminals become classes, and nothing of a sequence is shown", async () => {
  const { spans, stripAnsi } = await load("/src/lib/ansi.ts");
  const plain = (text) => spans(text).map((it) => it.text).join("");
  assert.deepEqual(spans("a \u001b[1;31mred\u001b[0m b"), [
    { text: "a ", classes: "", color: undefined }, { text: "red", classes: "ansi-red ansi-bold", color: undefined }, { text: " b", classes: "", color: undefined },
  ]);
  assert.equal(spans("\u001b[38;5;196mx")[0].color, "rgb(255 0 0)");
  assert.equal(spans("\u001b[38;2;1;2;300mx")[0].color, "rgb(1 2 255)");
  assert.equal(spans("\u001b[38;5;9mx")[0].classes, "ansi-red");
  for (const text of ["\u001b[2K\u001b[1Gdone", "\u001b]8;;http://x\u0007done\u001b]8;;\u0007", "\u001b[?25ldone", "\u001b[38;5mdone", "\u001b[mdone"]) {
    assert.equal(plain(text), "done");
    assert.equal(stripAnsi(text), "done");
  }
  assert.equal(plain("<b>&amp;</b>"), "<b>&amp;</b>", "text stays text");
});

test("a difference has every line of both, and as few changes as there are", async () => {
  const { diff } = await load("/src/lib/diff.ts");
  const sides = (lines) => [lines.filter((it) => it.kind !== "in"), lines.filter((it) => it.kind !== "out")].map((side) => side.map((it) => it.text).join("\n"));
  let seed = 7;
  const random = (most) => (seed = (seed * 1103515245 + 12345) % 2147483648) % most;
  for (let round = 0; round < 400; round += 1) {
    const text = () => Array.from({ length: random(12) }, () => "abc"[random(3)]).join("\n");
    const [before, after] = [text(), text()];
    const lines = diff(before, after);
    assert.deepEqual(sides(lines), [before, after]);
    const [a, b] = [before.split("\n"), after.split("\n")];
    const common = Array.from({ length: a.length + 1 }, () => new Array(b.length + 1).fill(0));
    for (let i = 1; i <= a.length; i += 1) for (let j = 1; j <= b.length; j += 1) {
      common[i][j] = a[i - 1] === b[j - 1] ? common[i - 1][j - 1] + 1 : Math.max(common[i - 1][j], common[i][j - 1]);
    }
    assert.equal(lines.filter((it) => it.kind === "same").length, common[a.length][b.length], JSON.stringify([before, after]));
  }
});

test("idle time is drawn short, and work in proportion", async () => {
  const { barsOf, draw } = await load("/src/lib/timeline.ts");
  const at = (ms) => new Date(Date.UTC(2026, 0, 1) + ms).toISOString();
  const hour = 3_600_000;
  const events = [
    ["run.queued", 0, {}], ["run.waiting", 10, { reason: "capacity", position: 9 }], ["run.waiting", 5000, { reason: "capacity", position: 2 }],
    ["run.started", hour, {}], ["run.phase.started", hour, { phase: "extracting" }], ["run.phase.completed", hour + 1000, { phase: "extracting", status: "succeeded", duration_ms: 1000 }],
    ["run.phase.started", hour + 1000, { phase: "writing" }], ["run.completed", hour + 4000, { status: "failed" }],
  ].map(([type, ms, payload], sequence) => ({ type, created_at: at(ms), payload, sequence }));
  const bars = barsOf(events);
  assert.deepEqual(bars.map((it) => [it.name, it.status]), [["waiting for capacity", "succeeded"], ["extracting", "succeeded"], ["writing", "failed"]]);
  const drawn = draw(bars, 0);
  const [wait, extracting, writing] = drawn.bars;
  assert.ok(wait.width < 12, "an hour in the queue does not squash four seconds of work");
  assert.ok(Math.abs(writing.width / extracting.width - 3) < 0.01);
  assert.ok(Math.abs(writing.left + writing.width - 100) < 0.01);
  assert.equal(drawn.breaks.length, 1);
});

test("money is never rounded, and sizes are short", async () => {
  const { money, bytes, duration } = await load("/src/lib/format.ts");
  assert.equal(money("0.000666"), "$0.000666");
  assert.equal(money("1234567.5"), "$1,234,567.50");
  assert.equal(money("90071992547409931.000001"), "$90,071,992,547,409,931.000001");
  assert.equal(money(null), "–");
  assert.deepEqual([0, 999, 1000, 123_456, 25_000_000].map(bytes), ["0 B", "999 B", "1.0 KB", "123 KB", "25.0 MB"]);
  assert.deepEqual([0, 999, 1500, 59_999, 61_000, 3_600_000, 200_000_000].map(duration), ["0 ms", "999 ms", "1.5 s", "59 s", "1m 01s", "1h 00m", "2d 7h"]);
});

test("a role is what the key has where it is for, and what a membership adds in its own workspace", async () => {
  const { roleIn, canWriteIn, canMakeWorkspaces } = await load("/src/lib/rights.ts");
  const member = (workspace_id, role) => ({ workspace_id, role });
  for (const [rights, roles, makes] of [
    [{ role: "admin", workspaces: null, memberships: [] }, ["admin", "admin", "admin"], true],
    [{ role: "operator", workspaces: null, memberships: [member("b", "viewer")] }, ["operator", "operator", "operator"], true],
    [{ role: "operator", workspaces: ["a"], memberships: [member("b", "viewer")] }, ["operator", "viewer", undefined], false],
    [{ role: "viewer", workspaces: ["a"], memberships: [member("b", "operator")] }, ["viewer", "operator", undefined], false],
    [{ role: "viewer", workspaces: null, memberships: [member("b", "operator")] }, ["viewer", "operator", "viewer"], false],
    [{ role: "viewer", workspaces: ["a"], memberships: [member("a", "operator")] }, ["operator", undefined, undefined], false],
    [{ role: "viewer", workspaces: [], memberships: [] }, [undefined, undefined, undefined], false],
  ]) {
    assert.deepEqual(["a", "b", "c"].map((id) => roleIn(rights, id)), roles, JSON.stringify(rights));
    assert.deepEqual(["a", "b", "c"].map((id) => canWriteIn(rights, id)), roles.map((role) => role === "admin" || role === "operator"));
    assert.equal(canWriteIn(rights, undefined), false, "a page that does not know its workspace yet offers nothing");
    assert.equal(canMakeWorkspaces(rights), makes);
  }
});

test("of a CSV file the first rows are read, whatever separates its cells", async () => {
  const { sheetsOf } = await load("/src/lib/sheets.ts");
  const read = async (text) => (await sheetsOf("a.csv", new TextEncoder().encode(text).buffer))[0];
  assert.deepEqual((await read('a;b\r\n"x;""y""";"two\nlines"\r\n')).rows, [["a", "b"], ['x;"y"', "two\nlines"]]);
  const long = await read(Array.from({ length: 500 }, (_, at) => `${at},b`).join("\n"));
  assert.deepEqual([long.rows.length, long.isCut], [200, true]);
  assert.deepEqual((await read("")).rows, []);
});

test("of a flood of lines a tab gets the last ones, and of everything else all", async () => {
  const { Hub } = await load("/src/lib/live-core.ts");
  const lines = Array.from({ length: 3000 }, (_, at) => ({ type: at % 100 === 0 ? "run.phase.started" : "console.line", sequence: at + 2, run_id: "run_1", payload: {} }));
  const frames = [{ type: "run.queued", sequence: 1, run_id: "run_1", payload: {} }, ...lines].map((event) => `event: ade.event\ndata: ${JSON.stringify(event)}\nid: run_1:${event.sequence}\n\n`);
  /** A thousand lines at a time, faster than they are told. */
  const body = () => new ReadableStream({
    async start(controller) {
      for (let at = 0; at < frames.length; at += 1000) {
        controller.enqueue(new TextEncoder().encode(frames.slice(at, at + 1000).join("")));
        await new Promise((then) => setTimeout(then, 5));
      }
      controller.close();
    },
  });
  const asked = [];
  const real = globalThis.fetch;
  globalThis.location = { origin: "http://127.0.0.1" };
  globalThis.fetch = async (url, init) => {
    asked.push([new URL(url).searchParams.getAll("stream"), new Headers(init?.headers).get("last-event-id")]);
    if (asked.length > 1) return new Response(null, { status: 204 });
    return new Response(body(), { status: 200, headers: { "Content-Type": "text/event-stream" } });
  };
  try {
    const got = [];
    const hub = new Hub();
    hub.open("t", { postMessage: (message) => message.is === "events" && got.push(message) });
    hub.take("t", { do: "watch", stream: "run_1", after: 1 });
    while (got.at(-1)?.last !== 3001) await new Promise((then) => setTimeout(then, 5));
    hub.close("t");
    const events = got.flatMap((it) => it.events);
    const numbers = events.map((it) => it.sequence);
    assert.deepEqual(numbers, [...new Set(numbers)].sort((a, b) => a - b), "in order, each once");
    assert.ok(!numbers.includes(1), "what the tab has is not told again");
    assert.equal(events.filter((it) => it.type === "run.phase.started").length, 30);
    assert.ok(events.filter((it) => it.type === "console.line").length < 1700);
    assert.equal(got.at(-1).last, 3001);
    assert.deepEqual(asked[0], [["run_1"], "run_1:1"]);
  } finally {
    globalThis.fetch = real;
  }
});

test("a service that goes before it has answered is said to be away, and is live when it is back", async () => {
  const { Hub } = await load("/src/lib/live-core.ts");
  const real = globalThis.fetch;
  globalThis.location = { origin: "http://127.0.0.1" };
  let isThere = false;
  globalThis.fetch = async (_, { signal }) => {
    if (!isThere) throw new TypeError("nobody listens");
    const body = new ReadableStream({
      start(controller) {
        controller.enqueue(new TextEncoder().encode("retry: 10\n:\n"));
        signal.addEventListener("abort", () => controller.error(signal.reason));
      },
    });
    return new Response(body, { status: 200, headers: { "Content-Type": "text/event-stream" } });
  };
  const hub = new Hub();
  try {
    const states = [];
    const told = async (state) => {
      while (states.at(-1) !== state) await new Promise((then) => setTimeout(then, 5));
    };
    hub.open("t", { postMessage: (message) => message.is === "state" && states.push(message.state) });
    hub.take("t", { do: "watch", stream: "run_1", after: 1 });
    await told("reconnecting");
    isThere = true;
    hub.take("t", { do: "retry" });
    await told("live");
  } finally {
    hub.close("t");
    globalThis.fetch = real;
  }
});
