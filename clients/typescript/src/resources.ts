// Types of what the service takes and answers. Those in `schema.ts` are made from its OpenAPI document.

import type * as schema from "./schema.js";

export type {
  Actors,
  ApiKey,
  AuditPage,
  Build,
  CallPrompt,
  Configuration,
  ConfigurationValidation,
  ConsoleEntry,
  DirectoryMade,
  Document,
  DocumentChange,
  Execution,
  ExecutionCosts,
  FileContent,
  FileEntry,
  FileListing,
  FileMoved,
  FileWritten,
  Health,
  MaintenanceReport,
  Member,
  MemberRole,
  MemberToAdd,
  NewApiKey,
  Node,
  NodeList,
  Person,
  Question,
  Role,
  Run,
  RunDiagnostics,
  RunSummary,
  SafeMode,
  SafeModeSwitch,
  Session,
  Sheet,
  Step,
  UsageSummary,
  Workflow,
  WorkflowDefinition,
  WorkflowDocument,
  WorkflowDocumentItem,
  WorkflowItem,
  WorkflowStats,
  Workspace,
  WorkspaceChange,
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

/** Who is let in to the events of one stream. */
export type Ticket = schema.StreamTicket;
