// What the console shows of the service's resources: types that are made from docs/openapi.json, by the names that pages
// use. What the contract leaves open, since engines and workflows say it, is read here as far as pages look at it.

import type { Envelope, Page } from "@ade/client";
import type { RunDiagnostics } from "@ade/client/schema";

export type { Page };
export type {
  ActorState, Actors, ApiKey, ApiKeyList, AuditPage, Build, CallPrompt, Configuration, ConfigurationValidation,
  Document as InputDocument, Execution, ExecutionCosts, ExecutionStatus, FileContent, FileListing, LlmCall,
  MaintenanceReport, Node as ClusterNode, NodeList as ClusterNodes, OutputList, Pending, Question, Readiness, Role, Run, RunStatus,
  SafeMode, Session, Step, UsageOfExecutions, UsageSummary, WorkflowDocument, WorkflowDocumentItem, WorkflowItem, WorkflowList, WorkflowStats, Workspace,
} from "@ade/client/schema";

/** An event of any stream, before its type has been looked at. */
export type StreamEvent = Omit<Envelope<string, Record<string, any>>, "engine_timestamp"> & {
  run_id?: string | null; build_id?: string | null; execution_id?: string; step_id?: string | null; item?: string | null;
};
export interface EventPage { items: StreamEvent[]; next_after_sequence: number; last_sequence: number; closed: boolean }

/** What engines run and leave behind, of `RunDiagnostics`. */
export interface Diagnostics extends Omit<RunDiagnostics, "engine" | "last_lines"> {
  engine: {
    command?: string[]; environment?: string[]; exit?: { code: number | null; signal: number | string | null };
    killed_processes?: number; output_truncated?: boolean;
    usage?: { max_resident_bytes: number; user_ms: number; system_ms: number };
  } | null;
  last_lines: { level: string; message: string; scope: string }[];
}

/** docs/WORKFLOWS.md */
export interface StepDefinition {
  step_id: string; name?: string; description?: string; inputs?: string[]; optional_inputs?: string[]; output: string;
  model?: string; is_final?: boolean; role?: string; task_prompt?: string;
}
/** Texts by name, to which steps refer. */
export interface WorkflowPrompts { roles?: Record<string, string>; tasks?: Record<string, string> }
export interface WorkflowShown { name: string; revision: number; steps: StepDefinition[]; prompts?: WorkflowPrompts }

export interface MappedColumn {
  field: string; header: string; source_column_index: number; score: number; is_required: boolean;
  is_satisfied: boolean;
}
/** `run.table.summary`, as the engine that is shipped says it. */
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
