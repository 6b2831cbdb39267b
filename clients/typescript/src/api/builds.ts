import type { BuildEvent } from "../events.js";
import type { Build, ConsoleEntry, ListQuery } from "../resources.js";
import type { ConsolePage } from "../schema.js";
import { at, Listing, Works } from "./common.js";

export class Builds extends Works<Build, BuildEvent> {
  protected readonly collection = "builds";

  /** The build that a run of the configuration would use: one that is there, one that is under way, or a new one. */
  create(workspace: string, configuration: string, options: { force?: boolean; wait?: boolean } = {}): Promise<Build> {
    return this.http.json("POST", ofConfiguration(workspace, configuration), { json: { options } });
  }

  /** Of one configuration, or of the whole workspace. */
  list(workspace: string, configuration?: string, query: ListQuery = {}): Listing<Build> {
    const path = configuration ? ofConfiguration(workspace, configuration) : at("workspaces", workspace, "builds");
    return new Listing(this.http, path, { ...query });
  }

  /** A page of console lines behind `after`. */
  console(build: string, after = 0, limit = 1000): Promise<{ entries: ConsoleEntry[]; next_after_id: number }> {
    const query = { after_id: after, limit };
    return this.http.json<ConsolePage>("GET", at("builds", build, "logs"), { query });
  }
}

function ofConfiguration(workspace: string, configuration: string): string {
  return at("workspaces", workspace, "configurations", configuration, "builds");
}
