// What can go wrong, by what a caller can do about it.

export class AdeError extends Error {
  override name = "AdeError";
}

/** One field of a request that was refused. */
export interface FieldError {
  path: string;
  message: string;
  code: string;
}

/** The service has refused a request and says why (RFC 9457); `code` is one of docs/ERRORS.md. */
export class ProblemError extends AdeError {
  override name = "ProblemError";

  constructor(
    readonly status: number,
    readonly code: string,
    readonly detail: string,
    /** Everything that was answered, such as `last_sequence` or `required_role`. */
    readonly problem: Record<string, unknown> = {},
    /** Milliseconds. */
    readonly retryAfter?: number,
  ) {
    super(`${code}: ${detail}`);
  }

  get errors(): FieldError[] {
    return Array.isArray(this.problem.errors) ? (this.problem.errors as FieldError[]) : [];
  }

  get requestId(): string | undefined {
    return typeof this.problem.request_id === "string" ? this.problem.request_id : undefined;
  }

  static async from(response: Response): Promise<ProblemError> {
    const text = await response.text().catch(() => "");
    const problem = parse(text);
    const code = typeof problem.code === "string" ? problem.code : `http_${response.status}`;
    const detail = typeof problem.detail === "string" ? problem.detail : text.slice(0, 200) || response.statusText;
    return new ProblemError(response.status, code, detail, problem, retryAfter(response));
  }
}

/** No answer, also after trying again. */
export class ConnectionError extends AdeError {
  override name = "ConnectionError";
}

/** What arrived is not what the service says; a proxy may have changed it. */
export class ProtocolError extends AdeError {
  override name = "ProtocolError";
}

export function retryAfter(response: Response): number | undefined {
  const seconds = Number(response.headers.get("retry-after") ?? NaN);
  return Number.isFinite(seconds) && seconds >= 0 ? seconds * 1_000 : undefined;
}

function parse(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
