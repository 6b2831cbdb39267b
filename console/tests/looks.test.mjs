// Every page in both themes and two sizes: what axe finds, and how it looks. With SCREENSHOTS=<folder> the pictures are kept.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { FIXTURES, launch, open, Service, until } from "./support.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const FOLDER = process.env.SCREENSHOTS;

let browser;
let service;
const ids = {};

before(async () => {
  browser = await launch();
  service = await Service.start({ engine: "builtin", auth: "on" });
  const workspace = (ids.workspace = await service.workspace());
  ids.configuration = await service.configure(workspace);
  const fixture = (name) => readFileSync(join(FIXTURES, name));
  for (const name of ["two_sheets.xlsx", "corrupt.xlsx", "missing_required.xlsx", "title_rows.xlsx", "roster.csv", "wide.xlsx"]) {
    await service.finished(await service.run(workspace, ids.configuration, fixture(name), name));
  }
  const faults = "Member ID,First Name,Last Name,E-Mail,Start Date,Amount\nM-1,Ann,Lee,ann@example.org,2026-01-02,12.5\n,Bob,Ray,bob(at)example,2026-13-40,x\nM-1,Cid,,cid@example.org,soon,-3\n";
  ids.faulty = await service.run(workspace, ids.configuration, faults, "members.csv");
  await service.finished(ids.faulty);
  ids.run = await service.run(workspace, ids.configuration, fixture("two_tables.xlsx"), "two_tables.xlsx");
  ids.build = (await service.finished(ids.run)).build_id;
  const failed = await service.get(`workspaces/${workspace}/runs?status=failed&perPage=1`);
  ids.failed = failed.items[0].id;
  const start = async (scope) => (await service.call("POST", "executions", {
    workspace_id: workspace, workflow_id: "brief-to-plan", scope_type: "project", scope_id: scope, input: { brief: { goal: "A report that people read", for: scope } },
  })).execution_id;
  ids.waiting = await start("spring");
  ids.execution = await start("autumn");
  const pending = await until("it asks", async () => (await service.get(`executions/${ids.execution}`)).pending[0]);
  const answers = Object.fromEntries(pending.questions.filter((it) => it.required).map((it) => [it.id, "Everybody"]));
  await service.call("POST", `executions/${ids.execution}/steps/${pending.step_id}/clarification`, { answers });
  await until("it has completed", async () => (await service.get(`executions/${ids.execution}`)).completed_at);
  await until("the other one asks", async () => (await service.get(`executions/${ids.waiting}`)).pending[0]);
  const written = await service.call("POST", "documents", {
    workspace_id: workspace, scope_type: "project", scope_id: "spring", document_type: "notes", title: "Notes",
    content: { goal: "A report", audience: ["board"], pages: 12 },
  });
  ids.document = written.document_id;
  await service.call("PUT", `documents/${ids.document}`, { content: { goal: "A report that people read", audience: ["board", "members"], pages: 8 } }, { "If-Match": '"1"' });
  await service.call("POST", "api-keys", { name: "dashboard", role: "viewer", workspaces: [workspace] });
});
after(async () => {
  await browser?.close();
  await service?.end();
});

const PAGES = [
  ["sign-in", () => "/sign-in", "Sign in", { signedOut: true }],
  ["workspaces", () => "/workspaces", "New workspace"],
  ["runs", () => `/workspaces/${ids.workspace}/runs`, "Runs"],
  ["runs-none", () => `/workspaces/${ids.workspace}/runs?q=nothing-is-like-this`, "No run is like that"],
  ["run", () => `/runs/${ids.run}`, "two_tables.xlsx"],
  ["run-failed", () => `/runs/${ids.failed}`, "Run again"],
  ["run-tables", () => `/runs/${ids.run}?tab=tables`, "Column of the source"],
  ["run-validation", () => `/runs/${ids.faulty}?tab=validation`, "bad_email"],
  ["run-preview", () => `/runs/${ids.run}?tab=preview`, "changed"],
  ["run-outputs", () => `/runs/${ids.run}?tab=outputs`, "normalized.xlsx"],
  ["run-diagnostics", () => `/runs/${ids.run}?tab=diagnostics`, "Command"],
  ["builds", () => `/workspaces/${ids.workspace}/builds`, "Reason"],
  ["build", () => `/builds/${ids.build}`, "Fingerprint"],
  ["executions", () => `/workspaces/${ids.workspace}/executions`, "Executions"],
  ["execution", () => `/executions/${ids.execution}`, "A plan for each"],
  ["execution-asks", () => `/executions/${ids.waiting}`, "asks"],
  ["execution-costs", () => `/executions/${ids.execution}?tab=costs`, "By call"],
  ["document", () => `/documents/${ids.document}?against=1`, "differ"],
  ["costs", () => `/workspaces/${ids.workspace}/costs`, "By day"],
  ["costs-rates", () => `/workspaces/${ids.workspace}/costs?workflow=brief-to-plan`, "Asked a person"],
  ["configurations", () => `/workspaces/${ids.workspace}/configurations`, "Roster"],
  ["configuration", () => `/workspaces/${ids.workspace}/configurations/${ids.configuration}`, "Export"],
  ["system", () => "/system", "Health"],
  ["system-keys", () => "/system?tab=keys", "dashboard"],
  ["system-audit", () => "/system?tab=audit", "POST"],
  ["not-found", () => "/runs/run_00000000000000000000000000", "Not found"],
  ["no-page", () => "/workspaces/x/nothing", "There is no such page"],
];

async function signedIn(options) {
  const context = await browser.newContext({ bypassCSP: false, timezoneId: "Europe/Berlin", locale: "en-GB", ...options });
  const answer = await context.request.post(`${service.url}/api/v1/session`, { data: { key: service.key } });
  assert.equal(answer.status(), 201);
  return context;
}

async function picture(page, name) {
  if (!FOLDER) return;
  mkdirSync(FOLDER, { recursive: true });
  const session = await page.context().newCDPSession(page);
  const { data } = await session.send("Page.captureScreenshot", { format: "webp", quality: 76 });
  await session.detach();
  writeFileSync(join(FOLDER, `${name}.webp`), Buffer.from(data, "base64"));
}

/** Through the protocol, which the page's content security policy does not hold back. */
async function axe(page) {
  await page.evaluate(AXE);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"], runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
  return found.violations.map((it) => `${it.id}: ${it.nodes.slice(0, 3).map((node) => `${node.target.join(" ")} ${node.any[0]?.message ?? ""}`).join(" | ")}`);
}

for (const colorScheme of ["light", "dark"]) {
  for (const [size, viewport] of [["wide", { width: 1280, height: 800 }], ["phone", { width: 390, height: 844 }]]) {
    test(`axe finds nothing on any page, ${colorScheme}, ${size}`, async () => {
      const context = await signedIn({ viewport, colorScheme, isMobile: size === "phone", hasTouch: size === "phone" });
      const nobody = await browser.newContext({ viewport, colorScheme });
      const problems = [];
      for (const [name, path, text, { signedOut } = {}] of PAGES) {
        const page = await open(browser, service, path(), { context: signedOut ? nobody : context });
        await page.getByText(text).first().waitFor({ timeout: 15_000 }).catch((error) => problems.push(`${name}: ${error.message.split("\n")[0]} ${text}`));
        await until("nothing is being read any more", async () => (await page.getByText("Loading", { exact: true }).count()) === 0);
        for (const problem of await axe(page)) problems.push(`${name}: ${problem}`);
        const width = await page.evaluate(() => {
          const main = document.querySelector("main");
          return Math.max(document.documentElement.scrollWidth - innerWidth, main.scrollWidth - main.clientWidth);
        });
        if (width > 0) problems.push(`${name} is ${width} pixels too wide`);
        problems.push(...page.faults.map((fault) => `${name}: ${fault}`));
        await picture(page, `${name}-${colorScheme}${size === "phone" ? "-phone" : ""}`);
        await page.close();
      }
      await context.close();
      await nobody.close();
      assert.deepEqual(problems, []);
    });
  }
}

test("numbers and lists on the pages are the interface's", async () => {
  const context = await signedIn({ viewport: { width: 1280, height: 800 } });
  const at = async (path, text) => {
    const page = await open(browser, service, path, { context });
    await page.getByText(text).first().waitFor();
    return page;
  };
  const validation = await at(`/runs/${ids.faulty}?tab=validation`, "bad_email");
  const { core, breakdowns } = await service.get(`runs/${ids.faulty}/summary`);
  const issues = await service.get(`runs/${ids.faulty}/events?types=run.validation.issue&limit=1000`);
  assert.equal(await validation.locator("#panel tbody tr").count(), issues.items.filter((it) => it.type === "run.validation.issue").length);
  const bars = async (name) => Object.fromEntries(await validation.getByLabel(name, { exact: true }).evaluate((list) =>
    [...list.querySelectorAll("dt")].map((it) => [it.textContent, Number(it.nextElementSibling.textContent)])));
  assert.deepEqual(await bars("Issues by severity"), core.issue_counts_by_severity);
  assert.deepEqual(await bars("Issues by code"), core.issue_counts_by_code);
  const fields = breakdowns.by_field.filter((it) => it.validation_issue_count_total > 0).map((it) => [it.label, it.validation_issue_count_total]);
  assert.deepEqual(await bars("Issues by field"), Object.fromEntries(fields));

  const runs = await at(`/workspaces/${ids.workspace}/runs`, "members.csv");
  const listed = await service.get(`workspaces/${ids.workspace}/runs?perPage=100`);
  assert.deepEqual(await runs.locator("[data-run]").evaluateAll((all) => all.map((it) => it.dataset.run)), listed.items.map((it) => it.id));
  assert.deepEqual(await runs.locator("[role=row] [data-status]").evaluateAll((all) => all.map((it) => it.dataset.status)), listed.items.map((it) => it.status));
  await runs.getByRole("button", { name: "failed" }).click();
  const failed = await service.get(`workspaces/${ids.workspace}/runs?perPage=100&status=failed`);
  await runs.locator(`[data-total="${failed.total}"]`).waitFor();
  assert.match(runs.url(), /status=failed/);

  const costs = await at(`/workspaces/${ids.workspace}/costs`, "By day");
  const sums = await service.get(`telemetry/summary?workspace_id=${ids.workspace}`);
  assert.equal(await costs.locator("[data-cost]").getAttribute("data-cost"), sums.totals.cost_usd);
  assert.equal(await costs.locator("[data-calls]").getAttribute("data-calls"), String(sums.totals.calls));
  assert.equal(await costs.getByRole("region", { name: "By model" }).locator("tbody tr").count(), sums.by_model.length);

  const executions = await at(`/workspaces/${ids.workspace}/executions`, "From a brief to a plan");
  const found = await service.get(`executions?workspace_id=${ids.workspace}`);
  assert.deepEqual(await executions.locator("[data-execution]").evaluateAll((all) => all.map((it) => it.dataset.execution)), found.items.map((it) => it.execution_id));

  const builds = await at(`/workspaces/${ids.workspace}/builds`, "cache miss");
  const made = await service.get(`workspaces/${ids.workspace}/builds`);
  assert.deepEqual(await builds.locator("[data-build]").evaluateAll((all) => all.map((it) => it.dataset.build)), made.items.map((it) => it.id));
  await context.close();
});

test("dialogs and the help are found nothing wrong with either", async () => {
  const context = await signedIn({ viewport: { width: 1280, height: 800 } });
  const page = await open(browser, service, `/workspaces/${ids.workspace}/runs`, { context });
  await page.locator("[data-run]").first().waitFor();
  await page.keyboard.press("?");
  await page.getByRole("dialog", { name: "Keys" }).waitFor();
  assert.deepEqual(await axe(page), []);
  await picture(page, "help-light");
  await page.keyboard.press("Escape");
  await page.keyboard.press("n");
  await page.getByRole("dialog", { name: "Start a run" }).waitFor();
  assert.deepEqual(await axe(page), []);
  await page.goto(`${service.url}/executions/${ids.execution}?tab=costs`);
  await page.getByRole("region", { name: "Calls" }).getByRole("button").first().click();
  await page.getByRole("dialog", { name: /A call for/ }).waitFor();
  assert.deepEqual(await axe(page), []);
  for (const colorScheme of ["light", "dark"]) {
    const nobody = await browser.newContext({ colorScheme });
    await nobody.route("**/api/v1/session/providers", (route) => route.fulfill({ json: { items: [{ name: "Acme", begin: "/api/v1/session/oidc" }] } }));
    const out = await open(browser, service, "/sign-in", { context: nobody });
    await out.getByRole("link", { name: "Sign in with Acme" }).waitFor();
    assert.deepEqual(await axe(out), []);
    await nobody.close();
  }
  await context.close();
});

test("the first page is small, and needs nobody else", async (t) => {
  const context = await signedIn({ viewport: { width: 1280, height: 800 } });
  const page = await context.newPage();
  const session = await context.newCDPSession(page);
  await session.send("Network.enable");
  const requests = new Map();
  session.on("Network.requestWillBeSent", ({ requestId, request, type }) => requests.set(requestId, { url: request.url, type, bytes: 0 }));
  session.on("Network.loadingFinished", ({ requestId, encodedDataLength }) => requests.has(requestId) && (requests.get(requestId).bytes = encodedDataLength));
  await page.goto(`${service.url}/workspaces/${ids.workspace}/runs`);
  await page.locator("[data-run]").first().waitFor();
  const paint = await page.evaluate(() => Object.fromEntries(performance.getEntriesByType("paint").map((it) => [it.name, Math.round(it.startTime)])));
  const sizes = [...requests.values()];
  const script = sizes.filter((it) => it.url.endsWith(".js")).reduce((sum, it) => sum + it.bytes, 0);
  const all = sizes.reduce((sum, it) => sum + it.bytes, 0);
  t.diagnostic(JSON.stringify({ scriptBytes: script, allBytes: all, requests: sizes.length, paint }));
  assert.ok(script > 0 && script <= 150_000, `${script} bytes of scripts`);
  assert.deepEqual(sizes.filter((it) => !it.url.startsWith(service.url)).map((it) => it.url), []);
  await context.close();
});
