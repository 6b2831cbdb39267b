// What the console shows of the service's resources. The full contract is docs/openapi.json.

export type RunStatus = "queued" | "building" | "running" | "succeeded" | "failed" | "cancelled";
export type BuildStatus = "queued" | "building" | "active" | "failed" | "cancelled";
export type ExecutionStatus =
  | "pending" | "running" | "waiting_clarification" | "waiting_acceptance" | "completed" | "failed" | "cancelled";
export type StepStatus =
  | "pending" | "running" | "waiting_clarification" | "waiting_acceptance" | "completed" | "failed" | "skipped"
  | "cancelled";
export type Role = "viewer" | "operator" | "admin";

export interface Page<T> { items: T[]; page: number; perPage: number; pageCount: number; total: number }

export interface Workspace { id: string; name: string; slug: string; created_at: string; is_default?: boolean }

export interface Run {
  id: string; workspace_id: string; configuration_id: string; build_id: string | null; status: RunStatus;
  mode: "execute" | "validate_only" | "dry_run"; attempt: number; retry_of_run_id: string | null;
  failure_code: string | null; failure_stage: string | null; failure_message: string | null;
  engine_version: string | null; config_version: string | null; env_reason: string | null; env_reused: boolean | null;
  log_degraded: boolean; last_sequence: number; table_count: number | null; row_count: number | null;
  max_validation_severity: string | null; created_at: string; started_at: string | null; completed_at: string | null;
  duration_ms: number | null; exit_code: number | null;
  input: { document_ids: string[]; input_sheet_names: string[]; input_file_count: number };
  output: { has_outputs: boolean; output_count: number; processed_files: string[] };
}

export interface Build {
  id: string; workspace_id: string; configuration_id: string; status: BuildStatus; reason: string;
  reused_build_id: string | null; engine_spec: string; engine_version: string | null; config_version: string | null;
  python_version: string | null; python_interpreter: string; fingerprint: string; content_digest: string;
  summary: string | null; error: { code: string; message: string } | null; exit_code: number | null;
  venv_present: boolean; log_degraded: boolean; last_sequence: number; created_at: string; started_at: string | null;
  completed_at: string | null; duration_ms: number | null;
}

export interface Configuration {
  id: string; workspace_id: string; display_name: string; status: "draft" | "published" | "active" | "inactive";
  content_digest: string; active_build_id: string | null; created_at: string; updated_at: string;
  activated_at: string | null;
}

export interface InputDocument {
  id: string; name: string; content_type: string; byte_size: number; created_at: string;
}

export interface Choice { value: string; label: string }
export interface Question {
  id: string; text: string; intent: string; required: boolean; priority: string; blocking: boolean;
  answer_type:
    | "free_text" | "single_choice" | "multi_choice" | "yes_no" | "number" | "date" | "uuid" | "json_object";
  choices: Choice[] | null; default: unknown; references: { kind: string; ref: string }[] | null;
}
export interface DocumentRef { document_id: string; document_type: string; version: number }
export interface Totals {
  cost_usd: string; calls: number; input_tokens: number; output_tokens: number; cache_read_tokens: number;
  cache_write_tokens: number; unpriced_calls: number; duration_ms: number;
}
export interface Execution {
  execution_id: string; workspace_id: string; workflow_id: string; revision: number; scope_type: string;
  scope_id: string; status: ExecutionStatus; retry_of_execution_id: string | null; current_steps: string[];
  pending: {
    step_id: string; item: string | null; kind: "clarification" | "acceptance"; clarification_id: string | null;
    questions: Question[] | null; deadline: string | null; document: DocumentRef | null;
    accepted_by: string[] | null;
  }[];
  failure: { code: string; step_id: string | null; item: string | null; message: string } | null;
  totals: Totals; log_degraded: boolean; last_sequence: number; created_at: string; started_at: string | null;
  completed_at: string | null; created_by: string;
}
export interface Step {
  step_id: string; item: string | null; status: StepStatus; attempt: number; kept: boolean;
  started_at: string | null; completed_at: string | null; document_id: string | null; version: number | null;
  clarification: { clarification_id: string; questions: Question[]; answers: Record<string, unknown> } | null;
  error: { code: string; message: string; findings: { code: string; path: string; message: string }[] } | null;
  cost_usd: string;
}
export interface WorkflowDocument {
  document_id: string; document_type: string; version: number; title: string; summary: string | null;
  status: string; scope_type: string; scope_id: string; execution_id: string | null; step_id: string | null;
  content?: unknown; created_at: string; created_by: string; is_latest: boolean; content_digest: string;
  workspace_id: string;
}
export interface StepDefinition {
  step_id: string; name?: string; description?: string; inputs?: string[]; optional_inputs?: string[]; output: string;
  model?: string; is_final?: boolean;
}
export interface WorkflowItem {
  workflow_id: string; name: string; description: string; revision: number; step_count: number;
}

export interface StreamEvent {
  type: string; event_id: string; created_at: string; sequence: number; source: string; workspace_id: string;
  run_id?: string | null; build_id?: string | null; execution_id?: string; step_id?: string | null;
  item?: string | null; payload: Record<string, any>;
}
export interface EventPage { items: StreamEvent[]; next_after_sequence: number; last_sequence: number; closed: boolean }

export interface Usage {
  calls: number; errors: number; executions: number; input_tokens: number; output_tokens: number;
  cache_read_tokens: number; cache_write_tokens: number; cost_usd: string; unpriced_calls: number;
}
export interface UsageSummary {
  start: string; end: string; totals: Usage; success_rate: number | null;
  averages: { cost_per_call: string | null; cost_per_execution: string | null; latency_ms: number | null };
  by_day: (Usage & { date: string })[]; by_workflow: (Usage & { workflow_id: string })[];
  by_model: (Usage & { provider: string; model: string })[];
}

export interface MappedColumn {
  field: string; header: string; source_column_index: number; score: number; is_required: boolean;
  is_satisfied: boolean;
}
export interface TableSummary {
  table_id: string; source_file: string; source_sheet: string | null; sheet_index: number; row_count: number;
  column_count: number;
  mapping: {
    mapped_columns: MappedColumn[];
    unmapped_columns: { header: string; source_column_index: number; output_header: string }[];
  };
  validation: {
    issues_total: number; issues_by_severity: Record<string, number>; issues_by_code: Record<string, number>;
    issues_by_field: Record<string, number>; max_severity: string | null;
  };
  metadata: { header_row?: number; first_data_row?: number; last_data_row?: number };
}
