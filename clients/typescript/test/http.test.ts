import assert from "node:assert/strict";
import { test } from "node:test";
import { AdeClient, ConnectionError, ProblemError } from "../src/index.js";
import { json, serve } from "./server.js";

test("a creation whose answer was lost is asked for again under the same key", async (context) => {
  const { url, seen } = await serve(context, (_, response, count) => {
    if (count === 0) response.destroy();
    else json(response, 201, { id: "run_1" });
  });
  assert.equal((await new AdeClient({ url }).runs.create("cfg_1", { document_ids: ["doc_1"] })).id, "run_1");
  const keys = seen.map(({ headers }) => headers["idempotency-key"]);
  assert.equal(keys.length, 2);
  assert.equal(keys[0], keys[1]);
  assert.deepEqual(JSON.parse(seen[0]!.body), { options: { document_ids: ["doc_1"] } });
});

test("a change that may have been made is not sent twice", async (context) => {
  const { url, seen } = await serve(context, (_, response) => response.destroy());
  await assert.rejects(new AdeClient({ url }).workspaces.create({ name: "a" }), ConnectionError);
  assert.equal(seen.length, 1);
});

test("what was refused before it began is sent again when the service says", async (context) => {
  const { url, seen } = await serve(context, (_, response, count) => {
    if (count === 0) json(response, 503, { code: "draining", detail: "" }, { "Retry-After": "0" });
    else json(response, 201, { id: "ws_1" });
  });
  assert.equal((await new AdeClient({ url }).workspaces.create({ name: "a" })).id, "ws_1");
  assert.equal(seen.length, 2);
});

test("a refusal says everything that the service has said", async (context) => {
  const errors = [{ path: "name", message: "is needed", code: "missing_field" }];
  const { url, seen } = await serve(context, (_, response) => {
    json(response, 422, { code: "invalid_request", detail: "no", errors, request_id: "req_1" });
  });
  const error = await new AdeClient({ url }).workspaces.create({ name: "" }).catch((error: unknown) => error);
  assert(error instanceof ProblemError);
  assert.deepEqual([error.status, error.code, error.errors, error.requestId], [422, "invalid_request", errors, "req_1"]);
  assert.equal(seen.length, 1);
});

test("a key is shown with each request", async (context) => {
  const { url, seen } = await serve(context, (_, response) => json(response, 200, {}));
  await new AdeClient({ url, auth: { key: "ade_1_secret" } }).workspaces.get("ws_1");
  assert.equal(seen[0]?.headers.authorization, "Bearer ade_1_secret");
});

test("a session tells its token with each change, and asks for it anew when it is refused", async (context) => {
  let token = "one";
  const { url, seen } = await serve(context, ({ method, path, headers }, response) => {
    if (method === "GET" && path.endsWith("/session")) return json(response, 200, { csrf_token: token });
    const refused = headers["x-csrf-token"] !== token;
    json(response, refused ? 403 : 200, refused ? { code: "csrf_token_required", detail: "" } : { id: "run_1" });
  });
  const client = new AdeClient({ url, auth: { session: true } });
  await client.runs.cancel("run_1");
  token = "two";
  await client.runs.cancel("run_1");
  assert.deepEqual(
    seen.map(({ method, headers }) => `${method} ${headers["x-csrf-token"] ?? ""}`),
    ["GET ", "POST one", "POST one", "GET ", "POST two"],
  );
});

test("a list is read part by part", async (context) => {
  const { url, seen } = await serve(context, ({ query }, response) => {
    const second = query.get("cursor") === "c";
    json(response, 200, second ? { items: [3], next_cursor: null } : { items: [1, 2], next_cursor: "c" });
  });
  const filters = [{ id: "status", operator: "eq", value: "failed" }] as const;
  const list = new AdeClient({ url }).runs.list({ workspace: "ws_1" }, { sort: ["-created_at", "id"], filters });
  const items = [];
  for await (const item of list) items.push(item);
  assert.deepEqual(items, [1, 2, 3]);
  assert.equal(seen[1]?.query.get("sort"), "-created_at,id");
  assert.deepEqual(JSON.parse(seen[1]?.query.get("filters") ?? ""), filters);
});
