// The events of streams, told apart by `type`. docs/EVENTS.md says what they mean.

import type * as schema from "./schema.js";

export interface Envelope<T extends string, P> {
  type: T;
  event_id: string;
  /** RFC 3339, UTC: when it was emitted. */
  created_at: string;
  /** 1, 2, 3 ... without holes in its stream. */
  sequence: number;
  source: "api" | "engine" | "builder" | "executor" | "scheduler";
  workspace_id: string;
  engine_timestamp: string | null;
  payload: P;
}

interface OfRun {
  configuration_id: string | null;
  run_id: string | null;
  build_id: string | null;
}

interface OfExecution {
  execution_id: string;
  workflow_id: string;
  step_id: string | null;
  /** The key of an item, in a step that runs once for each. */
  item: string | null;
}

type RunLike<T extends string, P> = Envelope<T, P> & OfRun;
type ExecutionLike<T extends string, P> = Omit<Envelope<T, P>, "engine_timestamp"> & OfExecution;

export type ConsoleLine = {
  scope: "build" | "run";
  stream: "stdout" | "stderr";
  level: "debug" | "info" | "warn" | "error";
  /** May have ANSI escapes. */
  message: string;
  phase?: string;
  logger?: string;
  details?: Record<string, unknown>;
  truncated?: boolean;
  /** The line goes on in the next event. */
  continued?: boolean;
};

/** What engines say is passed on as they wrote it: rely on no member. */
export interface PhaseStarted {
  phase?: string;
  message?: string;
  [key: string]: unknown;
}

export interface PhaseCompleted extends PhaseStarted {
  status?: string;
  duration_ms?: number;
  metrics?: Record<string, unknown>;
}

export interface IssueCounts {
  issues_total?: number;
  issues_by_severity?: Record<string, number>;
  issues_by_code?: Record<string, number>;
  issues_by_field?: Record<string, number>;
  max_severity?: string | null;
  [key: string]: unknown;
}

export interface TableSummary {
  table_id?: string;
  source_file?: string;
  source_sheet?: string | null;
  row_count?: number;
  column_count?: number;
  mapping?: {
    mapped_columns?: { field: string; header: string; source_column_index: number; score: number }[];
    unmapped_columns?: { header: string; source_column_index: number; output_header: string | null }[];
  };
  validation?: IssueCounts;
  metadata?: Record<string, unknown>;
  [key: string]: unknown;
}

export interface ValidationIssue {
  severity?: string;
  code?: string;
  field?: string | null;
  row?: number | null;
  message?: string;
  [key: string]: unknown;
}

export interface RunErrorTold {
  stage?: string;
  phase?: string | null;
  code?: string;
  message?: string;
  details?: unknown;
  [key: string]: unknown;
}

export type BuildEvent =
  | RunLike<"build.created", schema.BuildCreated>
  | RunLike<"build.started", schema.BuildStarted>
  | RunLike<"build.phase.started", schema.BuildPhaseStarted>
  | RunLike<"build.phase.completed", schema.BuildPhaseCompleted>
  | RunLike<"console.line", ConsoleLine>
  | RunLike<"build.completed", schema.BuildCompleted>;

/** A run's stream has the events of the build that it waits for. Engines may add types: `default` of a `switch` gets them. */
export type RunEvent =
  | BuildEvent
  | RunLike<"run.queued", schema.RunQueued>
  | RunLike<"run.waiting", schema.RunWaiting>
  | RunLike<"run.started", schema.RunStarted>
  | RunLike<"run.phase.started", PhaseStarted>
  | RunLike<"run.phase.completed", PhaseCompleted>
  | RunLike<"run.table.summary", TableSummary>
  | RunLike<"run.validation.issue", ValidationIssue>
  | RunLike<"run.validation.summary", IssueCounts>
  | RunLike<"run.error", RunErrorTold>
  | RunLike<"run.cancelling", schema.RunCancelling>
  | RunLike<"run.completed", schema.RunCompleted>;

export type ExecutionEvent =
  | ExecutionLike<"execution_started", schema.ExecutionStarted>
  | ExecutionLike<"step_started", schema.StepStarted>
  | ExecutionLike<"step_progress", schema.StepProgress>
  | ExecutionLike<"llm_call", schema.LlmCall>
  | ExecutionLike<"step_retrying", schema.StepRetrying>
  | ExecutionLike<"clarification_needed", schema.ClarificationNeeded>
  | ExecutionLike<"clarification_answered", schema.ClarificationAnswered>
  | ExecutionLike<"acceptance_needed", schema.AcceptanceNeeded>
  | ExecutionLike<"acceptance_given", schema.AcceptanceGiven>
  | ExecutionLike<"step_completed", schema.StepCompleted>
  | ExecutionLike<"step_failed", schema.StepFailed>
  | ExecutionLike<"step_skipped", schema.StepEnded>
  | ExecutionLike<"step_cancelled", schema.StepEnded>
  | ExecutionLike<"complete", schema.ExecutionComplete>;

/** Where an entry of a feed comes from. */
export interface Origin {
  origin: { stream: string; sequence: number };
}

type Told<E, T extends string> = E extends { type: T; payload: infer P }
  ? Omit<E, "payload"> & { payload: P & Origin }
  : never;

/** What becomes of everything in a workspace. */
export type FeedEvent = Told<
  RunEvent,
  "run.queued" | "run.started" | "run.completed" | "build.created" | "build.completed"
>;

export type AnyEvent = RunEvent | ExecutionEvent | FeedEvent;
