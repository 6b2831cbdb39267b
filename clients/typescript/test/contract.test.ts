// Every operation of the service's contract has a method of this client, or a reason why it has none.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { AdeClient, type Following } from "../src/index.js";

const DOCUMENT = new URL("../../../../docs/openapi.json", import.meta.url);

type Act = (client: AdeClient, signal: AbortSignal) => unknown;
type Operation = { method: string; path: string };

async function read(stream: Following): Promise<void> {
  for await (const _ of stream) break;
}

const polling = { transport: "poll" } as const;
const files = ["ws_1", "cfg_1"] as const;
const RUN = "run_01ARZ3NDEKTSV4RRFFQ69G5FAV";
const BUILD = "build_01ARZ3NDEKTSV4RRFFQ69G5FAV";
const EXECUTION = "exec_01ARZ3NDEKTSV4RRFFQ69G5FAV";
const WORKSPACE = "ws_01ARZ3NDEKTSV4RRFFQ69G5FAV";

const METHODS: Record<string, Act> = {
  list_api_keys: (client) => client.apiKeys.list(),
  create_api_key: (client) => client.apiKeys.create({ name: "ci", role: "viewer" }),
  show_api_key: (client) => client.apiKeys.get("key_1"),
  revoke_api_key: (client) => client.apiKeys.revoke("key_1"),
  list_audit_entries: (client) => client.system.audit(),
  show_actors: (client) => client.system.actors(),
  list_nodes: (client) => client.system.nodes(),
  run_maintenance: (client) => client.system.maintain(),
  show_safe_mode: (client) => client.system.safeMode(),
  switch_safe_mode: (client) => client.system.setSafeMode({ enabled: true }),
  show_health: (client) => client.system.health(),
  show_build: (client) => client.builds.get(BUILD),
  cancel_build: (client) => client.builds.cancel(BUILD),
  ensure_build: (client) => client.builds.create("ws_1", "cfg_1"),
  list_builds: (client) => client.builds.list("ws_1", "cfg_1").first(1),
  list_workspace_builds: (client) => client.builds.list("ws_1").first(1),
  list_build_console_lines: (client) => client.builds.console(BUILD),
  read_build_events: (client, signal) => read(client.builds.follow(BUILD, { signal, ...polling })),
  stream_build_events: (client, signal) => read(client.builds.follow(BUILD, { signal })),
  download_build_events: (client) => client.builds.log(BUILD),
  list_runs: (client) => client.runs.list({ workspace: "ws_1" }).first(1),
  list_runs_of_configuration: (client) => client.runs.list({ configuration: "cfg_1" }).first(1),
  create_run: (client) => client.runs.create("cfg_1"),
  show_run: (client) => client.runs.get(RUN),
  cancel_run: (client) => client.runs.cancel(RUN),
  retry_run: (client) => client.runs.retry(RUN),
  show_run_summary: (client) => client.runs.summary(RUN),
  show_run_diagnostics: (client) => client.runs.diagnostics(RUN),
  list_run_outputs: (client) => client.runs.outputs(RUN),
  download_run_output: (client) => client.runs.download(RUN, "a/b.xlsx"),
  list_run_console_lines: (client) => client.runs.console(RUN),
  read_run_events: (client, signal) => read(client.runs.follow(RUN, { signal, ...polling })),
  stream_run_events: (client, signal) => read(client.runs.follow(RUN, { signal })),
  download_run_events: (client) => client.runs.log(RUN),
  list_executions: (client) => client.executions.list().first(1),
  create_execution: (client) => client.executions.create({ workflow_id: "w", scope_type: "s", scope_id: "1" }),
  show_execution: (client) => client.executions.get(EXECUTION),
  cancel_execution: (client) => client.executions.cancel(EXECUTION),
  retry_execution: (client) => client.executions.retry(EXECUTION),
  list_steps: (client) => client.executions.steps(EXECUTION),
  answer_questions: (client) => client.executions.answer(EXECUTION, "step", {}),
  decide_on_document: (client) => client.executions.decide(EXECUTION, "step", true),
  show_call_prompt: (client) => client.executions.prompt(EXECUTION, "call_1"),
  show_execution_costs: (client) => client.executions.costs(EXECUTION),
  read_execution_events: (client, signal) => read(client.executions.follow(EXECUTION, { signal, ...polling })),
  stream_execution_events: (client, signal) => read(client.executions.follow(EXECUTION, { signal })),
  download_execution_events: (client) => client.executions.log(EXECUTION),
  list_workflows: (client) => client.workflows.list(),
  create_workflow: (client) => client.workflows.create({} as never),
  show_workflow: (client) => client.workflows.get("w"),
  replace_workflow: (client) => client.workflows.replace("w", {} as never, '"1"'),
  delete_workflow: (client) => client.workflows.delete("w"),
  show_step_schema: (client) => client.workflows.schema("w", "step"),
  show_workflow_stats: (client) => client.workflows.stats("w"),
  show_usage: (client) => client.workflows.usage(),
  list_workflow_documents: (client) => client.workflowDocuments.list().first(1),
  create_workflow_document: (client) => client.workflowDocuments.create({} as never),
  show_workflow_document: (client) => client.workflowDocuments.get("doc_1"),
  change_workflow_document: (client) => client.workflowDocuments.change("doc_1", { content: 1 }, '"1"'),
  list_workflow_document_versions: (client) => client.workflowDocuments.versions("doc_1").first(1),
  show_session: (client) => client.session.show(),
  sign_in: (client) => client.session.signIn("ade_1"),
  sign_out: (client) => client.session.signOut(),
  list_providers: (client) => client.session.providers(),
  create_stream_ticket: (client) => client.session.ticket(RUN),
  list_workspaces: (client) => client.workspaces.list().first(1),
  create_workspace: (client) => client.workspaces.create({ name: "a" }),
  show_workspace: (client) => client.workspaces.get("ws_1"),
  change_workspace: (client) => client.workspaces.change("ws_1", { name: "b" }),
  delete_workspace: (client) => client.workspaces.delete("ws_1"),
  choose_workspace: (client) => client.workspaces.choose("ws_1"),
  read_feed_events: (client, signal) => read(client.workspaces.follow(WORKSPACE, { signal, ...polling })),
  stream_feed_events: (client, signal) => read(client.workspaces.follow(WORKSPACE, { signal })),
  download_feed_events: (client) => client.workspaces.log(WORKSPACE),
  list_configurations: (client) => client.configurations.list("ws_1").first(1),
  create_configuration: (client) => client.configurations.create("ws_1", "a"),
  import_configuration: (client) => client.configurations.import("ws_1", new Blob(["zip"])),
  show_configuration: (client) => client.configurations.get(...files),
  change_configuration: (client) => client.configurations.rename(...files, "b"),
  delete_configuration: (client) => client.configurations.delete(...files),
  publish_configuration: (client) => client.configurations.publish(...files),
  activate_configuration: (client) => client.configurations.activate(...files),
  deactivate_configuration: (client) => client.configurations.deactivate(...files),
  validate_configuration: (client) => client.configurations.validate(...files),
  export_configuration: (client) => client.configurations.export(...files),
  replace_configuration: (client) => client.configurations.replace(...files, new Blob(["zip"]), '"1"'),
  list_configuration_files: (client) => client.configurationFiles.page(...files),
  read_configuration_file: (client) => client.configurationFiles.read(...files, "a/b.py"),
  write_configuration_file: (client) => client.configurationFiles.write(...files, "a/b.py", "x"),
  rename_configuration_file: (client) => client.configurationFiles.rename(...files, "a/b.py", "c.py"),
  delete_configuration_file: (client) => client.configurationFiles.delete(...files, "a/b.py", '"1"'),
  make_configuration_directory: (client) => client.configurationFiles.makeDirectory(...files, "a/b"),
  delete_configuration_directory: (client) => client.configurationFiles.deleteDirectory(...files, "a/b"),
  list_documents: (client) => client.documents.list("ws_1").first(1),
  upload_document: (client) => client.documents.upload("ws_1", new Blob(["a"]), "a.csv"),
  show_document: (client) => client.documents.get("ws_1", "doc_1"),
  change_document: (client) => client.documents.change("ws_1", "doc_1", { tags: [] }),
  delete_document: (client) => client.documents.delete("ws_1", "doc_1"),
  download_document: (client) => client.documents.download("ws_1", "doc_1"),
  list_sheets: (client) => client.documents.sheets("ws_1", "doc_1"),
  list_members: (client) => client.members.list("ws_1"),
  show_member: (client) => client.members.get("ws_1", "key_1"),
  add_member: (client) => client.members.add("ws_1", { member: "key_1", role: "viewer" }),
  change_member: (client) => client.members.change("ws_1", "key_1", "operator"),
  remove_member: (client) => client.members.remove("ws_1", "key_1"),
  list_people: (client) => client.members.people(),
  stream_events: (client, signal) => read(connected(client, signal)),
};

function connected(client: AdeClient, signal: AbortSignal): Following {
  const connection = client.connection();
  signal.addEventListener("abort", () => connection.close());
  return connection.follow(RUN);
}

const LEFT_OUT: Record<string, string> = {
  show_service: "a page for people",
  show_contract_page: "a page for people",
  show_contract_style: "of a page for people",
  show_contract: "what clients are made from",
  begin_sign_in: "a browser goes there itself",
  finish_sign_in: "the provider sends a browser there",
  show_liveness: "for whoever starts and stops the service",
  show_readiness: "for whoever starts and stops the service; `system.health` tells the same",
  show_metrics: "for Prometheus",
  update_member: "the same as change_member",
  create_run_in_workspace: "the same as create_run, at a longer path",
  list_runs_of_configuration_in_workspace: "the same as list_runs_of_configuration, at a longer path",
  stream_execution_events_shortly: "the same as stream_execution_events, at a shorter path",
  download_run_log: "the same as download_run_events, by an older name",
  download_build_log: "the same as download_build_events, by an older name",
};

/** By their names, without the paths under which configurations are found as `configs`. */
function operations(): Map<string, Operation> {
  const { paths } = JSON.parse(readFileSync(DOCUMENT, "utf8")) as { paths: Record<string, Record<string, { operationId?: string }>> };
  const found = new Map<string, Operation>();
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, { operationId }] of Object.entries(methods)) {
      if (operationId && !operationId.endsWith("_alias")) found.set(operationId, { method: method.toUpperCase(), path });
    }
  }
  return found;
}

const skip = !existsSync(DOCUMENT) && "there is no contract beside this client";

test("each operation of the contract has a method or a reason why not", { skip }, () => {
  const known = operations();
  for (const name of known.keys()) {
    assert(name in METHODS !== name in LEFT_OUT, `${name}: give it a method here, or a reason in LEFT_OUT`);
  }
  for (const name of Object.keys({ ...METHODS, ...LEFT_OUT })) assert(known.has(name), `${name} is no operation any more`);
});

test("each method sends what its operation is", { skip, timeout: 60_000 }, async () => {
  const known = operations();
  const nothing = { items: [], files: [], workflows: [], entries: [], next_token: null, next_cursor: null, csrf_token: "t" };
  for (const [name, act] of Object.entries(METHODS)) {
    const end = new AbortController();
    const sent: string[] = [];
    const fetch = (input: string | URL | Request, init?: RequestInit) => {
      sent.push(`${init?.method} ${new URL(String(input)).pathname}`);
      if (!/\/events(\/stream)?$/.test(sent[0]!)) return Promise.resolve(Response.json(nothing));
      setTimeout(() => end.abort());
      return new Promise<Response>(() => {});
    };
    // Streams are left once it is known what they ask for.
    const left = new Promise<void>((resolve) => end.signal.addEventListener("abort", () => resolve()));
    const client = new AdeClient({ url: "http://service", auth: { key: "ade_1" }, fetch: fetch as typeof globalThis.fetch });
    await Promise.race([act(client, end.signal), left]);
    const { method, path } = known.get(name)!;
    const pattern = path.replace("{path}", ".+").replace(/\{\w+\}/g, "[^/]+");
    assert.match(sent[0] ?? "nothing", new RegExp(`^${method} ${pattern}$`), name);
  }
});
