// Requests: who sends them, what is tried again, and errors as `ProblemError`.

import type { Auth } from "./auth.js";
import { ConnectionError, ProblemError } from "./errors.js";
import { Backoff, isPassing } from "./follow/backoff.js";
import { Pause, unlessAborted } from "./timing.js";

const API = "/api/v1";
const SESSION = "/session";

export type Query = Record<string, string | number | boolean | readonly string[] | undefined>;

export interface HttpOptions {
  /** Where the service is, such as `http://127.0.0.1:8000`; in a browser this page's origin unless told. */
  url?: string;
  auth?: Auth;
  fetch?: typeof fetch;
  /** How often a request that may be repeated is tried again. */
  retries?: number;
  /** How long a request, streams aside, waits for the beginning of its answer; milliseconds, 60,000. */
  timeout?: number;
}

export interface Sent {
  query?: Query;
  json?: unknown;
  body?: BodyInit;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

export class Http {
  readonly base: string;
  readonly auth: Auth | undefined;
  readonly #fetch: typeof fetch;
  readonly #retries: number;
  readonly #timeout: number;
  #csrf: string | undefined;

  constructor({ url, auth, fetch: given, retries = 6, timeout = 60_000 }: HttpOptions = {}) {
    const base = url ?? (globalThis.location as Location | undefined)?.origin;
    if (!base) throw new TypeError("`url` is needed outside of a page");
    this.base = base.replace(/\/+$/, "");
    this.auth = auth;
    this.#fetch = given ?? ((input, init) => globalThis.fetch(input, init));
    this.#retries = retries;
    this.#timeout = timeout;
  }

  async json<T>(method: string, path: string, sent: Sent = {}): Promise<T> {
    const response = await this.send(method, path, sent);
    return (response.status === 204 ? undefined : await response.json()) as T;
  }

  /** An answer that is no error. Repeats what may be repeated while nobody answers or the service is busy. */
  async send(method: string, path: string, sent: Sent = {}): Promise<Response> {
    const backoff = new Backoff({ base: 250, longest: 5_000 });
    for (let attempt = 0; ; attempt++) {
      const outcome = await this.#attempt(method, path, sent);
      if (outcome instanceof Response) return outcome;
      sent.signal?.throwIfAborted();
      const problem = outcome instanceof ProblemError ? outcome : undefined;
      if (attempt >= this.#retries || !isRepeatable(method, sent, problem)) throw outcome;
      await new Pause().for(backoff.next(problem?.retryAfter), sent.signal ?? new AbortController().signal);
    }
  }

  async #attempt(method: string, path: string, sent: Sent): Promise<Response | ProblemError | ConnectionError> {
    const own = new AbortController();
    const abort = () => own.abort(sent.signal?.reason);
    const timer = setTimeout(() => own.abort(new Error(`no answer within ${this.#timeout} ms`)), this.#timeout);
    // It stays: the signal also ends a download.
    sent.signal?.addEventListener("abort", abort, { once: true });
    if (sent.signal?.aborted) abort();
    try {
      const headers = await this.#changes(method, path, sent);
      const response = await this.raw(method, path, { ...sent, headers, signal: own.signal });
      clearTimeout(timer);
      if (response.ok || response.status === 304) return response;
      const problem = await ProblemError.from(response);
      if (problem.code === "csrf_token_required") this.#csrf = undefined;
      return problem;
    } catch (error) {
      if (error instanceof ProblemError) return error;
      return new ConnectionError(`${method} ${path}: no answer`, { cause: error });
    } finally {
      clearTimeout(timer);
    }
  }

  /** One request, whatever its answer. */
  raw(method: string, path: string, { query, json, body, headers, signal }: Sent = {}): Promise<Response> {
    const init: RequestInit = { method, headers: { ...this.#credentials(), ...headers }, cache: "no-store" };
    if (signal) init.signal = signal;
    init.credentials = this.auth && "session" in this.auth ? "same-origin" : "omit";
    if (json !== undefined) {
      init.body = JSON.stringify(json);
      (init.headers as Record<string, string>)["Content-Type"] = "application/json";
    } else if (body !== undefined) init.body = body;
    const answer = this.#fetch(this.url(path, query), init);
    return signal ? unlessAborted(answer, signal) : answer;
  }

  url(path: string, query: Query = {}): string {
    const parameters = new URLSearchParams();
    for (const [name, value] of Object.entries(query)) {
      for (const one of Array.isArray(value) ? value : [value]) {
        if (one !== undefined) parameters.append(name, String(one));
      }
    }
    const text = parameters.toString();
    return `${this.base}${path.startsWith("/health/") ? "" : API}${path}${text ? `?${text}` : ""}`;
  }

  /** Of a session; told with every change from now on. */
  set csrfToken(token: string | undefined) {
    this.#csrf = token;
  }

  #credentials(): Record<string, string> {
    return this.auth && "key" in this.auth ? { Authorization: `Bearer ${this.auth.key}` } : {};
  }

  async #changes(method: string, path: string, { headers }: Sent): Promise<Record<string, string>> {
    const isChange = method !== "GET" && method !== "HEAD";
    if (!isChange || !this.auth || !("session" in this.auth)) return headers ?? {};
    if (path === SESSION && method === "POST") return headers ?? {};
    this.#csrf ??= (await this.json<{ csrf_token: string | null }>("GET", SESSION)).csrf_token ?? "";
    return { ...headers, "X-CSRF-Token": this.#csrf };
  }
}

/** Whether the same request can be sent again without doing something twice. */
function isRepeatable(method: string, sent: Sent, problem: ProblemError | undefined): boolean {
  if (problem?.code === "csrf_token_required") return true;
  if (problem?.code === "builds_unavailable") return false;
  // Refused before it began.
  if (problem && (problem.status === 429 || problem.status === 503)) return true;
  if (problem && !isPassing(problem.status)) return false;
  return method === "GET" || method === "HEAD" || sent.headers?.["Idempotency-Key"] !== undefined;
}
