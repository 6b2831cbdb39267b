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

/** Pages wait for the service more than for a core: several at once. */
async function onEach(pages, look) {
  const left = [...pages];
  const next = async () => {
    for (let one = left.shift(); one; one = left.shift()) await look(...one);
  };
  await Promise.all([next(), next(), next()]);
}

for (const colorScheme of ["light", "dark"]) {
  for (const [size, viewport] of [["wide", { width: 1280, height: 800 }], ["phone", { width: 390, height: 844 }]]) {
    test(`axe finds nothing on any page, ${colorScheme}, ${size}`, async () => {
      const context = await signedIn({ viewport, colorScheme, isMobile: size === "phone", hasTouch: size === "phone" });
      const nobody = await browser.newContext({ viewport, colorScheme });
      const problems = [];
      await onEach(PAGES, async (name, path, text, { signedOut } = {}) => {
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
      });
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

/** The texts of a table's cells, row by row; times and durations have tests of their own. */
const cellsOf = (table) => table.locator("tbody tr").evaluateAll((rows) => rows.map((row) => [...row.cells].map((cell) => cell.innerText.replace(/\s+/g, " ").trim())));
const factsOf = (list) => list.evaluate((it) => Object.fromEntries([...it.querySelectorAll("dt")].map((term) => [term.textContent, term.nextElementSibling.innerText.trim()])));
const many = (value) => value.toLocaleString("en");
const money = (usd) => `$${usd.split(".")[0]}.${(usd.split(".")[1] ?? "").replace(/0+$/, "").padEnd(2, "0")}`;
const plural = (count, one) => `${many(count)} ${one}${count === 1 ? "" : "s"}`;
const short = (id) => `${id.split("_")[0]}_…${id.slice(-6)}`;

test("every cell of every table, and every fact of a header, is the interface's", async () => {
  const context = await signedIn({ viewport: { width: 1280, height: 800 } });
  const page = await open(browser, service, "/workspaces", { context });
  const goto = async (path, text) => {
    await page.goto(service.url + path);
    await page.getByText(text).first().waitFor();
  };
  const cut = (rows, from, to) => rows.map((cells) => cells.slice(from, to));
  const base = `workspaces/${ids.workspace}`;

  const workspaces = (await service.get("workspaces?perPage=100")).items;
  await page.locator("[data-workspace]").first().waitFor();
  assert.deepEqual(cut(await cellsOf(page.getByRole("region", { name: "Workspaces" })), 0, 3), workspaces.map((it) => [it.name, it.slug, short(it.id)]));

  await goto(`/${base}/configurations`, "Roster");
  const configurations = (await service.get(`${base}/configurations?perPage=100`)).items;
  assert.deepEqual(cut(await cellsOf(page.getByRole("region", { name: "Configurations" })), 0, 1), configurations.map((it) => [it.display_name]));
  assert.deepEqual(await page.locator("tbody [data-status]").evaluateAll((all) => all.map((it) => it.dataset.status)), configurations.map((it) => it.status));
  await goto(`/${base}/configurations/${ids.configuration}`, "manifest.json");
  const files = (await service.get(`${base}/configurations/${ids.configuration}/files?depth=infinity&sort=path&limit=5000`)).entries;
  assert.deepEqual(await page.getByRole("navigation", { name: "Files" }).getByRole("listitem").allInnerTexts(), files.map((it) => it.name + (it.kind === "dir" ? "/" : "")));
  await page.getByRole("button", { name: "pyproject.toml" }).click();
  const content = await service.get(`${base}/configurations/${ids.configuration}/files/pyproject.toml?format=json`);
  await until("the file is shown", async () => (await page.getByLabel("Content of pyproject.toml").inputValue()) === content.content);

  const run = await service.get(`runs/${ids.run}`);
  await goto(`/runs/${ids.run}?tab=tables`, "Column of the source");
  const facts = await factsOf(page.locator("dl.facts").first());
  assert.equal(facts.Found, `${plural(run.row_count, "row")} in ${plural(run.table_count, "table")}`);
  assert.equal(facts.Engine, run.engine_version);
  assert.equal(facts.Issues, String((await service.get(`runs/${ids.run}/summary`)).core.validation_issue_count_total));
  const tables = (await service.get(`runs/${ids.run}/events?types=run.table.summary&limit=1000`)).items.filter((it) => it.type === "run.table.summary");
  const letter = (index) => String.fromCharCode(65 + index);
  for (const [at, { payload }] of tables.entries()) {
    const shown = page.getByRole("region", { name: `Table ${at + 1}, ` });
    assert.match(await shown.locator("header").innerText(), new RegExp(`${plural(payload.row_count, "row")} · ${plural(payload.column_count, "column")}`));
    const mapped = payload.mapping.mapped_columns.map((it) => [it.field, it.source_column_index < 0 ? "not found" : `${letter(it.source_column_index)} ${it.header}`, it.source_column_index < 0 ? "" : many(it.score)]);
    const others = payload.mapping.unmapped_columns.map((it) => [`no field, kept as ${it.output_header}`, `${letter(it.source_column_index)} ${it.header}`, ""]);
    assert.deepEqual(cut(await cellsOf(shown), 0, 3), [...mapped, ...others]);
  }
  await goto(`/runs/${ids.run}?tab=outputs`, "normalized.xlsx");
  const { files: outputs } = await service.get(`runs/${ids.run}/outputs`);
  const kilobytes = (size) => (size < 1000 ? `${size} B` : `${(size / 1000).toFixed(1)} KB`);
  assert.deepEqual(cut(await cellsOf(page.getByRole("region", { name: "Outputs" })), 0, 3), outputs.map((it) => [it.name, it.kind.replaceAll("_", " "), kilobytes(it.byte_size)]));
  await goto(`/runs/${ids.faulty}?tab=validation`, "bad_email");
  const issues = (await service.get(`runs/${ids.faulty}/events?types=run.validation.issue&limit=1000`)).items.filter((it) => it.type === "run.validation.issue");
  assert.deepEqual(await cellsOf(page.getByRole("region", { name: "Issues" })), issues.map(({ payload: it }) => [it.severity, it.field ?? "", it.row == null ? "" : `row ${it.row}`, `${it.message} ${it.code}`]));
  await goto(`/runs/${ids.run}`, "run succeeded");
  const end = await service.get(`runs/${ids.run}/events?limit=1000`);
  assert.equal(await page.locator("[data-lines]").getAttribute("data-lines"), String(end.last_sequence));

  await goto(`/executions/${ids.execution}?tab=costs`, "By call");
  await until("both tables are there", async () => (await page.locator("#panel table").count()) === 2);
  const execution = await service.get(`executions/${ids.execution}`);
  const header = await factsOf(page.locator("dl.facts").first());
  assert.deepEqual([header.Cost, header.Calls, header.Tokens], [money(execution.totals.cost_usd), many(execution.totals.calls), `${many(execution.totals.input_tokens)} in, ${many(execution.totals.output_tokens)} out`]);
  const costs = await service.get(`telemetry/executions/${ids.execution}/costs`);
  const steps = await cellsOf(page.getByRole("region", { name: "Costs by step" }));
  const inAll = ["In all", "", many(costs.calls), many(costs.input_tokens), many(costs.output_tokens)];
  assert.deepEqual(cut(steps, 0, 5), [...costs.steps.map((it) => [it.step_id.replaceAll("_", " "), it.model, many(it.calls), many(it.input_tokens), many(it.output_tokens)]), inAll]);
  assert.deepEqual(steps.map((cells) => cells.at(-1)), [...costs.steps.map((it) => money(it.cost_usd)), money(costs.total_cost_usd)]);
  const calls = (await service.get(`executions/${ids.execution}/events?types=llm_call&limit=1000`)).items.filter((it) => it.type === "llm_call");
  assert.deepEqual((await cellsOf(page.getByRole("region", { name: "Calls" }))).map((cells) => [cells[1], cells[3], cells.at(-1)]),
    calls.map(({ payload: it }) => [it.model, `${many(it.input_tokens)} / ${many(it.output_tokens)}`, money(it.cost_usd)]));
  await goto(`/executions/${ids.execution}`, "A plan for each");
  const stored = await service.get(`executions/${ids.execution}/steps`);
  assert.deepEqual((await cellsOf(page.getByRole("region", { name: "Steps" }).last())).map((cells) => [cells[2], cells[4], cells[5]]),
    stored.map((it) => [it.attempt ? String(it.attempt) : "", money(it.cost_usd), it.document_id ? `version ${it.version}` : ""]));

  await goto(`/${base}/costs`, "By day");
  const sums = await service.get(`telemetry/summary?workspace_id=${ids.workspace}`);
  const all = await factsOf(page.getByRole("region", { name: "In all" }).locator("dl"));
  assert.deepEqual([all.Executions, all["Tokens in"], all["Tokens out"], all["For each execution"]],
    [many(sums.totals.executions), many(sums.totals.input_tokens), many(sums.totals.output_tokens), money(sums.averages.cost_per_execution)]);
  const sorted = (rows) => rows.sort((a, b) => String(a).localeCompare(String(b)));
  assert.deepEqual(sorted(await cellsOf(page.getByRole("region", { name: "By workflow" }))), sorted(sums.by_workflow.map((it) => [it.workflow_id, many(it.executions), many(it.calls), money(it.cost_usd)])));
  assert.deepEqual(sorted(await cellsOf(page.getByRole("region", { name: "By model" }))), sorted(sums.by_model.map((it) => [`${it.model} ${it.provider}`, many(it.calls), many(it.input_tokens), many(it.output_tokens), money(it.cost_usd)])));

  await goto("/system?tab=keys", "dashboard");
  const keys = (await service.get("api-keys")).items;
  assert.deepEqual(cut(await cellsOf(page.getByRole("region", { name: "Keys" })), 0, 4), keys.map((it) => [`${it.name} ${short(it.id)}`, it.role, it.workspaces ? "local" : "all", "active"]));
  await goto("/system?tab=audit", "POST");
  const { last_sequence: last } = await service.get("audit?limit=1");
  const entries = (await service.get(`audit?after_sequence=${Math.max(0, last - 100)}&limit=100`)).items.reverse();
  assert.deepEqual(await cellsOf(page.getByRole("region", { name: "Audit log" })).then((rows) => rows.map((cells) => [cells[0], cells[4], cells[5]])), entries.map((it) => [String(it.sequence), `${it.method} ${it.path}`, String(it.status)]));
  await goto("/system", "Health");
  const ready = await (await fetch(`${service.url}/health/ready`)).json();
  await until("health is read", async () => (await page.getByRole("region", { name: "Health" }).locator("tbody tr").count()) === ready.components.length);
  assert.deepEqual(cut(await cellsOf(page.getByRole("region", { name: "Health" })), 0, 1), ready.components.map((it) => [it.name.replaceAll("_", " ")]));
  const { actors } = await service.get("system/actors");
  await page.locator(`[data-actors="${actors.length}"]`).waitFor();
  await page.getByText("Nothing waits").waitFor();
  assert.deepEqual(cut(await cellsOf(page.getByRole("region", { name: "Actors" })), 2, 4), actors.map(({ work, stream }) => [work ? String(work.generation) : "", many(stream.sequence)]));
  // As a service is that has more to do than it may do at once.
  const waiting = ["waiting for a slot", "waiting for its turn", "running the engine"].map((stage, at) => ({ ...actors[0], id: `run_${at}`, work: { ...actors[0].work, stage } }));
  await page.route("**/system/actors", (route) => route.fulfill({ json: { actors: waiting, runs: 2, builds: 1, executions: 0, maintenance: null } }));
  await page.locator('[data-queue="2"]').filter({ hasText: "2 in the queue" }).waitFor();
  await page.getByText("no maintenance").waitFor();
  assert.deepEqual(page.faults, []);
  await context.close();
});

for (const [colorScheme, size, viewport] of [["light", "wide", { width: 1280, height: 800 }], ["dark", "phone", { width: 390, height: 844 }]]) {
  test(`the nodes of a cluster are shown where there are several, and which are not at work, ${colorScheme}, ${size}`, async () => {
    const context = await signedIn({ viewport, colorScheme, isMobile: size === "phone", hasTouch: size === "phone" });
    const page = await open(browser, service, "/workspaces", { context });
    const region = page.getByRole("region", { name: "Nodes" });
    const reads = () => page.waitForResponse((answer) => answer.url().endsWith("/api/v1/system/nodes") && answer.ok());
    const alone = await service.get("system/nodes");
    assert.equal(alone.total, 1);
    await Promise.all([reads(), page.goto(`${service.url}/system`)]);
    await page.getByText("Nothing waits").waitFor();
    // The second answer comes after the first has been shown, or would have been.
    await reads();
    assert.equal(await region.count(), 0, "a node that is alone is no cluster");

    const [own] = alone.items;
    const seen = (seconds) => new Date(Date.now() - seconds * 1000).toISOString();
    const another = (name, state, alive, seconds) => ({ ...own, node_id: own.node_id.slice(0, -1) + name, name, address: `http://${name}.ade.internal:8000`, state, alive, is_self: false, seen_at: seen(seconds) });
    let nodes = [
      { ...own, name: "a", address: "http://a.ade.internal:8000" }, another("b", "draining", true, 1), another("c", "serving", false, 600),
      another("d", "lost", false, 7300), another("e", "stopped", false, 90_000),
    ];
    await page.route("**/system/nodes", (route) => route.fulfill({ json: { items: nodes, total: nodes.length } }));
    // Without being loaded anew, as the other parts of the page.
    await page.locator('[data-nodes="5"]').filter({ hasText: "2 of 5 alive" }).waitFor();
    const rows = [["a this one", "serving"], ["b", "draining"], ["c", "serving not alive"], ["d", "lost not alive"], ["e", "stopped not alive"]];
    assert.deepEqual((await cellsOf(region)).map((cells) => cells.slice(0, 2)), rows);
    assert.deepEqual(await region.locator("tbody .chip").evaluateAll((all) => all.map((it) => it.classList.contains("warn"))), [false, false, true, true, true]);
    assert.deepEqual((await cellsOf(region)).map((cells) => cells[5]).slice(2), ["10 min ago", "2 h ago", "1 d ago"]);
    const addresses = region.getByText(/ade[.]internal/);
    if (size === "wide") assert.deepEqual((await cellsOf(region)).map((cells) => cells.slice(2, 4)), nodes.map((it) => [it.address, it.version]));
    else assert.equal(await addresses.first().isVisible(), false, "a phone has no room for them");
    assert.deepEqual(await axe(page), []);
    assert.ok(await region.evaluate((it) => [it, it.querySelector("table")].every((one) => one.getBoundingClientRect().right <= innerWidth)), "all of it is seen without scrolling");
    await picture(page, `system-nodes-${colorScheme}${size === "phone" ? "-phone" : ""}`);

    nodes = [nodes[0], { ...nodes[2], alive: true }];
    await page.locator('[data-nodes="2"]').filter({ hasText: "2 of 2 alive" }).waitFor();
    assert.equal(await region.locator(".warn").count(), 0);
    nodes = nodes.slice(0, 1);
    await region.waitFor({ state: "detached" });
    assert.deepEqual(page.faults, []);
    await context.close();
  });
}

/** What the page itself needs before it can show that something else is missing. */
const FRAME = /\/api\/v1\/(session|session\/.*|workspaces\?perPage=200)$/;
const ITSELF = /\/api\/v1\/(runs|builds|executions|documents|workspaces\/[^/]+\/configurations)\/[^/?]+(\?version=|\?version|$)|\/events\?tail=1/;

test("what cannot be read is said to be so, on every page, and read when somebody tries again", async () => {
  const context = await signedIn({ viewport: { width: 390, height: 844 } });
  const problems = [];
  const answered = new Set();
  await context.route("**/{api,health}/**", (route) => {
    const url = route.request().url();
    const page = route.request().frame().page();
    const isPart = new URL(page.url()).searchParams.has("tab");
    return answered.has(page) || FRAME.test(url) || (isPart && ITSELF.test(url)) ? route.continue() : route.abort("connectionrefused");
  });
  const pages = PAGES.filter(([name]) => !["sign-in", "no-page", "not-found"].includes(name));
  await onEach(pages, async (name, path, text) => {
    const page = await open(browser, service, path(), { context });
    const alert = page.getByRole("alert").filter({ hasText: /does not answer/ }).first();
    await alert.waitFor({ timeout: 10_000 }).catch(() => problems.push(`${name}: says nothing`));
    for (const problem of await axe(page)) problems.push(`${name}: ${problem}`);
    answered.add(page);
    // All at once: one that is read takes the others' places.
    const again = async () => {
      await page.getByRole("button", { name: "Try again" }).evaluateAll((all) => all.forEach((one) => one.click()));
      return page.getByText(text).first().isVisible();
    };
    await until("it is read", again, 10).catch(() => problems.push(`${name}: is not there when somebody tries again`));
    problems.push(...page.faults.map((fault) => `${name}: ${fault}`));
    await page.close();
  });
  await context.close();
  assert.deepEqual(problems, []);
});

test("what is being read is said to be so, and what there is none of", async () => {
  const empty = (await service.call("POST", "workspaces", { name: "Empty" })).id;
  const context = await signedIn({ viewport: { width: 1280, height: 800 }, colorScheme: "dark" });
  const problems = [];
  for (const [name, text] of [["runs", "No runs yet"], ["builds", "No builds yet"], ["executions", "No executions yet"], ["configurations", "No configurations yet"], ["costs", "No calls in these days"]]) {
    const page = await open(browser, service, "/workspaces", { context });
    await page.locator(`[data-workspace="${empty}"]`).waitFor();
    let release;
    const held = new Promise((then) => (release = then));
    await page.route(/\/api\/v1\/(workspaces\/.*|executions\?.*|telemetry.*)$/, async (route) => {
      await held;
      await route.continue().catch(() => {});
    });
    await page.goto(`${service.url}/workspaces/${empty}/${name}`);
    await page.getByText("Loading", { exact: true }).first().waitFor({ state: "attached", timeout: 10_000 }).catch(() => problems.push(`${name}: does not say that it waits`));
    if (await page.getByText(text).count()) problems.push(`${name}: says that there is nothing before it knows`);
    release();
    await page.getByText(text).first().waitFor({ timeout: 10_000 }).catch(() => problems.push(`${name}: does not say that there is nothing`));
    for (const problem of await axe(page)) problems.push(`${name}: ${problem}`);
    problems.push(...page.faults.map((fault) => `${name}: ${fault}`));
    await page.close();
  }
  await context.close();
  assert.deepEqual(problems, []);
});

test("an output is downloaded, and every tab of a run is read, by keyboard alone", async () => {
  const context = await signedIn({ viewport: { width: 1280, height: 800 }, acceptDownloads: true });
  const page = await open(browser, service, `/runs/${ids.run}`, { context });
  await page.getByText("run succeeded").waitFor();
  const focused = (what) => page.evaluate(() => `${document.activeElement?.getAttribute("role") ?? document.activeElement?.tagName} ${document.activeElement?.textContent.trim()}`).then((it) => what.test(it));
  const tabTo = async (what) => {
    for (let at = 0; at < 40 && !(await focused(what)); at += 1) await page.keyboard.press("Tab");
    assert.ok(await focused(what), `no way to ${what}`);
  };
  await tabTo(/^A Download$/);
  const [download] = await Promise.all([page.waitForEvent("download"), page.keyboard.press("Enter")]);
  const [output] = (await service.get(`runs/${ids.run}/outputs`)).files;
  assert.equal(readFileSync(await download.path()).length, output.byte_size);
  await tabTo(/^tab Console/);
  for (const [name, text] of [["Tables", "Column of the source"], ["Validation", "No issues"], ["Preview", "changed"], ["Outputs", "normalized.xlsx"], ["Diagnostics", "Command"]]) {
    await page.keyboard.press("ArrowRight");
    await until(`${name} has the focus`, () => focused(new RegExp(`^tab ${name}`)));
    await page.locator("#panel").getByText(text).first().waitFor();
  }
  assert.deepEqual(page.faults, []);
  await context.close();
});

test("the chosen tab is seen on a phone, and so is what is done with a row", async () => {
  const context = await signedIn({ viewport: { width: 390, height: 844 } });
  const page = await open(browser, service, `/runs/${ids.run}?tab=diagnostics`, { context });
  const isSeen = (it) => it.evaluate((one) => { const { left, right } = one.getBoundingClientRect(); return left >= 0 && right <= innerWidth; });
  await page.getByText("Command").first().waitFor();
  await until("the tab is seen", () => isSeen(page.getByRole("tab", { name: "Diagnostics" })));
  await page.goto(`${service.url}/runs/${ids.run}?tab=outputs`);
  await until("the download is seen", () => isSeen(page.locator("#panel").getByRole("link", { name: "Download" }).first()));
  await page.goto(`${service.url}/system?tab=keys`);
  await until("a key is revoked without looking for how", () => isSeen(page.getByRole("button", { name: "Revoke" }).first()));
  await context.close();
});

for (const colorScheme of ["light", "dark"]) {
  test(`nothing is wrong with dialogs and the help either, ${colorScheme}`, async () => {
    const context = await signedIn({ viewport: { width: 1280, height: 800 }, colorScheme });
    const page = await open(browser, service, `/workspaces/${ids.workspace}/runs`, { context });
    const problems = [];
    const check = async (name) => {
      await page.getByRole("dialog", { name }).waitFor();
      for (const problem of await axe(page)) problems.push(`${name}: ${problem}`);
    };
    await page.locator("[data-run]").first().waitFor();
    await page.keyboard.press("?");
    await check("Keys");
    await picture(page, `help-${colorScheme}`);
    await page.keyboard.press("Escape");
    await page.keyboard.press("n");
    await check("Start a run");
    const base = `/workspaces/${ids.workspace}`;
    for (const [path, button, name] of [
      ["/workspaces", "New workspace", "New workspace"], [`${base}/configurations`, "New configuration", "New configuration"],
      [`${base}/executions`, "Start an execution", "Start an execution"], ["/system?tab=keys", "New key", "New key"],
      [`/executions/${ids.execution}?tab=costs`, "summary", "A call for summary"],
    ]) {
      await page.goto(service.url + path);
      await page.getByRole("button", { name: button, exact: true }).first().click();
      if (button === "summary") await page.getByRole("region", { name: "user" }).waitFor();
      await check(name);
    }
    await picture(page, `call-${colorScheme}`);
    await page.setViewportSize({ width: 390, height: 844 });
    for (const problem of await axe(page)) problems.push(`a call on a phone: ${problem}`);
    await picture(page, `call-${colorScheme}-phone`);
    const nobody = await browser.newContext({ colorScheme });
    await nobody.route("**/api/v1/session/providers", (route) => route.fulfill({ json: { items: [{ name: "Acme", begin: "/api/v1/session/oidc" }] } }));
    const out = await open(browser, service, "/sign-in", { context: nobody });
    await out.getByRole("link", { name: "Sign in with Acme" }).waitFor();
    problems.push(...(await axe(out)), ...page.faults);
    await nobody.close();
    await context.close();
    assert.deepEqual(problems, []);
  });
}

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
