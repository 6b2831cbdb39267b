// What all kinds of resources have in common.

import type { AnyEvent } from "../events.js";
import { Follow, type FollowOptions } from "../follow/follow.js";
import { terminalOf } from "../follow/streams.js";
import type { Http, Query } from "../http.js";
import type { ListQuery, Page, Slice } from "../resources.js";

/** A list that is read part by part as it is iterated, or page by page. */
export class Listing<T> implements AsyncIterable<T> {
  constructor(
    private readonly http: Http,
    private readonly path: string,
    private readonly query: ListQuery,
  ) {}

  page(page: number): Promise<Page<T>> {
    return this.http.json("GET", this.path, { query: { ...listQuery(this.query), page } });
  }

  /** Rows that come meanwhile change nothing about what follows. */
  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (let cursor: string | null = ""; cursor !== null; ) {
      const query: Query = { ...listQuery(this.query), cursor };
      const slice: Slice<T> = await this.http.json("GET", this.path, { query });
      yield* slice.items;
      cursor = slice.next_cursor;
    }
  }

  async first(count: number): Promise<T[]> {
    const items: T[] = [];
    for await (const item of this) if (items.push(item) >= count) break;
    return items;
  }
}

export function listQuery({ filters, sort, ...rest }: ListQuery): Query {
  const sorted = typeof sort === "string" ? sort : sort?.join(",");
  return { ...rest, sort: sorted, filters: filters && JSON.stringify(filters) };
}

/** A resource with what a change of it has to show: whoever changes it meanwhile makes the change fail. */
export interface Tagged<T> {
  resource: T;
  etag: string;
}

export async function tagged<T>(http: Http, path: string, query: Query = {}): Promise<Tagged<T>> {
  const response = await http.send("GET", path, { query });
  return { resource: (await response.json()) as T, etag: response.headers.get("etag") ?? "" };
}

export interface CreateOptions {
  signal?: AbortSignal;
  /** Under one key there is one piece of work, for 24 hours; made up unless told, so that a lost answer is asked for again. */
  idempotencyKey?: string;
}

export function creation(json: unknown, { signal, idempotencyKey = randomId() }: CreateOptions = {}) {
  return { json, headers: { "Idempotency-Key": idempotencyKey }, ...(signal && { signal }) };
}

/** `crypto.randomUUID` is missing on pages without https. */
function randomId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A path of files, with `/` between its names. */
export function below(path: string): string {
  return at(...path.split("/"));
}

/** A name or several parts of a path. */
export function at(...parts: string[]): string {
  return parts.map((part) => `/${encodeURIComponent(part)}`).join("");
}

export function form(file: Blob, name: string | undefined, fields: Record<string, string | undefined>): FormData {
  const data = new FormData();
  for (const [field, value] of Object.entries(fields)) if (value !== undefined) data.append(field, value);
  data.append("file", file, name ?? (file as Partial<File>).name ?? "file");
  return data;
}

/** Runs, builds and executions. */
export abstract class Works<T, E extends AnyEvent> {
  protected abstract readonly collection: string;

  constructor(protected readonly http: Http) {}

  get(id: string): Promise<T> {
    return this.http.json("GET", at(this.collection, id));
  }

  /** What has ended as cancelled before is answered as it is; what ended otherwise is a `ProblemError`. */
  cancel(id: string, reason?: string): Promise<T> {
    return this.http.json("POST", at(this.collection, id, "cancel"), { json: { reason } });
  }

  /** The stored lines of its log (NDJSON), as they are. */
  log(id: string, signal?: AbortSignal): Promise<Response> {
    return this.http.send("GET", at(this.collection, id, "events", "download"), signal ? { signal } : {});
  }

  /** On a connection of its own. For many streams on one: `client.connection()`. */
  follow(id: string, options?: FollowOptions): Follow<E> {
    return new Follow<E>(this.http, id, options);
  }

  /** Waits for the end of the work, over lost connections and restarts of the service. */
  async wait(id: string, options: FollowOptions = {}): Promise<T> {
    const ends = this.follow(id, { ...options, types: [terminalOf(id) ?? ""], tail: 1 });
    for await (const _ of ends) break;
    options.signal?.throwIfAborted();
    return this.get(id);
  }
}
