// Requests to the service. Whatever it refuses arrives as a `Problem`, and every change carries the session's token.

import { randomId } from "./browser";

export interface ProblemBody {
  code: string; title: string; status: number; detail: string; request_id?: string;
  errors?: { path: string; message: string; code: string }[];
  [more: string]: unknown;
}

export class Problem extends Error {
  readonly code: string;
  readonly status: number;
  readonly body: ProblemBody;

  constructor(body: ProblemBody) {
    super(body.detail || body.title);
    this.code = body.code;
    this.status = body.status;
    this.body = body;
  }

  /** The service was not reached at all. */
  get isOffline(): boolean {
    return this.status === 0;
  }
}

export const API = "/api/v1";

let csrfToken: string | undefined;
let onSignedOut: () => void = () => {};

export function useToken(token: string | undefined): void {
  csrfToken = token;
}

export function whenSignedOut(then: () => void): void {
  onSignedOut = then;
}

export interface Options {
  method?: string; body?: unknown; form?: FormData; text?: BodyInit; headers?: Record<string, string>;
  signal?: AbortSignal; asks?: boolean;
}

/** Whatever the answer is. */
export async function ask(path: string, options: Options = {}): Promise<Response> {
  const method = options.method ?? (options.body !== undefined || options.form ? "POST" : "GET");
  const headers: Record<string, string> = { Accept: "application/json", ...options.headers };
  if (method !== "GET" && csrfToken) headers["X-CSRF-Token"] = csrfToken;
  if (options.body !== undefined) headers["Content-Type"] = "application/json";
  const body = options.body !== undefined ? JSON.stringify(options.body) : (options.form ?? options.text);
  const url = path.startsWith("/") ? path : `${API}/${path}`;
  // Nothing from a cache: what is asked for again is asked for because it may have changed.
  const asked: RequestInit = { method, headers, body, signal: options.signal, credentials: "same-origin", cache: "no-store" };
  return fetch(url, asked).catch(
    (error: unknown) => {
      if (options.signal?.aborted) throw error;
      throw new Problem({ code: "offline", title: "Offline", status: 0, detail: "The service does not answer." });
    },
  );
}

export async function request(path: string, options: Options = {}): Promise<Response> {
  const answer = await ask(path, options);
  if (answer.ok) return answer;
  const problem = await problemOf(answer);
  if (problem.status === 401 && !options.asks) onSignedOut();
  throw problem;
}

async function problemOf(answer: Response): Promise<Problem> {
  const text = await answer.text().catch(() => "");
  try {
    const body = JSON.parse(text) as ProblemBody;
    if (body && typeof body.code === "string") return new Problem(body);
  } catch {
    // Something between here and the service has answered in its place.
  }
  return new Problem({
    code: "unexpected", title: answer.statusText, status: answer.status, detail: `The answer was ${answer.status}.`,
  });
}

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return (await (await request(path, { signal })).json()) as T;
}

export async function send<T>(method: string, path: string, body?: unknown): Promise<T> {
  const answer = await request(path, { method, body });
  return (answer.status === 204 ? undefined : await answer.json()) as T;
}

/** `?a=1&a=2`, without what is undefined or empty. */
export function query(values: Record<string, string | number | boolean | undefined | null | string[]>): string {
  const made = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== null && one !== "") made.append(name, String(one));
    }
  }
  const text = made.toString();
  return text ? `?${text}` : "";
}

/** A key that makes a repeated creation the same one. */
export function idempotencyKey(): string {
  return randomId();
}
