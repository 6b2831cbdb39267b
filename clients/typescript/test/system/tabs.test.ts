// Several tabs of one browser, the real service, and one connection between them.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { type BrowserContext, chromium, type Page } from "playwright-core";
import { AdeClient } from "../../src/index.js";
import { Service, until } from "./service.js";

declare const ade: typeof import("../../src/index.js");
declare global {
  var got: Record<string, number[]>;
  var states: Record<string, string[]>;
  var client: AdeClient;
  var connection: import("../../src/index.js").Connection;
}

const bundle = readFileSync(new URL("../../ade.js", import.meta.url), "utf8");
const QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"];

/** A tab that follows streams and keeps the sequences that it was given. */
async function open(context: BrowserContext, url: string, streams: string[]): Promise<Page> {
  const page = await context.newPage();
  await page.goto(`${url}/health/live`);
  await page.addScriptTag({ content: bundle });
  await page.evaluate((streams) => {
    globalThis.client = new ade.AdeClient({ auth: { session: true } });
    globalThis.connection = client.connection({ tabs: true });
    globalThis.got = Object.fromEntries(streams.map((stream) => [stream, []]));
    globalThis.states = Object.fromEntries(streams.map((stream) => [stream, []]));
    for (const stream of streams) {
      const follow = connection.follow(stream);
      follow.onState(({ state }) => states[stream]!.push(state));
      void (async () => {
        for await (const { sequence } of follow) got[stream]!.push(sequence);
      })();
    }
  }, streams);
  return page;
}

const has = (page: Page, stream: string, sequence: number) =>
  page.evaluate(([stream, sequence]) => got[stream]!.at(-1) === sequence, [stream, sequence] as const);
const state = (page: Page, stream: string) => page.evaluate((stream) => states[stream]!.at(-1), stream);
const role = (page: Page) => page.evaluate(() => connection.role);

async function everywhere(what: string, pages: Page[], condition: (page: Page) => Promise<boolean>): Promise<void> {
  await until(what, async () => (await Promise.all(pages.map(condition))).every(Boolean));
}

async function leaderOf(pages: Page[]): Promise<Page> {
  const roles = await Promise.all(pages.map(role));
  assert.equal(roles.filter((one) => one === "leader").length, 1, `${roles}`);
  return pages[roles.indexOf("leader")]!;
}

/** An execution that asks a question and waits; gives its id and what it has said by then. */
async function asking(client: AdeClient): Promise<[string, number]> {
  const brief = { title: "Members register online", goal: "No more forms on paper." };
  const wanted = { workflow_id: "brief-to-plan", scope_type: "project", scope_id: "tabs", input: { brief } };
  const { execution_id } = await client.executions.create(wanted);
  for await (const { type, sequence } of client.executions.follow(execution_id)) {
    if (type === "clarification_needed") return [execution_id, sequence];
  }
  throw new Error("it has asked nothing");
}

/** From a tab, that is, with the token of its session. */
async function answer(page: Page, execution: string): Promise<void> {
  await page.evaluate(async (execution) => {
    const { pending } = await client.executions.get(execution);
    const { step_id, questions } = pending[0]!;
    const answers = (questions ?? []).map(({ id, choices }) => [id, choices?.[0]?.value ?? "yes"]);
    await client.executions.answer(execution, step_id, Object.fromEntries(answers));
  }, execution);
}

test("tabs share one connection, whichever is closed and however the service ends", async (context) => {
  const service = await Service.start(context);
  const { url, key } = service;
  const client = new AdeClient({ url, auth: { key } });
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: QUIET });
  context.after(() => browser.close());
  const tabs = await browser.newContext({ bypassCSP: true });
  const readers = () => service.readers("execution");
  const [first, asked1] = await asking(client);
  const [second, asked2] = await asking(client);
  await until("nobody reads", async () => (await readers()) === 0);

  const begin = await tabs.newPage();
  await begin.goto(`${url}/health/live`);
  await begin.addScriptTag({ content: bundle });
  const name = await begin.evaluate(async (key) => (await new ade.AdeClient({ auth: { session: true } }).session.signIn(key)).name, key);
  assert.equal(name, "first");

  let pages = await Promise.all([1, 2, 3].map(() => open(tabs, url, [first, second])));
  await everywhere("all tabs have both", pages, async (page) => (await has(page, first, asked1)) && has(page, second, asked2));
  await everywhere("all tabs are live", pages, async (page) => (await state(page, first)) === "live");
  assert.equal(await readers(), 2, "two streams, once each");

  await service.kill();
  await everywhere("all tabs notice", pages, async (page) => (await state(page, first)) === "reconnecting");
  await service.start();
  await everywhere("all tabs are live again", pages, async (page) => (await state(page, first)) === "live");
  assert.equal(await readers(), 2);

  const leader = await leaderOf(pages);
  await leader.close();
  pages = pages.filter((page) => page !== leader);
  await until("another tab leads", async () => (await Promise.all(pages.map(role))).includes("leader"));
  await until("it reads", async () => (await readers()) === 2);

  const late = await open(tabs, url, [second]);
  await until("who comes later has all", () => has(late, second, asked2));
  assert.equal(await readers(), 2);

  const follower = pages.find((page) => page !== late && page)!;
  await answer(follower, first);
  await everywhere("the first ends everywhere", pages, async (page) => (await state(page, first)) === "ended");
  await answer(follower, second);
  pages.push(late);
  await everywhere("so does the second", pages, async (page) => (await state(page, second)) === "ended");
  await until("nobody reads any more", async () => (await readers()) === 0);

  for (const stream of [first, second]) {
    const all = await client.request<{ items: { sequence: number }[] }>("GET", `/executions/${stream}/events`);
    const wanted = all.items.map(({ sequence }) => sequence);
    for (const page of pages) {
      const taken = await page.evaluate((stream) => got[stream], stream);
      if (taken) assert.deepEqual(taken, wanted);
    }
  }
});
