import type { ExecutionEvent } from "../events.js";
import type { CallPrompt, Execution, ExecutionCosts, ListQuery, NewExecution, Step } from "../resources.js";
import { at, type CreateOptions, creation, Listing, Works } from "./common.js";

export interface ExecutionQuery extends ListQuery {
  workspace_id?: string;
  workflow_id?: string;
  scope_type?: string;
  scope_id?: string;
  active?: boolean;
}

export class Executions extends Works<Execution, ExecutionEvent> {
  protected readonly collection = "executions";

  create(execution: NewExecution, create?: CreateOptions): Promise<Execution> {
    return this.http.json("POST", "/executions", creation(execution, create));
  }

  /** A new execution that keeps what the old one has completed. */
  retry(execution: string, create?: CreateOptions): Promise<Execution> {
    return this.http.json("POST", at("executions", execution, "retry"), creation({}, create));
  }

  list(query: ExecutionQuery = {}): Listing<Execution> {
    return new Listing(this.http, "/executions", { ...query });
  }

  steps(execution: string): Promise<Step[]> {
    return this.http.json("GET", at("executions", execution, "steps"));
  }

  /** Answers the questions of a step; the same answers again are fine. */
  answer(
    execution: string,
    step: string,
    answers: Record<string, unknown>,
    of: { item?: string; clarification_id?: string } = {},
  ): Promise<unknown> {
    const path = at("executions", execution, "steps", step, "clarification");
    return this.http.json("POST", path, { json: { answers, ...of } });
  }

  /** Accepts or rejects the document of a step. */
  decide(
    execution: string,
    step: string,
    accepted: boolean,
    more: { comment?: string; item?: string } = {},
  ): Promise<unknown> {
    const path = at("executions", execution, "steps", step, "acceptance");
    return this.http.json("POST", path, { json: { accepted, ...more } });
  }

  /** What a model was asked in a call, by the id of its `llm_call`; 404 where that is not kept. */
  prompt(execution: string, call: string): Promise<CallPrompt> {
    return this.http.json("GET", at("executions", execution, "calls", call, "prompt"));
  }

  costs(execution: string): Promise<ExecutionCosts> {
    return this.http.json("GET", at("telemetry", "executions", execution, "costs"));
  }
}
