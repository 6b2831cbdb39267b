import type { RunEvent } from "../events.js";
import type { ConsoleEntry, ListQuery, NewRunOptions, Run, RunDiagnostics, RunSummary } from "../resources.js";
import type { ConsolePage, Output, OutputList } from "../schema.js";
import { at, below, type CreateOptions, creation, Listing, Works } from "./common.js";

export class Runs extends Works<Run, RunEvent> {
  protected readonly collection = "runs";

  create(configuration: string, options: NewRunOptions = {}, create?: CreateOptions): Promise<Run> {
    return this.http.json("POST", at("configurations", configuration, "runs"), creation({ options }, create));
  }

  /** A new run with the options of one that has ended. */
  retry(run: string, create?: CreateOptions): Promise<Run> {
    return this.http.json("POST", at("runs", run, "retry"), creation({}, create));
  }

  list(of: { workspace: string } | { configuration: string }, query: ListQuery = {}): Listing<Run> {
    const owner = "workspace" in of ? at("workspaces", of.workspace) : at("configurations", of.configuration);
    return new Listing(this.http, `${owner}/runs`, { ...query });
  }

  summary(run: string): Promise<RunSummary> {
    return this.http.json("GET", at("runs", run, "summary"));
  }

  diagnostics(run: string): Promise<RunDiagnostics> {
    return this.http.json("GET", at("runs", run, "diagnostics"));
  }

  async outputs(run: string): Promise<Output[]> {
    return (await this.http.json<OutputList>("GET", at("runs", run, "outputs"))).files;
  }

  /** One output, as it is read. */
  download(run: string, output = "normalized.xlsx", signal?: AbortSignal): Promise<Response> {
    const path = `${at("runs", run, "outputs")}${below(output)}`;
    return this.http.send("GET", path, signal ? { signal } : {});
  }

  /** A page of console lines behind `after`. */
  console(run: string, after = 0, limit = 1000): Promise<{ entries: ConsoleEntry[]; next_after_id: number }> {
    return this.http.json<ConsolePage>("GET", at("runs", run, "logs"), { query: { after_id: after, limit } });
  }
}
