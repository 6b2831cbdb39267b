// What the page shows while things happen, and while the service is away.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { drop, launch, linesOf, liveOf, open, python, Service, statusOf, until } from "./support.mjs";

let browser;
let service;
let workspace;
let configuration;

before(async () => {
  browser = await launch();
  service = await Service.start();
  ({ workspace, configuration } = await service.furnish());
});
after(async () => {
  await browser?.close();
  await service?.end();
});

/** Lines at a rate, numbered. */
const chatter = (count, perSecond, each = 20) => python(
  `import sys\nn = 0\nwhile n < ${count}:\n    sys.stdout.write("".join(f"line {n + k:07d} of ${count}\\n" for k in range(${each})))\n    sys.stdout.flush()\n    n += ${each}\n    time.sleep(${each} / ${perSecond})`,
);

/** Everything that the log of a run shows, from its first line to its last, by scrolling through it. */
async function wholeLog(page) {
  const seen = new Map();
  const log = page.getByRole("log");
  await log.focus();
  await page.keyboard.press("g");
  await page.keyboard.press("g");
  const count = Number(await page.locator("[data-lines]").getAttribute("data-lines"));
  for (let step = 0; step < 5000; step += 1) {
    await until("the lines that are seen are here", async () => (await page.locator(".line").count()) === (await page.locator("[data-line]").count()));
    const lines = await linesOf(page);
    const numbers = lines.map(([number]) => number);
    assert.equal(new Set(numbers).size, numbers.length, "no line is there twice");
    for (const [number, text] of lines) {
      assert.ok(!seen.has(number) || seen.get(number) === text, `line ${number} is always the same`);
      seen.set(number, text);
    }
    if (numbers.at(-1) >= count) break;
    await log.evaluate((it) => (it.scrollTop += it.clientHeight - 40));
    await page.evaluate(() => new Promise((then) => requestAnimationFrame(() => requestAnimationFrame(then))));
  }
  return seen;
}

const isState = (page, state) => async () => {
  assert.equal((await liveOf(page)).state, state);
  return true;
};

async function storedLines(run) {
  const lines = new Map();
  for (let after = 0; ;) {
    const page = await service.get(`runs/${run}/events?after_sequence=${after}&limit=1000`);
    for (const event of page.items) lines.set(event.sequence, event);
    if (page.next_after_sequence >= page.last_sequence) return lines;
    after = page.next_after_sequence;
  }
}

async function assertWhole(page, run) {
  const [seen, stored] = [await wholeLog(page), await storedLines(run)];
  assert.equal(seen.size, stored.size);
  for (const [number, event] of stored) {
    assert.ok(seen.has(number), `line ${number} is missing`);
    if (event.type === "console.line") assert.equal(seen.get(number), event.payload.message);
  }
}

test("the service is killed in the middle of a run, and the page has every line once", async () => {
  const run = await service.run(workspace, configuration, chatter(100_000, 400));
  const page = await open(browser, service, `/runs/${run}`);
  await until("lines come", async () => Number(await page.locator("[data-lines]").getAttribute("data-lines")) > 400);
  await service.kill();
  await until("the page says that it is away", isState(page, "reconnecting"));
  await service.up();
  await until("the run is known to have been interrupted", async () => (await statusOf(page)) === "failed");
  await page.getByText("interrupted").first().waitFor();
  const resource = await service.get(`runs/${run}`);
  await until("the page has the last line", async () => Number(await page.locator("[data-lines]").getAttribute("data-lines")) === resource.last_sequence);
  await assertWhole(page, run);
  assert.deepEqual(page.faults, []);
  await page.context().close();
});

test("a service that goes before the page has its worker is said to be away, and followed when it is back", async () => {
  const run = await service.run(workspace, configuration, "print before\nsleep 600\n");
  await until("it has begun", async () => (await service.get(`runs/${run}`)).status === "running");
  const context = await browser.newContext();
  await context.exposeFunction("killService", () => service.kill());
  await context.addInitScript(() => {
    const Real = window.SharedWorker;
    window.SharedWorker = function first(...given) {
      window.SharedWorker = Real;
      const late = { port: { postMessage() {} } };
      window.killService().then(() => (new Real(...given).onerror = (event) => late.onerror(event)));
      return late;
    };
  });
  const page = await open(browser, service, `/runs/${run}`, { context });
  await until("the page says that it is away", isState(page, "reconnecting"));
  await service.up();
  await until("the run is known to have been interrupted", async () => (await statusOf(page)) === "failed");
  assert.deepEqual(page.faults, []);
  await context.close();
});

test("a page that came without TLS, where browsers leave out a part of what they have, is live too and starts runs", async () => {
  const context = await browser.newContext();
  await context.addInitScript(() => {
    delete Crypto.prototype.randomUUID;
    delete Navigator.prototype.locks;
  });
  const page = await open(browser, service, `/workspaces/${workspace}/runs`, { context });
  await until("it is live", isState(page, "live"));
  await drop(page, "script.txt", "print hello\n");
  await page.waitForURL("**/runs/run_*");
  await until("it has succeeded", async () => (await statusOf(page)) === "succeeded");
  assert.deepEqual(page.faults, []);
  await context.close();
});

test("a list that nobody touches follows what happens, also after the service was away", async () => {
  const page = await open(browser, service, `/workspaces/${workspace}/runs`);
  await page.locator("[data-run]").first().waitFor();
  const run = await service.run(workspace, configuration, python("time.sleep(2)"), "first.txt");
  const status = (id) => page.locator(`[role=row]:has([data-run="${id}"]) [data-status]`).getAttribute("data-status");
  await until("the new run is in the list", async () => (await page.locator(`[data-run="${run}"]`).count()) === 1, 15);
  await until("it succeeds there", async () => (await status(run)) === "succeeded");
  await service.stop();
  await until("the page says that it is away", isState(page, "reconnecting"));
  await service.up();
  const next = await service.run(workspace, configuration, "print x\n", "second.txt");
  await until("what happened meanwhile is there", async () => (await page.locator(`[data-run="${next}"]`).count()) === 1);
  await until("and how it ended", async () => (await status(next)) === "succeeded");
  await until("it is live again", isState(page, "live"));
  // Every row is as the interface has it.
  const found = await service.get(`workspaces/${workspace}/runs?perPage=100`);
  assert.equal(Number(await page.locator("[data-total]").getAttribute("data-total")), found.total);
  for (const [at, one] of found.items.slice(0, 5).entries()) {
    assert.equal(await page.locator("[data-run]").nth(at).getAttribute("data-run"), one.id);
    assert.equal(await status(one.id), one.status);
  }
  assert.deepEqual(page.faults, []);
  await page.context().close();
});

test("two tabs share one connection, and the one that is left keeps it", async () => {
  const run = await service.run(workspace, configuration, chatter(4000, 200));
  const first = await open(browser, service, `/runs/${run}`);
  const second = await open(browser, service, `/workspaces/${workspace}/runs`, { context: first.context() });
  await second.locator("[data-run]").first().waitFor();
  for (const page of [first, second]) {
    const live = await until("both are live", async () => {
      const it = await liveOf(page);
      return it.state === "live" && it.tabs === 2 ? it : undefined;
    });
    assert.equal(live.connections, 1);
  }
  const actors = await service.get("system/actors");
  const readers = actors.actors.find((it) => it.id === run).stream.subscribers;
  await first.close();
  await until("the worker knows that the tab is gone", async () => (await liveOf(second)).tabs === 1);
  await until("nobody reads the run's stream for it any more", async () => {
    const found = (await service.get("system/actors")).actors.find((it) => it.id === run);
    return !found || found.stream.subscribers < readers;
  });
  assert.equal((await liveOf(second)).state, "live");
  await service.call("POST", `runs/${run}/cancel`, {}).catch(() => {});
  await until("the other one goes on", async () =>
    ["cancelled", "succeeded"].includes(await second.locator(`[role=row]:has([data-run="${run}"]) [data-status]`).getAttribute("data-status")), 40);
  assert.deepEqual(second.faults, []);
  await second.context().close();
});

/** Seconds. */
const AWAY = Number(process.env.AWAY ?? 60);

test("the service is away for a while and comes back, and nothing has to be loaded anew", async () => {
  const run = await service.run(workspace, configuration, "print before\nsleep 600\n");
  const page = await open(browser, service, `/runs/${run}`);
  await page.getByText("before").waitFor({ timeout: 120_000 });
  await page.evaluate(() => (window.isTheSame = true));
  await service.kill();
  const told = async () => Number(/Reconnecting, (\d+) s/.exec(await page.locator("[data-live]").innerText())?.[1]);
  await until("it is told, with how long", async () => (await told()) >= AWAY, AWAY + 20);
  await page.getByText("before").waitFor();
  await service.up();
  await until("it is found again", async () => (await statusOf(page)) === "failed");
  assert.ok(await page.evaluate(() => window.isTheSame));
  assert.deepEqual(page.faults, []);
  await page.context().close();
});

test("the console follows its end until somebody scrolls up, and again when they come back", async () => {
  const run = await service.run(workspace, configuration, chatter(6000, 300));
  const page = await open(browser, service, `/runs/${run}`);
  const log = page.getByRole("log");
  await until("there is something to scroll", async () => Number(await page.locator("[data-lines]").getAttribute("data-lines")) > 300);
  const isAtEnd = async () => {
    const [lines, count] = [await linesOf(page), Number(await page.locator("[data-lines]").getAttribute("data-lines"))];
    return lines.length > 0 && lines.at(-1)[0] >= count - 40;
  };
  await until("it is at its end", isAtEnd);
  await log.hover();
  await page.mouse.wheel(0, -2000);
  await until("it has left its end", async () => !(await isAtEnd()));
  const [[before]] = await linesOf(page);
  await new Promise((then) => setTimeout(then, 700));
  const [[later]] = await linesOf(page);
  assert.equal(later, before, "what is read stays where it is");
  await page.keyboard.press("Shift+G");
  await until("it is at its end again", isAtEnd);
  // What a browser still has to say of a list that is gone.
  const gone = await log.elementHandle();
  await page.getByRole("tab", { name: "Tables" }).click();
  await log.waitFor({ state: "detached" });
  await gone.evaluate((list) => list.dispatchEvent(new Event("scroll")));
  assert.deepEqual(page.faults, []);
  await page.getByRole("tab", { name: "Console" }).click();
  await until("it is at its end when it is back", isAtEnd);
  await new Promise((then) => setTimeout(then, 500));
  await until("it is still at its end when more has come", isAtEnd);
  await service.call("POST", `runs/${run}/cancel`, {}).catch(() => {});
  assert.deepEqual(page.faults, []);
  await page.context().close();
});

test("lines are found in the whole log, filtered, linked to, and shown among the others", async () => {
  const script = `${python('for n in range(5000): print(f"row {n}" + (" needle" if n % 1000 == 7 else ""))')}stderr Warning: careful\nprint \u001b[31mred\u001b[0m and \u001b[1mbold\u001b[0m\n`;
  const run = await service.run(workspace, configuration, script);
  const { last_sequence: last } = await service.finished(run);
  const page = await open(browser, service, `/runs/${run}`);
  await page.locator(".ansi-red", { hasText: "red" }).waitFor();
  const asked = [];
  page.on("request", (request) => request.url().includes("/events?") && asked.push(new URL(request.url()).searchParams.get("contains")));
  await page.keyboard.press("/");
  await page.keyboard.type("NEEDLE");
  await page.keyboard.press("Enter");
  await page.locator('[data-lines="5"]').waitFor();
  assert.match(page.url(), /find=NEEDLE/);
  assert.deepEqual([...new Set(asked)], ["NEEDLE"], "the service has looked for it");
  const lines = await linesOf(page);
  assert.deepEqual(lines.map(([, text]) => text), [7, 1007, 2007, 3007, 4007].map((n) => `row ${n} needle`));
  // The number of a line that was found leads to it among the others.
  await page.getByLabel(`Line ${lines[2][0]}`, { exact: true }).click();
  await page.locator(`[data-lines="${last}"]`).waitFor();
  await page.locator(`[data-line="${lines[2][0]}"].marked`).waitFor();
  assert.equal(new URL(page.url()).hash, `#L${lines[2][0]}`);
  const other = await open(browser, service, `/runs/${run}#L${lines[3][0]}`, { context: page.context() });
  await other.locator(`[data-line="${lines[3][0]}"].marked`).waitFor();
  await other.getByLabel("Scope").selectOption("build");
  const build = (await service.get(`runs/${run}/events?types=console.line&scope=build&limit=1000`)).items.filter((it) => it.type === "console.line");
  await other.locator(`[data-lines="${build.length}"]`).waitFor();
  assert.deepEqual([...page.faults, ...other.faults], []);
  await page.context().close();
});
