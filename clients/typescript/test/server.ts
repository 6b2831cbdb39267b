// A server that misbehaves as it is told: what the real one never does, and what is between it and a client.

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";

export interface Seen {
  method: string;
  path: string;
  query: URLSearchParams;
  headers: IncomingMessage["headers"];
  body: string;
}

type Handler = (seen: Seen, response: ServerResponse, count: number) => unknown;

/** `count`: how many requests there were before. */
export async function serve(context: TestContext, handler: Handler): Promise<{ url: string; seen: Seen[] }> {
  const seen: Seen[] = [];
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? "", "http://localhost");
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk));
    request.on("end", () => {
      const one = { method: request.method ?? "", path: pathname, query: searchParams, headers: request.headers, body };
      handler(one, response, seen.push(one) - 1);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
}

export const line = (sequence: number, type = "console.line") =>
  JSON.stringify({ type, created_at: "2026-01-01T00:00:00Z", sequence, workspace_id: "ws_1", payload: {} });

export const event = (id: number | string, data: string) => `event: ade.event\ndata: ${data}\nid: ${id}\n\n`;

export function stream(response: ServerResponse, ...blocks: string[]): ServerResponse {
  response.writeHead(200, { "Content-Type": "text/event-stream" });
  response.write(`retry: 10\n${blocks.join("")}`);
  return response;
}

export function json(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  const type = status < 400 ? "application/json" : "application/problem+json";
  response.writeHead(status, { "Content-Type": type, ...headers }).end(JSON.stringify(body));
}

export function page(response: ServerResponse, sequences: number[], last: number, closed = false, end = "console.line"): void {
  const items = sequences.map((sequence) => line(sequence, sequence === last ? end : undefined)).join(",");
  const next = sequences.at(-1) ?? last;
  response.writeHead(200, { "Content-Type": "application/json" });
  response.end(`{"items":[${items}],"next_after_sequence":${next},"last_sequence":${last},"closed":${closed}}`);
}

export const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, at) => from + at);

export async function until(what: string, condition: () => boolean): Promise<void> {
  for (const end = Date.now() + 20_000; !condition(); ) {
    if (Date.now() > end) throw new Error(`${what}: not in time`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Cuts a response off once its data has been sent. */
export function cut(response: ServerResponse): void {
  response.write(": the last that arrives\n\n", () => setTimeout(() => response.destroy(), 50));
}
