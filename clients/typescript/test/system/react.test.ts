// The example of a React hook, as it stands, in a browser.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { chromium } from "playwright-core";
import { AdeClient } from "../../src/index.js";
import { Service } from "./service.js";

declare const example: { show: (element: HTMLElement, run: string) => void };

test("the React example shows each event once, also in strict mode", async (context) => {
  const { url, key } = await Service.start(context);
  const client = new AdeClient({ url, auth: { key } });
  const scope = { workflow_id: "brief-to-plan", scope_type: "project", scope_id: "react" };
  const input = { brief: { title: "Members register online", goal: "No more forms on paper." } };
  const { execution_id } = await client.executions.create({ ...scope, input });
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
  context.after(() => browser.close());
  const page = await browser.newPage({ bypassCSP: true });
  await page.goto(`${url}/health/live`);
  await page.evaluate((key) => fetch("/api/v1/session", { method: "POST", headers: { "X-API-Key": key } }), key);
  await page.addScriptTag({ content: readFileSync(new URL("../../react.js", import.meta.url), "utf8") });
  await page.evaluate((id) => example.show(document.body, id), execution_id);
  await page.waitForSelector("p[data-state=live]");
  await client.executions.cancel(execution_id);
  await page.waitForSelector("p[data-state=ended]");
  const shown = await page.$$eval("li", (items) => items.map((item) => item.textContent));
  const { items } = await client.request<{ items: { type: string }[] }>("GET", `/executions/${execution_id}/events`);
  assert.deepEqual(shown, items.map(({ type }) => type));
});
