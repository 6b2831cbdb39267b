// What people do with the console, in a real browser against the real program.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { drop, FIXTURES, launch, open, ROOT, Service, statusOf, until } from "./support.mjs";

let browser;
/** Without sign-in, with an environment; and one with sign-in. Tests have what they make to themselves, and neither ends. */
let service;
let secured;
let workspace;
let configuration;
let securedConfiguration;

before(async () => {
  browser = await launch();
  [service, secured] = await Promise.all([Service.start(), Service.start({ auth: "on" })]);
  ({ workspace, configuration } = await service.furnish());
  securedConfiguration = await secured.configure(await secured.workspace());
});
after(async () => {
  await browser?.close();
  await service?.end();
  await secured?.end();
});

test("a workbook that is dropped builds, runs to success, and its output is downloaded", async () => {
  const service = await Service.start({ engine: "builtin" });
  try {
    const workspace = await service.workspace();
    await service.configure(workspace);
    const page = await open(browser, service);
    await page.getByText("No runs yet").waitFor();
    await drop(page, "roster.xlsx", readFileSync(join(FIXTURES, "roster.xlsx")));
    await page.waitForURL("**/runs/run_*");
    const run = new URL(page.url()).pathname.split("/")[2];
    await until("the build is seen", async () => (await page.getByRole("list", { name: "Phases" }).innerText()).includes("Build"));
    await until("it has succeeded", async () => (await statusOf(page)) === "succeeded", 180);

    // What the page says is what the interface says.
    const resource = await service.get(`runs/${run}`);
    await page.getByText(`${resource.row_count} rows in ${resource.table_count} table`).waitFor();
    const outputs = await service.get(`runs/${run}/outputs`);
    await page.getByRole("tab", { name: "Outputs" }).click();
    await until("every output is listed", async () => (await page.getByRole("row").count()) === outputs.files.length + 1);
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "Download", exact: true }).first().click()]);
    const bytes = readFileSync(await download.path());
    assert.equal(bytes.length, outputs.files[0].byte_size);

    await page.getByRole("tab", { name: "Tables" }).click();
    await page.getByText("member_id").first().waitFor();
    await page.getByRole("tab", { name: "Preview" }).click();
    await page.getByRole("table", { name: /Output, sheet/ }).waitFor();
    assert.ok((await page.getByRole("table", { name: /Input, sheet/ }).innerText()).length > 20);
    await page.getByRole("tab", { name: "Diagnostics" }).click();
    await page.getByText("ade_engine").first().waitFor();

    await page.getByRole("link", { name: "Runs", exact: true }).first().click();
    await page.getByRole("link", { name: "roster.xlsx" }).waitFor();
    assert.deepEqual(page.faults, []);
    await page.context().close();
  } finally {
    await service.end();
  }
});

test("a run is cancelled, and run again", async () => {
  const run = await service.run(workspace, configuration, "print at work\nwait /nowhere\n");
  const page = await open(browser, service, `/runs/${run}`);
  await page.getByText("at work").waitFor({ timeout: 240_000 });
  await page.getByRole("button", { name: "Cancel" }).click();
  await until("it is cancelled", async () => (await statusOf(page)) === "cancelled");
  assert.equal((await service.get(`runs/${run}`)).status, "cancelled");
  await page.getByRole("button", { name: "Run again" }).click();
  await page.waitForFunction((before) => !location.pathname.includes(before), run);
  const next = new URL(page.url()).pathname.split("/")[2];
  assert.equal((await service.get(`runs/${next}`)).retry_of_run_id, run);
  await service.call("POST", `runs/${next}/cancel`, {});
  assert.deepEqual(page.faults, []);
  await page.context().close();
});

test("the questions of a step are answered, and the execution goes on to its end", async () => {
  const body = { workspace_id: workspace, workflow_id: "brief-to-plan", scope_type: "project", scope_id: "42", input: { brief: { goal: "grow" } } };
  const execution = (await service.call("POST", "executions", body)).execution_id;
  const page = await open(browser, service, `/executions/${execution}`);
  const form = page.getByRole("region", { name: /Questions of/ });
  await form.waitFor();
  await form.getByRole("button", { name: "Answer" }).click();
  await form.getByText("This needs an answer.").waitFor();
  const [pending] = (await service.get(`executions/${execution}`)).pending;
  assert.equal(await form.locator("[data-question]").count(), pending.questions.length);
  for (const question of pending.questions.filter((it) => it.required)) {
    await form.locator(`[data-question="${question.id}"] textarea`).fill("The people who read it");
  }
  await form.getByRole("radio").first().check();
  await form.getByRole("button", { name: "Answer" }).click();
  await until("it has completed", async () => (await statusOf(page)) === "completed");

  const resource = await until("the totals are final", async () => {
    const found = await service.get(`executions/${execution}`);
    return found.completed_at ? found : undefined;
  });
  await until("the page has the same cost", async () => (await page.locator("[data-cost]").getAttribute("data-cost")) === resource.totals.cost_usd);
  const steps = await service.get(`executions/${execution}/steps`);
  assert.equal(await page.locator("[data-step-row]").count(), steps.length);
  await page.getByRole("tab", { name: "Costs" }).click();
  const costs = await service.get(`telemetry/executions/${execution}/costs`);
  await until("the sum is the ledger's", async () => (await page.locator("[data-total-cost]").getAttribute("data-total-cost")) === costs.total_cost_usd);
  // What a call was told is shown on demand.
  const workflow = await service.get(`workflows/brief-to-plan?workspace_id=${workspace}`);
  await page.getByRole("region", { name: "Calls" }).getByRole("button", { name: "summary" }).first().click();
  const call = page.getByRole("dialog", { name: "A call for summary" });
  const id = await call.getByText(/^call_/).innerText();
  const prompt = await service.get(`executions/${execution}/calls/${id}/prompt`);
  assert.deepEqual(prompt.messages.map((it) => it.role), ["system", "user"]);
  for (const { role, text } of prompt.messages) {
    const shown = call.getByRole("region", { name: role }).locator("pre");
    await shown.waitFor();
    assert.equal(await shown.evaluate((it) => it.textContent), text);
  }
  assert.ok(prompt.messages[1].text.includes(workflow.prompts.tasks.summary));
  await page.keyboard.press("Escape");
  await call.waitFor({ state: "detached" });
  // Of a long one there is a part; of one that is not kept, what it was made of.
  const long = { ...prompt, left_out_bytes: 7, messages: [{ role: "user", text: "x".repeat(300_000) }] };
  await page.route("**/prompt", (route) => route.fulfill({ json: long }));
  await page.getByRole("region", { name: "Calls" }).getByRole("button", { name: "summary" }).first().click();
  await call.getByText("260,000 characters more are not shown.").waitFor();
  assert.equal((await call.locator("pre").evaluate((it) => it.textContent)).length, 40_000);
  await page.keyboard.press("Escape");
  await page.unrouteAll();
  await page.route("**/prompt", (route) => route.fulfill({ status: 404, json: { code: "not_found", title: "Not found", status: 404, detail: "no" } }));
  await page.getByRole("region", { name: "Calls" }).getByRole("button", { name: "summary" }).first().click();
  await call.getByRole("region", { name: "Role" }).waitFor();
  await page.unrouteAll();
  assert.equal(await call.getByRole("region", { name: "Role" }).locator("pre").innerText(), workflow.prompts.roles.editor);
  assert.equal(await call.getByRole("region", { name: "Task" }).locator("pre").innerText(), workflow.prompts.tasks.summary);
  await page.keyboard.press("Escape");
  await call.waitFor({ state: "detached" });
  await page.getByRole("tab", { name: "Documents" }).click();
  const documents = await service.get(`documents?workspace_id=${workspace}&execution_id=${execution}&perPage=200`);
  await until("every document is listed", async () => (await page.locator("#panel tbody tr").count()) === documents.total);
  await page.locator("#panel tbody a").first().click();
  await page.getByRole("list", { name: "Content" }).getByRole("listitem").first().waitFor();
  await page.goto(`${service.url}/workspaces/${workspace}/costs`);
  await page.getByRole("button", { name: "brief-to-plan" }).click();
  const stats = await service.get(`telemetry/workflows/brief-to-plan/stats?workspace_id=${workspace}`);
  const rates = page.getByRole("region", { name: "Executions of brief-to-plan" });
  assert.equal(await rates.locator("[data-executions]").getAttribute("data-executions"), String(stats.executions.total));
  assert.equal(await rates.locator("[data-clarification-rate]").innerText(), "100.0 %");
  assert.equal(await rates.locator("[data-retry-rate]").innerText(), "0.0 %");
  assert.deepEqual(page.faults, []);
  await page.context().close();
});

test("a step's document is sent back with a comment, written anew, and accepted", async () => {
  const definition = JSON.parse(readFileSync(join(ROOT, "src/assets/workflows/brief-to-plan.json"), "utf8"));
  const [step] = definition.steps;
  const steps = [{ ...step, allow_clarification: false, is_final: true, acceptance: { required: true } }];
  definition.prompts.tasks.requirements = "Write the requirements that follow from the brief.";
  await service.call("POST", `workflows?workspace_id=${workspace}`, { ...definition, workflow_id: "accepted", steps });
  const body = { workspace_id: workspace, workflow_id: "accepted", scope_type: "project", scope_id: "7", input: { brief: { goal: "grow" } } };
  const execution = (await service.call("POST", "executions", body)).execution_id;
  const page = await open(browser, service, `/executions/${execution}`);
  const decision = page.getByRole("region", { name: `Decision on ${step.step_id}` });
  await decision.getByRole("link", { name: "Read requirements, version 1" }).waitFor();
  await decision.getByLabel("Comment").fill("It says nothing of the costs.");
  await decision.getByRole("button", { name: "Reject" }).click();
  const second = decision.getByRole("link", { name: "Read requirements, version 2" });
  await second.waitFor({ timeout: 120_000 });
  const href = await second.getAttribute("href");
  const [pending] = (await service.get(`executions/${execution}`)).pending;
  assert.equal(href, `/documents/${pending.document.document_id}?version=2`);
  await decision.getByRole("button", { name: "Accept" }).click();
  await until("it has completed", async () => (await statusOf(page)) === "completed");
  const { items } = await service.get(`executions/${execution}/events?types=acceptance_given`);
  const given = items.filter((it) => it.type === "acceptance_given").map(({ payload }) => [payload.accepted, payload.comment ?? null, payload.version]);
  assert.deepEqual(given, [[false, "It says nothing of the costs.", 1], [true, null, 2]]);
  assert.deepEqual(page.faults, []);
  await page.context().close();
});

test("a draft is published, and the builds of all configurations stand in one list", async () => {
  const base = `workspaces/${workspace}/configurations`;
  const draft = (await service.call("POST", base, { display_name: "Next", source: { type: "clone", configuration_id: configuration } })).id;
  const page = await open(browser, service, `/${base}/${draft}`);
  page.on("dialog", (dialog) => dialog.accept());
  await page.getByRole("button", { name: "Publish" }).click();
  await until("it is published", async () => (await statusOf(page)) === "published");
  assert.equal((await service.get(`${base}/${draft}`)).status, "published");
  assert.equal(await page.getByRole("button", { name: "Publish" }).count(), 0);

  const other = (await service.call("POST", `${base}/${draft}/builds`, { options: { wait: true } })).id;
  await page.goto(`${service.url}/workspaces/${workspace}/builds`);
  await page.locator(`[data-build="${other}"]`).waitFor();
  const all = await service.get(`workspaces/${workspace}/builds`);
  const shown = () => page.locator("[data-build]").evaluateAll((links) => links.map((link) => link.dataset.build));
  assert.deepEqual(await shown(), all.items.map((it) => it.id));
  assert.equal(new Set(all.items.map((it) => it.configuration_id)).size, 2);
  await page.getByLabel("Configuration").selectOption(configuration);
  await until("only its own are left", async () => (await page.locator(`[data-build="${other}"]`).count()) === 0);
  assert.deepEqual(await shown(), (await service.get(`${base}/${configuration}/builds`)).items.map((it) => it.id));
  assert.deepEqual(page.faults, []);
  await page.context().close();
});

test("by keyboard alone: sign in, start a run, watch it, cancel it, answer a question, sign out", async () => {
  const workspace = await secured.workspace();
  const page = await open(browser, secured);
  const focused = () => page.evaluate(() => {
    const it = document.activeElement;
    return `${it?.tagName} ${it?.getAttribute("aria-label") ?? it?.textContent?.trim().slice(0, 40) ?? ""}`;
  });
  /** Goes on to what has this name; whatever has the focus on the way can be seen to have it. */
  const tabTo = async (wanted, key = "Tab") => {
    for (let at = 0; at < 60; at += 1) {
      if (wanted.test(await focused())) {
        const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
        assert.notEqual(outline, "none", `the focus is seen on ${await focused()}`);
        return;
      }
      await page.keyboard.press(key);
    }
    assert.fail(`no way to ${wanted}`);
  };
  // The browser is to know long before the key is pressed that its choosers are told of and not shown.
  page.on("filechooser", () => {});
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  await until("the field has the focus", async () => /^INPUT/.test(await focused()));
  await page.keyboard.type(secured.key);
  await page.keyboard.press("Enter");
  await page.getByText("No runs yet").waitFor();

  await page.keyboard.press("n");
  await page.getByRole("dialog", { name: "Start a run" }).waitFor();
  await tabTo(/^INPUT/);
  const [chooser] = await Promise.all([page.waitForEvent("filechooser"), page.keyboard.press("Enter")]);
  await chooser.setFiles({ name: "script.txt", mimeType: "text/plain", buffer: Buffer.from("print at work\nsleep 600\n") });
  await tabTo(/^BUTTON Start/);
  await page.keyboard.press("Enter");
  await page.waitForURL("**/runs/run_*");
  await page.getByText("at work").waitFor({ timeout: 240_000 });
  await page.keyboard.press("/");
  await page.keyboard.type("at work");
  await page.keyboard.press("Enter");
  await page.locator('[data-lines="1"]').waitFor();
  await page.keyboard.press("Escape");
  await page.evaluate(() => document.activeElement.blur());
  await tabTo(/^BUTTON Cancel/);
  await page.keyboard.press("Enter");
  await until("it is cancelled", async () => (await statusOf(page)) === "cancelled");
  await tabTo(/^BUTTON Console/);
  await page.keyboard.press("ArrowRight");
  await page.getByRole("tab", { name: "Tables", selected: true }).waitFor();
  await page.keyboard.press("g");
  await page.keyboard.press("r");
  await page.locator("[data-run]").first().waitFor();
  await page.keyboard.press("j");
  await page.keyboard.press("k");
  await page.keyboard.press("Enter");
  await page.waitForURL("**/runs/run_*");

  const body = { workspace_id: workspace, workflow_id: "brief-to-plan", scope_type: "project", scope_id: "42", input: { brief: { goal: "grow" } } };
  await secured.call("POST", "executions", body);
  await page.keyboard.press("g");
  await page.keyboard.press("e");
  await page.locator("[data-execution]").first().waitFor();
  await page.keyboard.press("Enter");
  await page.getByRole("region", { name: /Questions of/ }).waitFor();
  await tabTo(/^TEXTAREA/);
  await page.keyboard.type("The people who read it");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Space");
  await tabTo(/^BUTTON Answer/);
  await page.keyboard.press("Enter");
  await until("it has completed", async () => (await statusOf(page)) === "completed");
  await page.keyboard.press("?");
  await page.getByRole("dialog", { name: "Keys" }).waitFor();
  await page.keyboard.press("Escape");
  await tabTo(/^BUTTON Sign out/, "Shift+Tab");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  assert.deepEqual(page.faults, []);
  await page.context().close();
});

test("versions of a document are compared", async () => {
  const body = { workspace_id: workspace, scope_type: "project", scope_id: "1", document_type: "brief", content: { goal: "grow", by: 2030, list: [1, 2, 3] } };
  const id = (await service.call("POST", "documents", body)).document_id;
  await service.call("PUT", `documents/${id}`, { content: { by: 2031, goal: "grow", list: [1, 3] } }, { "If-Match": '"1"' });
  const page = await open(browser, service, `/documents/${id}?against=1`);
  // "by" and one entry of the list: two lines out, one in.
  await page.locator('[data-changes="3"]').waitFor();
  assert.deepEqual(await page.locator(".line.in").allInnerTexts().then((all) => all.map((text) => text.replace(/\s+/g, " ").trim())), ['2 + "by": 2031,']);
  assert.deepEqual(page.faults, []);
  await page.context().close();
});

test("somebody signs in and out, and a viewer sees nothing to write with", async () => {
  const workspace = await secured.workspace();
  const run = await secured.run(workspace, securedConfiguration, "print done\n");
  await secured.finished(run);
  const viewer = (await secured.call("POST", "api-keys", { name: "watcher", role: "viewer", workspaces: [workspace] })).key;

  const page = await open(browser, secured, `/runs/${run}`);
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  assert.equal(await page.getByRole("link", { name: /Sign in with/ }).count(), 0, "nobody else signs people in");
  // As a service with a provider answers.
  const provider = { name: "Acme <b>", begin: "/api/v1/session/oidc" };
  await page.route("**/api/v1/session/providers", (route) => route.fulfill({ json: { items: [provider] } }));
  await page.goto(`${secured.url}/runs/${run}?tab=tables#L3`);
  const link = page.getByRole("link", { name: "Sign in with Acme <b>" });
  assert.equal(await link.getAttribute("href"), `/api/v1/session/oidc?return_to=${encodeURIComponent(`/runs/${run}?tab=tables#L3`)}`);
  await page.unrouteAll();
  await page.goto(`${secured.url}/runs/${run}`);
  await page.getByLabel("API key").fill("ade_nonsense");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("alert").filter({ hasText: /./ }).waitFor();
  await page.getByLabel("API key").fill(secured.key);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("button", { name: "Run again" }).waitFor();
  assert.equal(new URL(page.url()).pathname, `/runs/${run}`, "where somebody wanted to go is where they are");
  const cookies = await page.context().cookies();
  assert.ok(cookies.some((it) => it.name === "ade_session" && it.httpOnly && it.sameSite === "Strict"));
  const stored = await page.evaluate(() => JSON.stringify(localStorage) + JSON.stringify(sessionStorage) + document.cookie);
  assert.ok(!stored.includes(secured.key), "the key is nowhere in the browser");
  await page.getByRole("link", { name: "System" }).click();
  await page.getByRole("tab", { name: "Keys" }).click();
  await page.getByRole("cell", { name: /watcher/ }).waitFor();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  assert.equal(await page.evaluate(() => fetch("/api/v1/workspaces").then((it) => it.status)), 401);

  await page.getByLabel("API key").fill(viewer);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("navigation", { name: "Sections" }).waitFor();
  assert.equal(await page.getByRole("link", { name: "System" }).count(), 0);
  for (const path of [`/workspaces/${workspace}/runs`, `/runs/${run}`, `/workspaces/${workspace}/configurations`, `/workspaces/${workspace}/configurations/${securedConfiguration}`, `/workspaces/${workspace}/builds`, `/workspaces/${workspace}/executions`]) {
    await page.goto(secured.url + path);
    await page.getByRole("heading", { level: 1 }).waitFor();
    await until("nothing is being read any more", async () => (await page.getByText("Loading", { exact: true }).count()) === 0);
    for (const name of ["Start a run", "Run again", "Cancel", "New configuration", "Publish", "Activate", "Build anew", "Start an execution"]) {
      assert.equal(await page.getByRole("button", { name, exact: true }).count(), 0, `${name} on ${path}`);
    }
  }
  assert.deepEqual(page.faults, []);
  await page.context().close();
});

test("a role in one workspace counts in that workspace, and in no other", async () => {
  const read = await secured.workspace();
  const done = await secured.run(read, securedConfiguration, "print done\n");
  await secured.finished(done);
  const written = (await secured.call("POST", "workspaces", { name: "Written" })).id;
  const configuration = await secured.configure(written, "Of members");
  const own = await secured.run(written, configuration, "print done\n");
  await secured.finished(own);
  const { id, key } = await secured.call("POST", "api-keys", { name: "editor", role: "viewer", workspaces: [read] });
  await secured.call("POST", `workspaces/${written}/members`, { member: id, role: "operator" });

  const page = await open(browser, secured, `/workspaces/${written}/runs`);
  await page.getByLabel("API key").fill(key);
  await page.getByRole("button", { name: "Sign in" }).click();
  const buttons = async (path, names) => {
    await page.goto(secured.url + path);
    await page.getByRole("heading", { level: 1 }).waitFor();
    await until("nothing is being read any more", async () => (await page.getByText("Loading", { exact: true }).count()) === 0);
    return Promise.all(names.map((name) => page.getByRole("button", { name, exact: true }).count()));
  };
  for (const [workspace, run, configured, expected] of [[written, own, configuration, 1], [read, done, securedConfiguration, 0]]) {
    for (const [path, ...names] of [
      [`/workspaces/${workspace}/runs`, "Start a run"], [`/runs/${run}`, "Run again"],
      [`/workspaces/${workspace}/configurations`, "New configuration"],
      [`/workspaces/${workspace}/configurations/${configured}`, "Validate"],
      [`/workspaces/${workspace}/builds?configuration=${configured}`, "Build anew"],
    ]) {
      await until(`${names} on ${path}: ${expected}`, async () => (await buttons(path, names)).every((count) => count === expected), 20);
    }
    const role = expected ? "operator" : "viewer";
    await page.getByText(`editor · ${role}`, { exact: true }).waitFor();
  }

  // What is about all workspaces is not for them, wherever they come from.
  assert.deepEqual(await buttons("/workspaces", ["New workspace"]), [0]);
  assert.equal(await page.getByRole("link", { name: "System" }).count(), 0);

  // A file is taken where they may start runs, and nowhere else.
  await page.goto(`${secured.url}/workspaces/${read}/runs`);
  await page.getByRole("heading", { level: 1 }).waitFor();
  await drop(page, "roster.txt", "print dropped\n");
  assert.equal(await page.getByText("Drop to start a run").count(), 0);
  await page.goto(`${secured.url}/workspaces/${written}/runs`);
  await page.getByRole("button", { name: "Start a run" }).waitFor();
  await drop(page, "roster.txt", "print dropped\n");
  await page.waitForURL("**/runs/run_*");
  await page.getByRole("button", { name: /Cancel|Run again/ }).waitFor();
  assert.deepEqual(page.faults, []);
  await page.context().close();
});
