// What is more than streams, against the real service.

import assert from "node:assert/strict";
import { test } from "node:test";
import { AdeClient, ProblemError } from "../../src/index.js";
import { Service } from "./service.js";

async function refused(what: Promise<unknown>): Promise<string> {
  const error = await what.then(() => undefined, (error: unknown) => error);
  assert(error instanceof ProblemError, String(error));
  return error.code;
}

test("files of a configuration are listed, read, written, moved and deleted by who knows them", async (context) => {
  const { url, key } = await Service.start(context);
  const client = new AdeClient({ url, auth: { key } });
  const { id: workspace } = await client.workspaces.create({ name: "Files" });
  const { id } = await client.configurations.create(workspace, "Roster");
  const { configurationFiles: files } = client;
  const there: string[] = [];
  for await (const { path } of files.list(workspace, id, { limit: 2 })) there.push(path);
  assert(there.length > 4 && there.includes("pyproject.toml"), there.join());

  await files.makeDirectory(workspace, id, "src/ade_config/more");
  const path = "src/ade_config/more/ä (1) 100%.py";
  const made = await files.write(workspace, id, path, "x = 1\n");
  assert.deepEqual([made.created, made.path], [true, path]);
  assert.equal(await refused(files.write(workspace, id, path, "x = 2\n")), "precondition_failed");
  const read = await files.read(workspace, id, path);
  assert.deepEqual([read.content, read.etag], ["x = 1\n", made.etag]);
  const { etag } = await files.write(workspace, id, path, new TextEncoder().encode("x = 2\n"), { etag: read.etag });
  assert.equal(await (await files.download(workspace, id, path)).text(), "x = 2\n");
  assert.equal(await refused(files.delete(workspace, id, path, read.etag)), "precondition_failed");
  const moved = await files.rename(workspace, id, path, "src/ade_config/more/b.py", { etag });
  await files.delete(workspace, id, moved.to, moved.etag);
  await files.deleteDirectory(workspace, id, "src/ade_config/more", { recursive: true });

  assert.deepEqual((await client.configurations.validate(workspace, id)).issues, []);
  assert.equal((await client.configurations.rename(workspace, id, "Members")).display_name, "Members");
  assert.equal((await client.configurations.publish(workspace, id)).status, "published");
  assert.equal(await refused(files.write(workspace, id, "late.py", "")), "configuration_not_editable");
  assert.equal((await client.configurations.activate(workspace, id)).status, "active");
  assert.equal((await client.configurations.deactivate(workspace, id)).status, "inactive");
  await client.configurations.delete(workspace, id);
  assert.equal(await refused(client.configurations.get(workspace, id)), "not_found");
});

test("members, documents and workspaces are changed and deleted", async (context) => {
  const { url, key } = await Service.start(context);
  const client = new AdeClient({ url, auth: { key } });
  const { id: workspace } = await client.workspaces.create({ name: "Members" });
  const { id: other } = await client.workspaces.create({ name: "Others" });
  const made = await client.apiKeys.create({ name: "editor", role: "viewer", workspaces: [other] });
  assert.equal((await client.apiKeys.get(made.id)).name, "editor");
  const member = await client.members.add(workspace, { member: made.id, role: "viewer" });
  const editor = new AdeClient({ url, auth: { key: made.key } });
  assert.equal(await refused(editor.workspaces.change(workspace, { name: "Mine" })), "role_required");
  await client.members.change(workspace, member.id, "operator");
  assert.equal((await editor.workspaces.change(workspace, { name: "Mine" })).name, "Mine");
  assert.deepEqual((await editor.session.show()).memberships, [{ workspace_id: workspace, role: "operator" }]);
  assert.deepEqual((await client.members.list(workspace)).map(({ id }) => id), [made.id]);
  assert.equal((await client.members.get(workspace, made.id)).role, "operator");

  const document = await editor.documents.upload(workspace, new Blob(["a,b\n1,2\n"]), "a.csv");
  assert.deepEqual((await editor.documents.change(workspace, document.id, { tags: ["x"] })).tags, ["x"]);
  assert.equal((await editor.documents.sheets(workspace, document.id))[0]?.kind, "file");
  await editor.documents.delete(workspace, document.id);
  assert.equal(await refused(editor.documents.get(workspace, document.id)), "not_found");

  await client.members.remove(workspace, member.id);
  assert.equal(await refused(editor.workspaces.get(workspace)), "not_found");
  assert.equal((await client.workspaces.choose(workspace)).is_default, true);
  await client.workspaces.delete(workspace);
  assert.equal(await refused(client.workspaces.get(workspace)), "not_found");
  assert((await client.system.audit(0, 1000)).items.some(({ path }) => path.endsWith("/members")));
  assert.equal((await client.system.setSafeMode({ enabled: true })).enabled, true);
  assert.equal((await client.system.setSafeMode({ enabled: false })).enabled, false);
  assert.equal((await client.system.health()).status, "ok");
});

test("what a model was asked in each call is shown", async (context) => {
  const { url, key } = await Service.start(context);
  const client = new AdeClient({ url, auth: { key } });
  const scope = { workflow_id: "brief-to-plan", scope_type: "project", scope_id: "1" };
  const { execution_id: id } = await client.executions.create({ ...scope, input: { brief: { title: "Members", goal: "Less paper." } } });
  const calls: string[] = [];
  for await (const event of client.executions.follow(id)) {
    if (event.type === "llm_call") calls.push(event.payload.call_id);
    if (event.type === "clarification_needed") break;
  }
  const prompt = await client.executions.prompt(id, calls[0]!);
  assert.deepEqual(prompt.messages.map(({ role }) => role), ["system", "user"]);
  assert(prompt.messages[1]!.text.includes("Less paper."));
  assert((await (await client.executions.log(id)).text()).includes(calls[0]!));
  assert.equal(await refused(client.executions.prompt(id, "call_01ARZ3NDEKTSV4RRFFQ69G5FAV")), "not_found");
});
