import type { Http } from "../http.js";
import type {
  ListQuery,
  UsageSummary,
  Workflow,
  WorkflowDefinition,
  WorkflowDocument,
  WorkflowDocumentItem,
  WorkflowItem,
  WorkflowStats,
} from "../resources.js";
import type { NewWorkflowDocument, WorkflowDocumentChange, WorkflowList } from "../schema.js";
import { at, Listing, type Tagged, tagged } from "./common.js";

/** Which workspace is meant; the default one unless told. */
export interface InWorkspace {
  workspace_id?: string;
}

export class Workflows {
  constructor(private readonly http: Http) {}

  create(definition: WorkflowDefinition, where: InWorkspace = {}): Promise<Workflow> {
    return this.http.json("POST", "/workflows", { json: definition, query: { ...where } });
  }

  async list(where: InWorkspace = {}): Promise<WorkflowItem[]> {
    return (await this.http.json<WorkflowList>("GET", "/workflows", { query: { ...where } })).workflows;
  }

  get(workflow: string, where: InWorkspace = {}): Promise<Workflow> {
    return this.http.json("GET", at("workflows", workflow), { query: { ...where } });
  }

  getTagged(workflow: string, where: InWorkspace = {}): Promise<Tagged<Workflow>> {
    return tagged(this.http, at("workflows", workflow), { ...where });
  }

  /** A new revision, unless somebody else was faster. */
  replace(workflow: string, definition: WorkflowDefinition, etag: string, where: InWorkspace = {}): Promise<Workflow> {
    const sent = { json: definition, query: { ...where }, headers: { "If-Match": etag } };
    return this.http.json("PUT", at("workflows", workflow), sent);
  }

  delete(workflow: string, where: InWorkspace = {}): Promise<void> {
    return this.http.json("DELETE", at("workflows", workflow), { query: { ...where } });
  }

  /** What the output of a step must look like, as JSON Schema. */
  schema(workflow: string, step: string, where: InWorkspace = {}): Promise<unknown> {
    return this.http.json("GET", at("workflows", workflow, "schema", step), { query: { ...where } });
  }

  stats(workflow: string, where: InWorkspace = {}): Promise<WorkflowStats> {
    return this.http.json("GET", at("telemetry", "workflows", workflow, "stats"), { query: { ...where } });
  }

  /** What language models have cost, by day, workflow and model; days are UTC, such as `2026-01-31`. */
  usage(period: { start?: string; end?: string } & InWorkspace = {}): Promise<UsageSummary> {
    return this.http.json("GET", "/telemetry/summary", { query: { ...period } });
  }
}

export interface WorkflowDocumentQuery extends ListQuery, InWorkspace {
  scope_type?: string;
  scope_id?: string;
  document_type?: string;
  execution_id?: string;
  latest?: boolean;
}

/** What workflows write, version by version. */
export class WorkflowDocuments {
  constructor(private readonly http: Http) {}

  create(document: NewWorkflowDocument): Promise<WorkflowDocument> {
    return this.http.json("POST", "/documents", { json: document });
  }

  get(document: string): Promise<WorkflowDocument> {
    return this.http.json("GET", at("documents", document));
  }

  getTagged(document: string): Promise<Tagged<WorkflowDocument>> {
    return tagged(this.http, at("documents", document));
  }

  list(query: WorkflowDocumentQuery = {}): Listing<WorkflowDocumentItem> {
    return new Listing(this.http, "/documents", { ...query });
  }

  /** A new version, unless somebody else was faster. */
  change(document: string, change: WorkflowDocumentChange, etag: string): Promise<WorkflowDocument> {
    return this.http.json("PUT", at("documents", document), { json: change, headers: { "If-Match": etag } });
  }

  versions(document: string, query: ListQuery = {}): Listing<WorkflowDocumentItem> {
    return new Listing(this.http, at("documents", document, "versions"), { ...query });
  }
}
