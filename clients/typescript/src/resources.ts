// Types of what the service takes and answers. Those in `schema.ts` are made from its OpenAPI document.

import type * as schema from "./schema.js";

export type {
  Build,
  Configuration,
  ConsoleEntry,
  Document,
  Execution,
  ExecutionCosts,
  Question,
  Run,
  RunDiagnostics,
  RunSummary,
  Step,
  UsageSummary,
  Workflow,
  WorkflowDefinition,
  WorkflowDocument,
  WorkflowDocumentItem,
  WorkflowItem,
  WorkflowStats,
  Workspace,
} from "./schema.js";

export type NewRunOptions = Partial<schema.NewRunOptions>;
export type NewExecution = Omit<schema.NewExecution, "stream" | "input"> & {
  /** Documents by their types. */
  input?: Record<string, unknown>;
};

export interface Page<T> {
  items: T[];
  page: number;
  perPage: number;
  pageCount: number;
  total: number;
}

export interface Slice<T> {
  items: T[];
  next_cursor: string | null;
}

export type Operator =
  | "eq"
  | "ne"
  | "in"
  | "notIn"
  | "lt"
  | "lte"
  | "gt"
  | "gte"
  | "between"
  | "iLike"
  | "notILike"
  | "isEmpty"
  | "isNotEmpty";

export interface ListFilter {
  id: string;
  operator: Operator;
  value?: unknown;
}

/** docs/LISTS.md says what each list knows. */
export interface ListQuery {
  perPage?: number;
  /** Up to three keys, `-` before one for the other direction. */
  sort?: string | readonly string[];
  q?: string;
  filters?: readonly ListFilter[];
  joinOperator?: "and" | "or";
  status?: string | readonly string[];
}

export type Role = "viewer" | "operator" | "admin";

export interface Session {
  object: "ade.session";
  /** Whether the service asks for keys at all. */
  sign_in: boolean;
  via: "key" | "session" | "none";
  key_id: string | null;
  name: string;
  role: Role;
  /** Null for all. */
  workspaces: string[] | null;
  csrf_token: string | null;
  idle_timeout_seconds: number | null;
}

export interface Ticket {
  object: "ade.stream_ticket";
  ticket: string;
  stream: string;
  first_use_seconds: number;
  expires_at: string;
  events_stream: string;
}

export interface ApiKey {
  id: string;
  object: "ade.api_key";
  name: string;
  role: Role;
  workspaces: string[] | null;
  created_by: string;
  created_at: string;
  expires_at: string | null;
  last_used_at: string | null;
  revoked_at: string | null;
}
